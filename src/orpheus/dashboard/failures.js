// What is failed now, alike with alike: one entry per error, with its jobs and what to do about them.

import { ask, post } from "./api.js";
import { button, empty, fill, h, heading } from "./dom.js";
import { short } from "./format.js";
import { instant } from "./instant.js";
import { renew } from "./keep.js";
import { listen, throttled, watch } from "./live.js";
import { attempt } from "./notices.js";
import { address } from "./router.js";

export function view(root) {
  const list = h("div", { class: "inbox" });
  const count = h("span", { class: "hint" });
  fill(root, heading("Failures", count), list);
  const load = throttled(async () => {
    try {
      const { items } = await ask("failures?limit=100");
      const jobs = items.reduce((sum, each) => sum + each.jobs, 0);
      fill(count, jobs ? `${jobs.toLocaleString()} failed ${jobs === 1 ? "job" : "jobs"}, ${items.length} different ${items.length === 1 ? "error" : "errors"}` : "");
      if (items.length === 0) renew(list, () => empty("Nothing has failed", "Failed jobs are gathered here by what went wrong, so that a hundred alike are read once.", h("a", { class: "button", href: "#/jobs" }, "To the jobs")));
      else renew(list, () => items.map((each) => group(each, load)));
    } catch (error) {
      if (error.code !== "unreachable") fill(list, h("p", { class: "empty" }, error.message));
    }
  }, 1500);
  watch();
  const stop = listen((batch) => batch.some((each) => ["job.failed", "job.retried", "subscribed", "reset"].includes(each.type)) && load());
  load();
  return { leave: stop };
}

function group(each, load) {
  const retry = async () => {
    let cursor = null;
    let done = 0;
    await attempt(async () => {
      do {
        const answer = await post("jobs/bulk", cursor ? { ...each.retry, cursor } : each.retry);
        done += answer.outcomes.done ?? 0;
        cursor = answer.next_cursor;
      } while (cursor);
    }, () => `${done} ${done === 1 ? "job is" : "jobs are"} tried again`);
    load();
  };
  return h("article", { class: "tile failure" },
    h("header", { class: "title" }, h("b", { class: "count" }, each.jobs.toLocaleString()), h("h2", {}, each.message), h("span", { class: "spring" }),
      button(each.jobs === 1 ? "Retry" : `Retry all ${each.jobs.toLocaleString()}`, retry, "small")),
    h("p", { class: "hint" }, h("code", {}, each.code), each.type && ` ${each.type}`, ` · ${each.workflow}${each.task ? `, ${each.task}` : ""} · last `, instant(each.last_at, "ago"), each.jobs > 1 && [", first ", instant(each.first_at, "ago")]),
    h("p", { class: "row" }, each.sample.map((jobId) => h("a", { class: "label-chip", href: address("jobs", [jobId]) }, short(jobId))),
      each.jobs > each.sample.length && h("a", { href: address("jobs", [], new URLSearchParams({ failure: each.failure })) }, `all ${each.jobs.toLocaleString()}`)));
}
