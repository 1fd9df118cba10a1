// Jobs by the clock: what runs next, what became of the last runs; pause, run now, make a new one.

import { ask, post } from "./api.js";
import { button, empty, fill, h, heading, pill } from "./dom.js";
import { duration } from "./format.js";
import { instant } from "./instant.js";
import { jobLink } from "./job-orders.js";
import { renew } from "./keep.js";
import { listen, throttled, watch } from "./live.js";
import { ask as dialog, attempt } from "./notices.js";
import { address } from "./router.js";
import { editSchedule } from "./schedule-form.js";

export function view(root, where) {
  const list = h("div", { class: "tiles wide-tiles" });
  fill(root, heading("Schedules", button("New schedule", () => editSchedule().then(load), "primary")), list);
  const load = throttled(async () => {
    try {
      const { items } = await ask("schedules?limit=200");
      const named = where.parts[0] ? items.filter((each) => each.name === where.parts[0]) : items;
      const firings = await Promise.all(named.slice(0, 30).map((each) => ask(path(each, "firings", "limit=6")).catch(() => ({ items: [] }))));
      if (named.length === 0) renew(list, () => empty("No schedules yet", "A schedule submits a job every night, every ten minutes, on the first of the month.", button("New schedule", () => editSchedule().then(load), "primary")));
      else renew(list, () => named.map((each, place) => card(each, firings[place]?.items ?? [], load)));
    } catch (error) {
      if (error.code !== "unreachable") fill(list, h("p", { class: "empty" }, error.message));
    }
  }, 1000);
  watch();
  const stop = listen((batch) => batch.some((each) => each.type === "job.created" || each.type === "subscribed") && load());
  const timer = setInterval(() => !document.hidden && load(), 15000);
  load();
  return { leave() { stop(); clearInterval(timer); } };
}

function path(schedule, part, query = "") {
  return `schedules/${encodeURIComponent(schedule.name)}${part ? `/${part}` : ""}?tenant=${encodeURIComponent(schedule.tenant)}${query ? `&${query}` : ""}`;
}

function card(each, firings, load) {
  const order = (part, done) => () => attempt(() => post(path(each, part)), done).then(load);
  return h("article", { class: "tile", "data-schedule": each.name },
    h("header", { class: "title" }, h("h2", {}, each.name), each.paused ? pill("pending", "paused") : pill("completed", "on"), h("span", { class: "spring" }),
      h("div", { class: "row" }, button("Run now", order("run", (firing) => (firing.job_id ? `${each.name}: job ${firing.job_id.slice(-8)}` : `${each.name}: ${firing.reason ?? firing.outcome}`)), "small"),
      button(each.paused ? "Resume" : "Pause", order(each.paused ? "resume" : "pause", `${each.name} ${each.paused ? "resumed" : "paused"}`), "small quiet"),
      button("Change …", () => editSchedule(each).then(load), "small quiet", { "aria-label": `Change ${each.name}` }), button("Delete …", () => remove(each).then(load), "small quiet danger", { "aria-label": `Delete ${each.name}` }))),
    each.description && h("p", {}, each.description),
    h("p", {}, h("code", {}, each.cron ?? `every ${duration(each.every_s)}`), ` ${each.timezone} · `, h("a", { href: address("workflows", [String(each.job.workflow?.name ?? each.job.workflow)]) }, each.job.workflow?.name ?? each.job.workflow), h("span", { class: "hint" }, ` · missed ${each.missed} · overlap ${each.overlap}${each.tenant === "default" ? "" : ` · ${each.tenant}`}`)),
    h("div", { class: "columns" },
      h("div", {}, h("h3", {}, "Next runs"), each.next_runs.length === 0 ? h("p", { class: "hint" }, "None.") : h("ol", { class: "plain" }, each.next_runs.slice(0, 5).map((at) => h("li", {}, instant(at), " ", h("span", { class: "hint" }, instant(at, "until")))))),
      h("div", {}, h("h3", {}, "Last runs"), firings.length === 0 ? h("p", { class: "hint" }, "It has not run yet.") : h("ol", { class: "plain" }, firings.map((firing) => h("li", {}, instant(firing.at), " ", firing.job_id ? jobLink(firing.job_id) : h("span", { class: "hint" }, `${firing.outcome}${firing.reason ? `: ${firing.reason}` : ""}`)))))));
}

async function remove(each) {
  return dialog(`Delete ${each.name}?`, h("p", {}, "It makes no more jobs. Those it has made stay."), { yes: "Delete the schedule", kind: "danger", submit: () => ask(path(each, ""), { method: "DELETE" }) });
}
