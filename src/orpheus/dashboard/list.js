// The list of jobs on the left: counts as filters, search, pages.

import { ask } from "./api.js";
import { bar, fill, h, notice } from "./dom.js";
import { ago, between, short } from "./format.js";
import { throttled } from "./live.js";

const STATES = ["pending", "queued", "running", "completed", "failed", "cancelled"];
const list = document.getElementById("list");
const more = document.getElementById("more");
const filters = document.getElementById("filters");
const search = document.getElementById("search");

let state = "";
let limit = 50;
let selected = null;
let jobs = [];
let asked = 0;

export function select(jobId) {
  selected = jobId;
  draw();
}

export function changed(message) {
  if (message.type === "reset" || message.type === "subscribed" || message.type.startsWith("job.")) refresh();
}

export const refresh = throttled(load, 400);

async function load() {
  const query = new URLSearchParams({ limit: String(limit) });
  if (state) query.set("state", state);
  if (search.value.trim()) query.set("q", search.value.trim());
  asked += 1;
  const mine = asked;
  try {
    const [page, stats] = await Promise.all([ask(`jobs?${query}`), ask("stats")]);
    if (mine !== asked) return;
    jobs = page.items;
    more.hidden = page.next_cursor === null;
    drawFilters(stats.jobs);
    draw();
  } catch (error) {
    notice(error.message, "error");
  }
}

function drawFilters(counts) {
  const total = STATES.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
  const chip = (name, count) =>
    h("button", {
      class: `chip ${name} ${state === name ? "on" : ""}`, type: "button", "aria-pressed": String(state === name),
      onclick: () => { state = name; limit = 50; load(); },
    }, h("span", { class: "dot" }), h("span", {}, name || "all"), h("b", {}, count.toLocaleString()));
  fill(filters, chip("", total), STATES.map((name) => chip(name, counts[name] ?? 0)));
}

function draw() {
  if (jobs.length === 0) {
    fill(list, h("li", { class: "empty" }, state || search.value ? "Nothing matches." : "No jobs yet. Drop a file anywhere on this page."));
    return;
  }
  fill(list, jobs.map(row));
}

function row(job) {
  const moving = job.state === "running" || job.state === "queued";
  const time = job.finished_at ? between(job.started_at, job.finished_at) : "";
  const why = job.error?.message ?? (job.finished_at ? "" : job.current_stage ?? job.waiting_for[0]?.detail) ?? "";
  return h("li", {},
    h("a", { class: `job ${job.state} ${job.job_id === selected ? "selected" : ""}`, href: `#/jobs/${job.job_id}`, "data-job": job.job_id },
      h("span", { class: "dot", title: job.state }),
      h("span", { class: "what" },
        h("span", { class: "name" }, job.workflow, h("code", {}, short(job.job_id)), job.paused && h("em", {}, "paused")),
        h("span", { class: "why" }, why || job.state)),
      h("span", { class: "when" }, h("span", {}, ago(job.created_at)), h("span", { class: "took" }, time)),
      moving && bar(job.progress_percentage, job.state)));
}

search.addEventListener("input", throttled(load, 300));
more.addEventListener("click", () => { limit = Math.min(limit + 100, 1000); load(); });
setInterval(() => jobs.length && draw(), 15000);
