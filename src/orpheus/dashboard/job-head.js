// The top of a job: what it is, how far it is, what it may be told, why it does not move, what went wrong.

import { decideJob, decideNode, ordersOf } from "./job-orders.js";
import { ENDED } from "./job-model.js";
import { isPlan, planWords } from "./cuts.js";
import { bar, button, h, pill } from "./dom.js";
import { between, local, money, tally } from "./format.js";
import { instant } from "./instant.js";
import { address } from "./router.js";
import { sendSignal, signalNodes } from "./signals.js";
import { addressOf } from "./job-files.js";
import { tree } from "./tree.js";

export function head(context) {
  const { job } = context.model;
  const ended = ENDED.includes(job.state);
  return h("header", { class: "job-head" },
    h("a", { class: "back", href: address("jobs") }, "‹ All jobs"),
    h("div", { class: "title" },
      h("h1", {}, job.workflow, h("small", {}, `v${job.workflow_version}`)),
      pill(job.state), job.paused && pill("pending", "paused"), job.cancel_requested_at && !ended && pill("cancelled", "cancelling"),
      h("span", { class: "spring" }),
      h("div", { class: "actions", role: "toolbar", "aria-label": "Orders" }, ordersOf(context).map(([name, act, kind]) => button(name, act, kind ?? "quiet")))),
    h("dl", { class: "facts" },
      fact("Job", h("code", { class: "id" }, job.job_id)),
      fact("Created", instant(job.created_at)),
      fact("Took", between(job.started_at, job.finished_at) || "–"),
      fact("Tasks", tally(job.tasks)),
      job.tenant !== "default" && fact("Tenant", job.tenant),
      job.priority !== 3 && fact("Priority", job.priority),
      job.generation > 1 && fact("Generation", job.generation),
      job.schedule && fact("Schedule", h("a", { href: address("schedules", [job.schedule]) }, job.schedule)),
      job.parent && fact("Part of", h("a", { href: address("jobs", [job.parent.job]) }, `${job.parent.job.slice(-8)}, ${job.parent.task}`)),
      job.cost > 0 && fact("Cost", job.cost), job.budget !== null && fact("Budget", job.budget),
      Object.entries(job.labels).map(([name, value]) => fact(name, h("a", { href: address("jobs", [], new URLSearchParams({ label: `${name}:${value}` })) }, value)))),
    !["completed", "cancelled"].includes(job.state) && h("div", { class: "progress" },
      bar(job.progress_percentage, job.state, "progress of the job"),
      h("span", {}, `${Math.round(job.progress_percentage)} %`),
      h("span", { class: "stage" }, ended ? "" : job.current_stage ?? "")));
}

function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

export function problems(context) {
  const { job, tasks } = context.model;
  const failed = job.error?.task ? tasks.find((task) => task.name === job.error.task && task.error) : null;
  const others = job.waiting_for.filter((each) => each.reason !== "approval");
  return [
    job.error && h("section", { class: "box error", "aria-label": "Error" },
      h("strong", {}, job.error.code, job.error.task ? ` in ${job.error.task}` : ""), h("p", {}, job.error.message),
      job.error.hint && h("p", { class: "hint" }, job.error.hint),
      h("p", { class: "hint" }, failed ? `Attempt ${failed.attempt} of ${failed.max_retries + 1}. ` : "",
        failed && button("Show its logs", () => context.open("logs", new URLSearchParams({ node: failed.name })), "link"))),
    others.length > 0 && h("section", { class: "box waiting", "aria-label": "Waits" },
      h("strong", {}, "Waits"), others.map((each) => h("p", {}, h("b", {}, each.reason), ` ${local(each.detail)}`, each.since && h("span", { class: "hint" }, " since ", instant(each.since)), " ", nextStep(context, each)))),
  ];
}

// What somebody who reads the reason may do about it.
function nextStep(context, { reason, detail }) {
  if (reason === "event") {
    const name = signalNodes(context.model.definition).map((node) => node.signal).find((each) => detail.includes(`signal ${each}`));
    return button("Send it …", () => sendSignal(context, name), "link");
  }
  if (reason === "worker" || reason === "slot") return h("a", { href: address("queues") }, "Queues & workers");
  return null;
}

/** What waits for a person: the job before it begins, or nodes in its middle. */
export function approvals(context) {
  const { job, nodes } = context.model;
  if (ENDED.includes(job.state)) return [];
  const open = [...nodes.values()].filter((task) => task.approval && task.state === "waiting" && task.approval.decision === null);
  const whole = job.state === "pending" && job.waiting_for.some((each) => each.reason === "approval");
  return [
    whole && h("section", { class: "box ask", "aria-label": "Approval" },
      h("div", {}, h("strong", {}, "This job waits for your approval"), estimated(job)),
      h("div", { class: "row" }, button("Approve …", () => decideJob(context, job, true), "primary"), button("Reject …", () => decideJob(context, job, false), "danger quiet"))),
    open.map((task) => h("section", { class: "box ask", "aria-label": `Approval of ${task.name}` },
      h("div", {}, h("strong", {}, task.approval.prompt || `${task.name} waits for your approval`),
        h("p", { class: "hint" }, `${task.name}, asked `, instant(task.approval.since), task.approval.until && [", fails ", instant(task.approval.until, "until"), " if nobody answers"]),
        isPlan(task.approval.value) ? h("p", {}, `${planWords(task.approval.value)}.`) : h("details", {}, h("summary", {}, "What it is about"), tree(task.approval.value, 0, addressOf(job)))),
      h("div", { class: "row" }, button(task.approval.editable ? "Review and approve …" : "Approve …", () => decideNode(context, job, task, true), "primary"),
        button("Reject …", () => decideNode(context, job, task, false), "danger quiet")))),
  ];
}

export function estimated(job) {
  const price = job.estimate?.price;
  const time_ = job.estimate?.duration_s;
  if (!price && !time_) return null;
  return h("p", { class: "hint" }, price && (price.most === 0 ? "Costs nothing. " : `Expected price ${money(price)}. `),
    time_?.p50 ? `Usually takes ${time_.p50.toFixed(1)} s.` : "");
}
