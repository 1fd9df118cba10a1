// Who worked when, and why not earlier: a row per node, a bar per attempt, the waiting between them said in words.

import { fill, h, say } from "./dom.js";
import { between, clock, duration, local } from "./format.js";
import { waitedOn, waitsOf } from "./waits.js";

const LANES = 8; // bars above each other for the items of a map

export function gantt(choose) {
  const axis = h("div", { class: "axis", "aria-hidden": "true" });
  const list = h("ol", { class: "gantt" });
  const element = h("div", { class: "gantt-frame" }, axis, list);
  const rows = new Map();

  function show(model, chosen) {
    const { job, tasks } = model;
    const begin = Date.parse(job.started_at ?? job.created_at);
    const ended = job.finished_at ? Date.parse(job.finished_at) : Date.now();
    const whole = Math.max(ended - begin, 1);
    const scale = (at) => Math.max(0, Math.min(100, ((Date.parse(at) - begin) / whole) * 100));
    drawAxis(axis, whole);
    const nodes = tasks.filter((task) => task.index === null);
    const kinds = new Map((model.definition.nodes ?? []).map((node) => [node.name, node]));
    const items = new Map();
    for (const task of tasks) if (task.index !== null) (items.get(task.name) ?? items.set(task.name, []).get(task.name)).push(task);
    for (const task of nodes) {
      let row = rows.get(task.name);
      if (!row) rows.set(task.name, (row = make(task, choose)));
      if (!row.element.isConnected) list.append(row.element);
      draw(row, task, items.get(task.name) ?? [], kinds.get(task.name), scale, chosen, job);
    }
    for (const [name, row] of rows) if (!nodes.some((task) => task.name === name)) { row.element.remove(); rows.delete(name); }
  }
  return { element, show };
}

function drawAxis(axis, whole) {
  const steps = [0, 0.25, 0.5, 0.75, 1];
  if (axis.children.length === 0) {
    fill(axis, h("span", { class: "name" }), h("span", { class: "track" }, steps.map((step) => {
      const tick = h("span", { class: "tick" });
      tick.style.left = `${step * 100}%`;
      return tick;
    })), h("span", { class: "took" }), h("span", { class: "note" }));
  }
  steps.forEach((step, place) => say(axis.children[1].children[place], step === 0 ? "0" : duration((whole * step) / 1000)));
}

function make(task, choose) {
  const parts = {
    name: h("button", { class: "name", type: "button", onclick: () => choose(task.name) }, h("span", { class: "dot" }), h("span", {}, task.name)),
    track: h("span", { class: "track" }), took: h("span", { class: "took" }), note: h("span", { class: "note" }),
  };
  return { parts, element: h("li", { class: "task", "data-task": task.name }, parts.name, parts.track, parts.took, parts.note), sign: "" };
}

function draw(row, task, items, node, scale, chosen, job) {
  const { parts, element } = row;
  element.className = `task ${task.state}${chosen?.name === task.name ? " selected" : ""}`;
  say(parts.took, task.cached ? "cached" : between(task.started_at, task.finished_at) || task.state);
  say(parts.note, why(task));
  parts.note.title = parts.note.textContent;
  const bars = items.length ? lanes(items).flatMap(([item, lane, count]) => runs(item, node, scale, job, lane, count)) : runs(task, node, scale, job, 0, 1);
  const sign = bars.map((each) => each.join("|")).join("\n");
  if (sign === row.sign) return;
  row.sign = sign;
  fill(parts.track, bars.map(([kind, from, to, lane, count, title]) => {
    const span = h("span", { class: `span ${kind}`, title });
    span.style.left = `${from}%`;
    span.style.width = `${Math.max(0.4, to - from)}%`;
    if (count > 1) {
      span.style.top = `${(lane / count) * 100}%`;
      span.style.height = `calc(${100 / count}% - 1px)`;
    }
    return span;
  }));
}

function why(task) {
  if (task.error && task.state !== "completed") return task.error.message;
  if (task.state === "running") return task.stage ?? "";
  const waits = task.waiting_for[0];
  if (waits && waits.reason !== "task") return `waits for ${waits.reason}: ${local(waits.detail)}`;
  if (task.state === "completed" && task.attempt > 1) return `at attempt ${task.attempt}`;
  return "";
}

// [kind, from, to, lane, lanes, title] of what is drawn for a task.
function runs(task, node, scale, job, lane, count) {
  const now = job.finished_at ?? new Date().toISOString();
  const bars = [];
  const label = task.index === null ? task.name : `${task.name} [${task.index}]`;
  const attempts = task.attempts ?? [];
  const round = (value) => Math.round(value * 100) / 100;
  const add = (kind, from, to, title) => bars.push([kind, round(scale(from)), round(scale(to)), lane, count, title]);
  if (task.index === null) { // items of a map wait above each other: their waits would hide their work
    for (const wait of waitsOf(task, node, now)) add("wait", wait.from, wait.to, `${label} ${wait.words}, ${between(wait.from, wait.to)}`);
  }
  for (const each of attempts) {
    const kind = each.outcome ?? (task.state === "waiting" ? "wait" : task.state); // handed over: nobody works
    const end = each.finished_at ?? now;
    const error = each.error ? `: ${each.error.message}` : "";
    add(kind, each.started_at, end, `${label}, attempt ${each.attempt}: ${each.outcome ?? "runs"}, ${between(each.started_at, end)}, from ${clock(each.started_at)}${each.worker ? ` on ${each.worker}` : ""}${error}`);
  }
  if (attempts.length === 0 && task.started_at && !(waitedOn(node) && task.index === null)) {
    const end = task.finished_at ?? now;
    add(task.state === "waiting" ? "wait" : task.state, task.started_at, end, `${label}: ${task.state}, ${between(task.started_at, end)}`);
  }
  return bars;
}

// Items of a map above each other where they overlapped.
function lanes(items) {
  const ends = [];
  const placed = [];
  const started = items.filter((task) => task.started_at).sort((a, b) => a.started_at.localeCompare(b.started_at));
  for (const task of started.slice(0, 500)) {
    let lane = ends.findIndex((end) => end <= task.started_at);
    if (lane < 0) lane = ends.length < LANES ? ends.length : placed.length % LANES;
    ends[lane] = task.finished_at ?? "9";
    placed.push([task, lane]);
  }
  return placed.map(([task, lane]) => [task, lane, Math.max(ends.length, 1)]);
}
