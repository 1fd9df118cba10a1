// What tasks said: followed while the job runs, searched by the server, bounded in the page.

import { ask, ofJob } from "./api.js";
import { fill, h } from "./dom.js";
import { clock, exact } from "./format.js";
import { throttled } from "./live.js";

const PAGE = 1000;
const MOST = 4000;

export function logsTab(context) {
  const { model } = context;
  let cursor = 0;
  let turn = 0;
  const wanted = context.query.get("node") ?? "";
  const node = h("select", { class: "input", "aria-label": "Node", onchange: anew }, h("option", { value: "" }, "all nodes"), (model.definition.nodes ?? []).map((each) => h("option", { value: each.name }, each.name)));
  node.value = wanted;
  const level = h("select", { class: "input", "aria-label": "Level", onchange: anew }, [["", "all levels"], ["info", "info and above"], ["warning", "warnings and above"], ["error", "errors"]].map(([value, text]) => h("option", { value }, text)));
  let timer = null;
  const search = h("input", { class: "input grow", type: "search", placeholder: "Search the log", "aria-label": "Search the log", oninput: () => { clearTimeout(timer); timer = setTimeout(anew, 250); } });
  const follow = h("input", { type: "checkbox", checked: true, onchange: () => follow.checked && toEnd() });
  const lines = h("div", { class: "logs", role: "log", "aria-label": "Log lines", tabIndex: 0 });
  const element = h("div", {}, h("div", { class: "filter-row" }, search, node, level, h("label", { class: "check" }, follow, "Follow")), lines);
  lines.addEventListener("scroll", () => { follow.checked = lines.scrollTop + lines.clientHeight > lines.scrollHeight - 40; }, { passive: true });

  const toEnd = () => { lines.scrollTop = lines.scrollHeight; };

  function anew() {
    cursor = 0;
    behind = 0;
    turn += 1;
    fill(lines, h("p", { class: "hint" }, "Loading …"));
    load();
  }

  function line(each) {
    const from = each.index === null ? each.task : `${each.task}[${each.index}]`;
    const { logger, ...rest } = each.fields; // which logger it was is of use to its author only: it stands in the tooltip
    const fields = Object.keys(rest).length ? ` ${JSON.stringify(rest)}` : "";
    return h("div", { class: `line ${each.level}`, title: logger ?? "" }, h("time", { title: exact(each.at) }, clock(each.at)), h("code", {}, each.attempt > 1 ? `${from} #${each.attempt}` : from), h("span", {}, each.message, fields && h("i", {}, fields)));
  }

  // A page that is not full names no cursor: from the last one that was full on it is asked for again, and what is
  // shown already is left out.
  let behind = 0;

  const load = throttled(async () => {
    const mine = turn;
    for (;;) {
      const query = new URLSearchParams({ limit: String(PAGE), cursor: String(cursor) });
      if (node.value) query.set("node", node.value);
      if (level.value) query.set("level", level.value);
      if (search.value.trim()) query.set("q", search.value.trim());
      const page = await ask(`${ofJob(model.jobId, "logs")}?${query}`).catch(() => null);
      if (!page || mine !== turn) return;
      if (cursor === 0 && behind === 0) fill(lines);
      lines.append(...page.items.slice(behind).map(line));
      behind = page.items.length;
      while (lines.children.length > MOST) lines.firstChild.remove();
      if (page.next_cursor === null) break;
      cursor = Number(page.next_cursor);
      behind = 0;
    }
    if (lines.children.length === 0) fill(lines, h("p", { class: "hint" }, search.value || level.value ? "No line fits." : "Nothing was said yet."));
    if (follow.checked) toEnd();
  }, 200);

  return {
    element,
    show() { if (lines.children.length === 0) anew(); },
    heard(batch) { if (batch.some((each) => each.job_id === model.jobId && (each.type === "log" || each.type.startsWith("task.")))) load(); },
  };
}
