// One job on the right: state, progress, tasks over time, artifacts with previews, result, events, logs.

import { ask, post, url } from "./api.js";
import { bar, fill, h, notice } from "./dom.js";
import { between, clock, short, tally } from "./format.js";
import { throttled, watch } from "./live.js";
import { gallery } from "./gallery.js";

const pane = document.getElementById("detail");
const ENDED = ["completed", "failed", "cancelled"];

let current = null;
let tab = "overview";
let asked = 0;
let shown = null; // what was fetched last

export function show(jobId) {
  current = jobId;
  shown = null;
  watch(jobId);
  if (jobId === null) {
    fill(pane, welcome());
    return;
  }
  fill(pane, h("p", { class: "empty" }, "Loading …"));
  load();
}

function welcome() {
  return h("div", { class: "welcome" },
    h("img", { src: "static/icon.svg", alt: "", width: 72, height: 72 }),
    h("h1", {}, "Drop a file, watch it become results"),
    h("p", {}, "Every step is on disk before it is acknowledged. Pick a job on the left to see its tasks, files and history."));
}

export function changed(message) {
  if (current === null) return;
  if (message.type === "reset" || message.type === "subscribed") refresh();
  else if (message.job_id !== current) return;
  else if (message.type === "progress") progressed(message);
  else refresh();
}

function progressed(message) {
  const row = pane.querySelector(`[data-task="${CSS.escape(message.task)}"][data-index="${message.index ?? ""}"] .stage`);
  if (row && message.data.stage) row.textContent = message.data.stage;
  refresh();
}

const refresh = throttled(load, 300);

async function load() {
  asked += 1;
  const mine = asked;
  const jobId = current;
  if (jobId === null) return;
  try {
    const job = await ask(`jobs/${encodeURIComponent(jobId)}`);
    const part = tab === "events" ? await ask(`jobs/${jobId}/events?limit=1000`)
      : tab === "logs" ? await ask(`jobs/${jobId}/logs?limit=1000`)
      : await ask(`jobs/${jobId}/tasks?limit=200`);
    if (mine !== asked || jobId !== current) return;
    draw(job, part.items);
  } catch (error) {
    if (jobId === current && shown === null) fill(pane, h("p", { class: "empty" }, error.message));
  }
}

function draw(job, items) {
  const same = shown !== null && shown.job.job_id === job.job_id && shown.tab === tab;
  const scroll = pane.scrollTop;
  const body = tab === "events" ? events(job, items) : tab === "logs" ? logs(items) : overview(job, items, same);
  fill(pane, head(job), problems(job), tabs(), body);
  if (same) pane.scrollTop = scroll;
  shown = { job, tab };
}

function head(job) {
  const ended = ENDED.includes(job.state);
  const act = (name, path, body, kind = "quiet") =>
    h("button", { class: `button ${kind}`, type: "button", onclick: () => order(path, body) }, name);
  return h("header", { class: "job-head" },
    h("a", { class: "back", href: "#/" }, "‹ All jobs"),
    h("div", { class: "title" },
      h("h1", {}, job.workflow, h("small", {}, `v${job.workflow_version}`)),
      h("span", { class: `pill ${job.state}` }, h("span", { class: "dot" }), job.state),
      job.paused && h("span", { class: "pill pending" }, "paused"),
      h("span", { class: "spring" }),
      !ended && (job.paused ? act("Resume", "resume") : act("Pause", "pause")),
      !ended && act("Cancel", "cancel", { reason: "cancelled on the page" }),
      ended && job.state !== "completed" && act("Retry", "retry", {}, "primary")),
    h("dl", { class: "facts" },
      fact("id", h("code", { title: job.job_id }, job.job_id)),
      fact("tenant", job.tenant),
      fact("took", between(job.started_at, job.finished_at) || "–"),
      fact("tasks", tally(job.tasks)),
      job.generation > 1 && fact("generation", job.generation),
      Object.entries(job.labels).map(([name, value]) => fact(name, value))),
    h("div", { class: "progress" },
      bar(job.progress_percentage, job.state),
      h("span", {}, `${Math.round(job.progress_percentage)} %`),
      h("span", { class: "stage" }, ended ? "" : job.current_stage ?? "")));
}

