// What has happened, said at the edge of the page for a while; and questions, asked in a dialog.

import { button, h } from "./dom.js";
import { remember } from "./keep.js";

const SHOWN = 4;

/** Say something for a while. `link` is `[text, href]`. */
export function notice(text, kind = "info", link = null) {
  const box = document.getElementById("notices");
  const entry = h("p", { class: `notice ${kind}`, role: kind === "error" ? "alert" : null }, h("span", {}, text), link && h("a", { href: link[1] }, link[0]),
    button("×", () => entry.remove(), "close", { "aria-label": "Close message" }));
  box.append(entry);
  if (box.children.length > SHOWN) box.firstChild.remove();
  setTimeout(() => entry.remove(), kind === "error" ? 12000 : 5000);
  return entry;
}

/** Do something that the server may refuse; say what came of it. Returns the answer, or null. */
export async function attempt(work, done) {
  try {
    const answer = await work();
    if (done) notice(typeof done === "function" ? done(answer) : done);
    return answer;
  } catch (error) {
    notice(error.message, "error");
    return null;
  }
}

/** Open a dialog. `submit` may throw: its message stands in the dialog, which stays open. */
export function ask(title, body, { yes = "OK", kind = "primary", submit = () => {}, wide = false } = {}) {
  return new Promise((resolve) => {
    const fault = h("p", { class: "fault", role: "alert" });
    const act = h("button", { class: `button ${kind}`, type: "submit" }, yes);
    const form = h("form", {}, h("h2", { id: "dialog-title" }, title), h("div", { class: "dialog-body" }, body), fault,
      h("div", { class: "row end" }, button("Close", () => dialog.close(), "quiet"), act));
    const dialog = h("dialog", { class: wide ? "wide" : "", "aria-labelledby": "dialog-title" }, form);
    let answer = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      act.disabled = true;
      try {
        answer = (await submit()) ?? true;
        dialog.close();
      } catch (error) {
        fault.textContent = error.message;
      } finally {
        act.disabled = false;
      }
    });
    const back = remember();
    const leave = () => dialog.close(); // a question does not outlive the view that asked it
    addEventListener("hashchange", leave);
    dialog.addEventListener("close", () => { removeEventListener("hashchange", leave); dialog.remove(); back(); resolve(answer); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
