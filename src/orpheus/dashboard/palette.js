// Ctrl-K: go to a view, a workflow, a job by its id or words; act on the job that is shown.

import { ask, jobs } from "./api.js";
import { fill, h } from "./dom.js";
import { remember } from "./keep.js";
import { short } from "./format.js";
import { address, current } from "./router.js";
import { applyTheme } from "./theme.js";

const VIEWS = [["jobs", "Jobs"], ["submit", "New job"], ["approvals", "Approvals"], ["failures", "Failures"], ["workflows", "Workflows"],
  ["queues", "Queues & workers"], ["schedules", "Schedules"], ["settings", "Settings"]];

const JOBS = 8;
const PAGES = 20; // of a search; who wants to know more looks at the list

let open = false;

export function openPalette() {
  if (open) return;
  open = true;
  const input = h("input", { class: "input", type: "text", placeholder: "A view, a workflow, a job id, any words", role: "combobox", autocomplete: "off",
    "aria-label": "Go to", "aria-expanded": "true", "aria-controls": "palette-list", "aria-autocomplete": "list" });
  const list = h("ul", { id: "palette-list", role: "listbox", "aria-label": "Results" });
  const dialog = h("dialog", { class: "palette", "aria-label": "Go to" }, input, list,
    h("p", { class: "hint" }, h("kbd", {}, "↑"), h("kbd", {}, "↓"), " choose ", h("kbd", {}, "Enter"), " go ", h("kbd", {}, "/"), " search ", h("kbd", {}, "N"), " new job ", h("kbd", {}, "J"), h("kbd", {}, "K"), " move in the list"));
  let items = [];
  let at = 0;
  let turn = 0;

  function draw() {
    at = Math.max(0, Math.min(at, items.length - 1));
    fill(list, items.map((item, place) => h("li", { id: `palette-${place}`, role: "option", "aria-selected": String(place === at),
      onclick: () => choose(item) }, h("span", {}, item.title), h("small", {}, item.kind))));
    if (items.length === 0) fill(list, h("li", { class: "none" }, "Nothing matches."));
    input.setAttribute("aria-activedescendant", items.length ? `palette-${at}` : "");
    list.children[at]?.scrollIntoView({ block: "nearest" });
  }

  function choose(item) {
    dialog.close();
    if (item.act) item.act();
    else location.hash = item.href;
  }

  async function look() {
    turn += 1;
    const mine = turn;
    const words = input.value.trim();
    const fits = (text) => text.toLowerCase().includes(words.toLowerCase());
    items = [...actions(), ...VIEWS.map(([name, title]) => ({ kind: "view", title, href: address(name) }))].filter((each) => fits(each.title));
    draw();
    const [workflows, found] = await Promise.all([
      ask("workflows").catch(() => ({ items: [] })),
      words.length > 1 ? jobs(`q=${encodeURIComponent(words)}`, JOBS, { pages: PAGES, wanted: () => mine === turn }).catch(() => ({ items: [] })) : { items: [] },
    ]);
    if (mine !== turn) return;
    items.push(...workflows.items.filter((each) => fits(each.name)).slice(0, 8).flatMap((each) => [
      { kind: "workflow", title: each.name, href: address("workflows", [each.name]) },
      { kind: "new job", title: `New ${each.name}`, href: address("submit", [each.name]) }]));
    items.push(...found.items.map((job) => ({ kind: job.state, title: `${job.workflow} ${short(job.job_id)}`, href: address("jobs", [job.job_id]) })));
    if (found.next_cursor) items.push({ kind: "search", title: `All jobs with “${words}”`, href: address("jobs", [], new URLSearchParams({ q: words })) });
    draw();
  }

  input.addEventListener("input", () => { at = 0; look(); });
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); at = (at + step + items.length) % Math.max(items.length, 1); draw(); }
    if (event.key === "Enter" && items[at]) { event.preventDefault(); choose(items[at]); }
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  const back = remember();
  dialog.addEventListener("close", () => { open = false; turn += 1; dialog.remove(); back(); });
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
  look();
}

function actions() {
  const found = ["light", "dark", "system"].map((name) => ({ kind: "theme", title: `Theme: ${name}`, act: () => applyTheme(name) }));
  const where = current();
  if (where.name === "job") {
    for (const element of document.querySelectorAll(".actions button")) {
      found.unshift({ kind: "this job", title: element.textContent, act: () => element.click() });
    }
  }
  return found;
}
