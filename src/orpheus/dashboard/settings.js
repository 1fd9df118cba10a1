// Who is here, how the page looks, and where else to look.

import { ask } from "./api.js";
import { button, field, fill, h, heading } from "./dom.js";
import { attempt } from "./notices.js";
import { signIn } from "./signin.js";
import { applyTheme, theme } from "./theme.js";

export function view(root) {
  const who = h("div", {}, h("p", { class: "hint" }, "Loading …"));
  const chosen = h("select", { class: "input", onchange: () => applyTheme(chosen.value) }, [["system", "As the system has it"], ["light", "Light"], ["dark", "Dark"]].map(([value, text]) => h("option", { value }, text)));
  chosen.value = theme();
  const about = h("p", { class: "hint after" });
  fill(root, heading("Settings"),
    h("section", { class: "panel" }, h("h2", {}, "Access"), who),
    h("section", { class: "panel" }, h("h2", {}, "Appearance"), field("Theme", chosen), h("p", { class: "hint" }, "Times are in your zone; point at one for exact UTC.")),
    h("section", { class: "panel" }, h("h2", {}, "Elsewhere"), h("div", { class: "row" }, h("a", { class: "button", href: "docs" }, "API reference"), h("a", { class: "button", href: "metrics" }, "Metrics"), h("a", { class: "button", href: "openapi.json" }, "OpenAPI")), about));
  session(who);
  ask("healthz").then((health) => fill(about, `Orpheus ${health.version}`), () => {});
  return {};
}

async function session(who) {
  const found = await ask("session").catch(() => null);
  if (found === null) {
    fill(who, h("p", {}, "You are not signed in."), button("Sign in", signIn, "primary"));
  } else if (!found.keys_on) {
    fill(who, h("p", {}, "This server asks for no keys: everybody who reaches it may do everything."), h("p", { class: "hint" }, "The first key shuts it: ", h("code", {}, "orpheus keys create --role admin --name anna")));
  } else {
    fill(who, h("p", {}, "Signed in as ", h("b", {}, found.name || "unnamed"), `, role ${found.role}, ${found.tenant ? `tenant ${found.tenant}` : "all tenants"}.`),
      button("Sign out", async () => { if ((await attempt(() => ask("session", { method: "DELETE" }))) !== null) location.reload(); }));
  }
}
