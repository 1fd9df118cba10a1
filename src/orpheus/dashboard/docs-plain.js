// A plain reference for installations without Swagger UI.

import { ask } from "./api.js";
import { fill, h } from "./dom.js";

const page = document.getElementById("docs");
const document_ = await ask("openapi.json");
const pretty = (value) => h("pre", { class: "json" }, JSON.stringify(value, null, 2));

fill(page, h("p", {}, document_.info.description), Object.entries(document_.paths).map(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) =>
    h("details", { class: "operation" },
      h("summary", {}, h("b", {}, method.toUpperCase()), h("code", {}, path), h("span", {}, operation.summary)),
      operation.description && h("p", {}, operation.description),
      operation.parameters && [h("h3", {}, "Parameters"), pretty(operation.parameters)],
      operation.requestBody && [h("h3", {}, "Body"), pretty(operation.requestBody.content)],
      h("h3", {}, "Answers"), pretty(operation.responses)))),
  h("h2", {}, "Types"), Object.entries(document_.components.schemas).map(([name, schema]) =>
    h("details", { class: "operation" }, h("summary", {}, h("code", {}, name)), pretty(schema))));