function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

function problems(job) {
  return [
    job.error && h("div", { class: "box error" },
      h("strong", {}, job.error.code, job.error.task ? ` in ${job.error.task}` : ""), h("p", {}, job.error.message),
      job.error.hint && h("p", { class: "hint" }, job.error.hint)),
    job.waiting_for.length > 0 && h("div", { class: "box waiting" },
      h("strong", {}, "Waits"), job.waiting_for.map((each) => h("p", {}, `${each.reason}: ${each.detail ?? ""}`))),
  ];
}

function tabs() {
  return h("nav", { class: "tabs" }, ["overview", "events", "logs"].map((name) =>
    h("button", { class: tab === name ? "on" : "", type: "button", onclick: () => { tab = name; load(); } }, name)));
}

let keptGallery = null;

function overview(job, tasks, same) {
  const names = JSON.stringify(job.artifacts.map((each) => [each.name, each.sha256]));
  if (!same || keptGallery === null || keptGallery.names !== names || keptGallery.job !== job.job_id) {
    keptGallery = { names, job: job.job_id, element: gallery(job.artifacts) }; // players keep playing while the rest is redrawn
  }
  return h("div", {}, timeline(job, tasks), keptGallery.element, result(job));
}

function timeline(job, tasks) {
  const begin = Date.parse(job.started_at ?? job.created_at);
  const end = job.finished_at ? Date.parse(job.finished_at) : Date.now();
  const whole = Math.max(end - begin, 1);
  return h("section", {}, h("h2", {}, "Tasks"), h("div", { class: "timeline" }, tasks.map((task) => {
    const span = h("span", { class: `span ${task.state}` });
    if (task.started_at) {
      const from = Math.max(0, Date.parse(task.started_at) - begin);
      const to = (task.finished_at ? Date.parse(task.finished_at) : end) - begin;
      span.style.left = `${Math.min(99, (from / whole) * 100)}%`;
      span.style.width = `${Math.max(0.6, ((to - from) / whole) * 100)}%`;
    } else {
      span.hidden = true;
    }
    const label = task.index === null ? task.name : `${task.name} [${task.index}]`;
    const waits = task.waiting_for[0];
    const why = task.error?.message ?? (task.state === "running" ? task.stage : waits && `waits for ${waits.reason} ${waits.detail ?? ""}`) ?? "";
    return h("div", { class: `task ${task.state}`, "data-task": task.name, "data-index": task.index ?? "" },
      h("span", { class: "dot", title: task.state }),
      h("span", { class: "name", title: task.handler }, label),
      h("span", { class: "track" }, span),
      h("span", { class: "took" }, between(task.started_at, task.finished_at) || task.state),
      h("span", { class: "stage" }, why));
  })));
}

function result(job) {
  if (job.result === null || job.result === undefined) return null;
  const large = job.result.$large;
  return h("section", {}, h("h2", {}, "Result"),
    large ? h("p", {}, h("a", { href: url(large.href) }, `open (${large.size_bytes.toLocaleString()} bytes)`))
      : h("pre", { class: "json" }, JSON.stringify(job.result, null, 2)));
}

function events(job, items) {
  return h("ol", { class: "events" }, items.map((event) =>
    h("li", {}, h("time", {}, clock(event.at)), h("b", {}, event.type),
      event.task && h("code", {}, (event.index ?? null) === null ? event.task : `${event.task} [${event.index}]`),
      h("span", {}, Object.keys(event.data ?? {}).length ? JSON.stringify(event.data) : ""))));
}

function logs(items) {
  if (items.length === 0) return h("p", { class: "empty" }, "Nothing was said.");
  return h("pre", { class: "logs" }, items.map((line) =>
    h("span", { class: `line ${line.level}` }, `${clock(line.at)} ${line.task}${line.index === null ? "" : `[${line.index}]`} `, line.message, "\n")));
}

async function order(path, body = {}) {
  try {
    await post(`jobs/${current}/${path}`, body);
    notice(`${short(current)}: ${path}`);
    load();
  } catch (error) {
    notice(error.message, "error");
  }
}

setInterval(() => shown !== null && !ENDED.includes(shown.job.state) && refresh(), 2000);
