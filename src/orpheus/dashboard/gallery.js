// Artifacts, each with a preview where a browser can show one safely.

import { url } from "./api.js";
import { h } from "./dom.js";
import { bytes } from "./format.js";

const TEXT_BYTES = 4096;

export function gallery(artifacts) {
  if (artifacts.length === 0) return h("section", { class: "hidden" });
  return h("section", {}, h("h2", {}, "Artifacts"), h("div", { class: "gallery" }, artifacts.map(card)));
}

function card(artifact) {
  const href = url(artifact.path).href;
  const kind = artifact.content_type.split(";")[0];
  return h("figure", { class: "card" },
    preview(href, kind, artifact),
    h("figcaption", {},
      h("a", { href, target: "_blank", rel: "noopener" }, artifact.name),
      h("span", {}, `${bytes(artifact.size_bytes)} · ${kind}`),
      h("a", { class: "save", href: `${href}?download=true`, title: "Save" }, "save")));
}

function preview(href, kind, artifact) {
  const [family] = kind.split("/");
  if (["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"].includes(kind)) {
    return h("a", { class: "preview", href, target: "_blank", rel: "noopener" }, h("img", { src: href, alt: "", loading: "lazy" }));
  }
  if (family === "video") return h("div", { class: "preview" }, h("video", { src: href, controls: true, preload: "metadata" }));
  if (family === "audio") return h("div", { class: "preview audio" }, h("audio", { src: href, controls: true, preload: "metadata" }));
  if (family === "text" || kind === "application/json" || kind === "application/x-subrip") {
    const text = h("pre", {}, "…");
    read(href, artifact, kind).then((content) => { text.textContent = content; }, () => { text.textContent = "(cannot be shown)"; });
    return h("div", { class: "preview text" }, text);
  }
  return h("div", { class: "preview plain" }, h("span", {}, kind.split("/")[1]));
}

async function read(href, artifact, kind) {
  const options = artifact.size_bytes > TEXT_BYTES ? { headers: { range: `bytes=0-${TEXT_BYTES - 1}` } } : {};
  const text = await (await fetch(href, options)).text();
  if (kind === "application/json" && artifact.size_bytes <= TEXT_BYTES) return JSON.stringify(JSON.parse(text), null, 2);
  return text;
}
