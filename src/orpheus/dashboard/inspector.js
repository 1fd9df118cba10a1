// One node, or one item of a map, in full: attempts with their errors, result, logs, and "run again from here".

import { jobLink, runFrom } from "./job-orders.js";
import { ENDED, keyOf } from "./job-model.js";
import { button, h, pill } from "./dom.js";
import { between, local } from "./format.js";
import { instant } from "./instant.js";
import { addressOf } from "./job-files.js";
import { renew } from "./keep.js";
import { tree } from "./tree.js";
import { waitsOf } from "./waits.js";

const ITEMS = 60;

export function inspector(context, before, choose, close) {
  const element = h("section", { class: "panel inspector", "aria-label": "Node", hidden: true });
  let sign = "";

  function show(chosen) {
    element.hidden = chosen === null;
    if (chosen === null) { sign = ""; return; }
    const { model } = context;
    const task = model.byKey.get(keyOf(chosen.name, chosen.index));
    const node = (model.definition.nodes ?? []).find((each) => each.name === chosen.name);
    const items = chosen.index === null ? model.itemsOf(chosen.name) : [];
    const next = JSON.stringify([chosen, task, items.map((each) => each.state), model.job.artifacts.length]);
    if (next === sign) return;
    sign = next;
    const rewinds = ENDED.includes(model.job.state) && chosen.index === null && task && task.state !== "skipped";
    renew(element, () => [
      h("header", { class: "panel-head" }, h("h2", {}, chosen.name, chosen.index !== null && ` [${chosen.index}]`), chosen.index !== null && button("All items", () => choose(chosen.name), "small quiet"), task && pill(task.state, task.cached ? "cached" : task.state), h("span", { class: "spring" }),
        button("Logs", () => context.open("logs", new URLSearchParams({ node: chosen.name })), "small quiet"),
        rewinds && button("Run again from here …", () => runFrom(context, chosen.name, before), "small"),
        button("×", close, "small quiet", { "aria-label": "Close node" })),
      node && h("p", { class: "hint" }, [node.kind === "task" || node.kind === "map" ? `${node.task ?? node.workflow ?? ""}${node.version ? `@${node.version}` : ""}` : node.kind, task?.queue ? `queue ${task.queue}` : "", task?.worker ? `on ${task.worker}` : "", node.source ?? ""].filter(Boolean).join(" · ")),
      task?.error && h("div", { class: "box error" }, h("strong", {}, task.error.code), h("p", {}, task.error.message), task.error.hint && h("p", { class: "hint" }, task.error.hint)),
      task?.waiting_for.length > 0 && h("ul", { class: "reasons" }, task.waiting_for.map((each) => h("li", {}, h("b", {}, each.reason), ` ${local(each.detail)}`))),
      task?.child_job && h("p", {}, "Child job ", jobLink(task.child_job)),
      task?.approval?.decision && h("p", {}, `${task.approval.decision} by ${task.approval.by ?? "somebody"} `, instant(task.approval.at), task.approval.edited ? ", with changes" : "", task.approval.comment && `: ${task.approval.comment}`),
      waits(task, node, model.job.finished_at), attempts(task), itemList(items, choose),
      task?.result !== null && task?.result !== undefined && h("details", { open: items.length === 0 }, h("summary", {}, "Result"), tree(task.result, 0, addressOf(model.job)))]);
  }
  return { element, show };
}

function attempts(task) {
  if (!task?.attempts?.length) return null;
  return h("ol", { class: "attempts" }, task.attempts.map((each) => h("li", {},
    pill(each.outcome ?? "running"), h("span", {}, `attempt ${each.attempt}`), instant(each.started_at),
    h("span", {}, between(each.started_at, each.finished_at)), each.worker && h("code", {}, each.worker),
    each.error && h("div", { class: "why" }, each.error.message, each.error.hint && h("p", { class: "hint" }, each.error.hint), each.error.details?.traceback && h("details", {}, h("summary", {}, "Traceback"), h("pre", { class: "json" }, each.error.details.traceback))))));
}

function waits(task, node, ended) {
  const found = task ? waitsOf(task, node, ended ?? new Date().toISOString()) : [];
  if (found.length === 0) return null;
  return h("ul", { class: "waits" }, found.map((each) => h("li", {}, h("b", {}, between(each.from, each.to)), ` ${each.words}`, h("span", { class: "hint" }, " from ", instant(each.from)))));
}

function itemList(items, choose) {
  if (items.length === 0) return null;
  const rank = { failed: 0, retrying: 1, running: 2, waiting: 3, ready: 4, blocked: 5, cancelled: 6, skipped: 7, completed: 8 };
  const sorted = [...items].sort((a, b) => rank[a.state] - rank[b.state] || a.index - b.index);
  return h("div", {}, h("h3", {}, `${items.length} items`), h("ol", { class: "items" }, sorted.slice(0, ITEMS).map((item) => h("li", {},
    h("button", { type: "button", class: "pick", "aria-label": `Item ${item.index}, ${item.state}`, onclick: () => choose(item.name, item.index) }, pill(item.state, `${item.index}`)), item.child_job ? jobLink(item.child_job) : null, h("span", { class: "hint" }, item.error?.message ?? item.stage ?? between(item.started_at, item.finished_at))))),
    sorted.length > ITEMS && h("p", { class: "hint" }, `and ${sorted.length - ITEMS} more`));
}
