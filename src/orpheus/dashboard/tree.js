// JSON as a tree that folds. Long texts and long lists are shown in part until somebody asks for more.

import { button, h } from "./dom.js";
import { bytes } from "./format.js";

const CHILDREN = 50;
const LETTERS = 400;

/** `where` gives the address of a file that stands in the value, null where it is not known. */
export function tree(value, depth = 0, where = () => null) {
  return h("div", { class: "tree" }, part(null, value, depth, where));
}

function part(name, value, depth, where) {
  const key = name === null ? null : [h("span", { class: "key" }, name), ": "];
  if (value === null || typeof value !== "object") return h("div", { class: "leaf" }, key, leaf(value));
  const href = value.$file ? where(value) : null;
  if (href) return h("div", { class: "leaf" }, key, h("a", { href, target: "_blank", rel: "noopener" }, value.$file.name), h("span", { class: "count" }, ` ${bytes(value.$file.size_bytes)}`));
  const list = Array.isArray(value);
  const entries = Object.entries(value);
  if (entries.length === 0) return h("div", { class: "leaf" }, key, list ? "[]" : "{}");
  const inner = h("div", { class: "inner" });
  const details = h("details", { open: depth < 2 && entries.length <= 30 }, h("summary", {}, key, h("span", { class: "count" }, list ? `[${entries.length}]` : `{${entries.length}}`, peek(value))), inner);
  let shown = 0;
  const more = () => {
    inner.querySelector(":scope > .button")?.remove();
    inner.append(...entries.slice(shown, shown + CHILDREN).map(([key_, each]) => part(key_, each, depth + 1, where)));
    shown = Math.min(shown + CHILDREN, entries.length);
    if (shown < entries.length) inner.append(button(`${entries.length - shown} more`, more, "link"));
  };
  if (details.open) more();
  details.addEventListener("toggle", () => details.open && shown === 0 && more());
  return details;
}

function peek(value) {
  const text = JSON.stringify(value);
  return h("span", { class: "peek" }, text.length > 90 ? `${text.slice(0, 90)}…` : text);
}

function leaf(value) {
  if (typeof value !== "string") return h("span", { class: `value ${value === null ? "null" : typeof value}` }, String(value));
  const element = h("span", { class: "value string" }, JSON.stringify(value.slice(0, LETTERS)).slice(0, -1), value.length > LETTERS ? "…" : "", '"');
  if (value.length <= LETTERS) return element;
  return [element, button(`all ${value.length.toLocaleString()} letters`, (event) => { element.textContent = JSON.stringify(value); event.target.remove(); }, "link")];
}
