// Where keys are on: a key becomes a session's cookie, which scripts cannot read, and the page begins anew.

import { post } from "./api.js";
import { fill, h } from "./dom.js";

let shown = false;

/** Ask for a key, once. */
export function signIn() {
  if (shown) return;
  shown = true;
  const key = h("input", { type: "password", name: "key", autocomplete: "off", required: true, "aria-label": "API key", placeholder: "orph_…" });
  const fault = h("p", { class: "fault", role: "alert" });
  const form = h("form", { class: "signin", "aria-label": "Sign in", onsubmit: (event) => send(event, key, fault) },
    h("h2", {}, "Sign in"),
    h("p", {}, "This server asks for an API key. ", h("code", {}, "orpheus keys create"), " makes one."),
    key, fault, h("button", { class: "button primary", type: "submit" }, "Sign in"));
  document.body.append(h("div", { class: "cover" }, form));
  key.focus();
}

async function send(event, key, fault) {
  event.preventDefault();
  try {
    await post("session", { key: key.value.trim() });
    location.reload();
  } catch (error) {
    fill(fault, error.message);
    key.select();
  }
}
