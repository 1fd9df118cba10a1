// What failed lately, alike with alike: one line per error, with its jobs and what to do about them.

import { ask, post } from "./api.js";
import { button, empty, fill, h, heading } from "./dom.js";
import { ago, exact, short } from "./format.js";
import { listen, throttled, watch } from "./live.js";
import { attempt } from "./notices.js";
import { address } from "./router.js";

const LOOKED_AT = 1000;

/** Messages that differ in numbers, ids and quoted things only are one error. */
export function alike(job) {
  const message = (job.error?.message ?? "").replace(/[0-9a-f]{8}-[0-9a-f-]{20,}/gi, "#").replace(/(['"`]).{1,80}?\1/g, "$1…$1").replace(/\d+([.,]\d+)*/g, "#");
  return [job.workflow, job.error?.task ?? "", job.error?.code ?? "", message.slice(0, 200)].join("\n");
}

export function view(root) {
  const list = h("div", { class: "inbox" });
  const count = h("span", { class: "hint" });
  fill(root, heading("Failures", count), list);
  const load = throttled(async () => {
    try {
      const { items, next_cursor } = await ask(`jobs?state=failed&limit=${LOOKED_AT}`);
      const groups = new Map();
      for (const job of items) (groups.get(alike(job)) ?? groups.set(alike(job), []).get(alike(job))).push(job);
      fill(count, items.length ? `${items.length.toLocaleString()}${next_cursor ? " newest" : ""} failed jobs, ${groups.size} different errors` : "");
      if (list.contains(document.activeElement)) return;
      if (groups.size === 0) fill(list, empty("Nothing has failed", "Failed jobs are gathered here by what went wrong, so that a hundred alike are read once.", h("a", { class: "button", href: "#/jobs" }, "To the jobs")));
      else fill(list, [...groups.values()].sort((a, b) => b.length - a.length).map((jobs) => group(jobs, load)));
    } catch (error) {
      if (error.code !== "unreachable") fill(list, h("p", { class: "empty" }, error.message));
    }
  }, 1500);
  watch();
  const stop = listen((batch) => batch.some((each) => ["job.failed", "job.retried", "subscribed", "reset"].includes(each.type)) && load());
  load();
  return { leave: stop };
}

function group(jobs, load) {
  const [newest] = jobs;
  const { error } = newest;
  const retry = async () => {
    let done = 0;
    await attempt(async () => {
      for (const job of jobs) {
        await post(`jobs/${encodeURIComponent(job.job_id)}/retry`);
        done += 1;
      }
    }, () => `${done} jobs are tried again`);
    document.activeElement?.blur();
    load();
  };
  return h("article", { class: "tile failure" },
    h("header", { class: "title" }, h("b", { class: "count" }, jobs.length.toLocaleString()), h("h2", {}, error?.message ?? "failed"), h("span", { class: "spring" }),
      button(jobs.length === 1 ? "Retry" : `Retry all ${jobs.length}`, retry, "small")),
    h("p", { class: "hint" }, h("code", {}, error?.code ?? ""), ` · ${newest.workflow}${error?.task ? `, ${error.task}` : ""} · last `, h("time", { dateTime: newest.finished_at ?? "", title: exact(newest.finished_at) }, newest.finished_at ? ago(newest.finished_at) : "–"), jobs.length > 1 && `, first ${ago(jobs.at(-1).finished_at ?? jobs.at(-1).created_at)}`),
    error?.hint && h("p", {}, error.hint),
    h("p", { class: "row" }, jobs.slice(0, 8).map((job) => h("a", { class: "label-chip", href: address("jobs", [job.job_id]) }, short(job.job_id))), jobs.length > 8 && h("span", { class: "hint" }, `and ${jobs.length - 8} more`)));
}
