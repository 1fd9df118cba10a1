// Swagger UI on our own document, with assets from this server only.
addEventListener("DOMContentLoaded", () => {
  SwaggerUIBundle({ url: new URL("openapi.json", document.baseURI).href, dom_id: "#docs", deepLinking: true, validatorUrl: null });
});
