// The inbox: what waits for a person, the longest waiting first.

import { isPlan, planWords } from "./cuts.js";
import { button, empty, fill, h, heading } from "./dom.js";
import { short } from "./format.js";
import { instant } from "./instant.js";
import { estimated } from "./job-head.js";
import { decideJob, decideNode } from "./job-orders.js";
import { renew } from "./keep.js";
import { listen, throttled, watch } from "./live.js";
import { address } from "./router.js";
import { tree } from "./tree.js";
import { waitingApprovals } from "./waiting.js";

export function view(root) {
  const list = h("div", { class: "inbox" });
  fill(root, heading("Approvals"), list);
  let sign = null;
  const load = throttled(async () => {
    try {
      const found = await waitingApprovals();
      const next = JSON.stringify(found.map(({ job, task }) => [job.job_id, task?.name]));
      if (next === sign) return;
      sign = next;
      if (found.length === 0) renew(list, () => empty("Nothing waits for you", "Jobs submitted with `requires_approval`, and approval nodes of running jobs, appear here. In a workflow: `plan = approval(\"Review the cuts\", plan_cuts(…), editable=True)`"));
      else renew(list, () => found.map((each) => entry(each, load)));
    } catch (error) {
      if (error.code !== "unreachable") fill(list, h("p", { class: "empty" }, error.message));
    }
  }, 600);
  watch();
  const stop = listen((batch) => batch.some((each) => each.type?.startsWith("job.") || each.type === "subscribed" || each.type === "reset") && load());
  const timer = setInterval(() => !document.hidden && load(), 3000);
  load();
  return { leave() { stop(); clearInterval(timer); } };
}

function entry({ job, task, since }, load) {
  const context = { refresh: load };
  const decide = (yes) => () => (task ? decideNode(context, job, task, yes) : decideJob(context, job, yes));
  return h("article", { class: "tile", "data-job": job.job_id },
    h("header", { class: "title" }, h("h2", {}, task ? task.approval.prompt || task.name : `May ${job.workflow} begin?`), h("span", { class: "spring" }),
      h("div", { class: "row" }, button(task?.approval.editable ? "Review and approve …" : "Approve …", decide(true), "primary small"), button("Reject …", decide(false), "danger quiet small"))),
    h("p", { class: "hint" }, h("a", { href: address("jobs", [job.job_id]) }, `${job.workflow} ${short(job.job_id)}`), task && ` · ${task.name}`, " · asked ", instant(since, "ago"), task?.approval.until && [" · fails ", instant(task.approval.until, "until")],
      Object.entries(job.labels).map(([name, value]) => h("span", { class: "label-chip" }, `${name}: ${value}`))),
    !task && estimated(job),
    task && task.approval.value !== null && (isPlan(task.approval.value) ? h("p", {}, `${planWords(task.approval.value)}.`) : tree(task.approval.value, 1)));
}
