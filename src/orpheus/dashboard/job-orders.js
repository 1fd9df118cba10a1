// What a person may tell a job. Whether it may is for the server to say; here are the words and the questions.

import { ask, ofJob, post } from "./api.js";
import { button, field, fill, h } from "./dom.js";
import { duration, money, short } from "./format.js";
import { cutsEditor } from "./cuts-editor.js";
import { isPlan } from "./cuts.js";
import { schemaForm } from "./form.js";
import { ENDED } from "./job-model.js";
import { ask as dialog, attempt } from "./notices.js";
import { address, go } from "./router.js";
import { sendSignal, signalNodes } from "./signals.js";

/** The orders that make sense now: `[title, act, kind]`. */
export function ordersOf(context) {
  const { job } = context.model;
  const ended = ENDED.includes(job.state);
  const order = (name, body, done) => () => tell(context, name, body, done);
  return [
    ended && job.state !== "completed" && ["Retry", order("retry", {}, "tried again"), "primary"],
    !ended && (job.paused ? ["Resume", order("resume", {}, "resumed")] : ["Pause", order("pause", {}, "paused")]),
    !ended && signalNodes(context.model.definition).length > 0 && ["Send signal …", () => sendSignal(context)],
    !ended && ["Cancel …", () => cancel(context)],
    ended && ["Retry with changes …", () => retryChanged(context)],
    ["Run again …", () => go("submit", [job.workflow], new URLSearchParams({ from: job.job_id }))],
  ].filter(Boolean);
}

async function tell(context, name, body, done) {
  const { job } = context.model;
  await attempt(() => post(ofJob(job.job_id, name), body), `${job.workflow} ${short(job.job_id)} ${done}`);
  context.refresh();
}

async function cancel(context) {
  const { job } = context.model;
  const reason = h("input", { class: "input", maxLength: 500, placeholder: "optional" });
  const sure = await dialog("Cancel this job?", h("div", {}, h("p", {}, "Running work is stopped, and what it left unfinished is removed."), field("Reason", reason)),
    { yes: "Cancel the job", kind: "danger", submit: () => post(ofJob(job.job_id, "cancel"), { reason: reason.value || "cancelled on the page" }) });
  if (sure) context.refresh();
}

/** The same job with other values for some params: what reads them runs again, the rest is kept (R20). */
async function retryChanged(context) {
  const { job, definition } = context.model;
  const form = schemaForm(definition.params ?? {}, job.params ?? {});
  const before = form.value() ?? {};
  const done = await dialog(`Retry ${job.workflow} with changes`, h("div", {}, h("p", { class: "hint" }, "What reads a param that you change runs again, and all that depends on it. The rest is kept."), form.element), { yes: "Retry", wide: true, submit: () => {
    const params = Object.fromEntries(Object.entries(form.value() ?? {}).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name])));
    if (Object.keys(params).length === 0) throw new Error("Nothing is changed yet.");
    return post(ofJob(job.job_id, "retry"), { params });
  } });
  if (done) context.refresh();
}

/** Rewind to a node: it and all that depends on it run again. */
export async function runFrom(context, node, before) {
  const { job } = context.model;
  const again = new Set([node]);
  for (let grew = true; grew;) {
    grew = false;
    for (const [name, needs] of before) if (!again.has(name) && needs.some((each) => again.has(each))) { again.add(name); grew = true; }
  }
  const sure = await dialog(`Run again from ${node}?`, h("div", {}, h("p", {}, `These ${again.size === 1 ? "is 1 node" : `are ${again.size} nodes`} that will run again; results of the others are kept.`),
    h("p", {}, h("code", {}, [...again].join(", ")))), { yes: "Run again", submit: () => post(ofJob(job.job_id, "retry"), { from_task: node }) });
  if (sure) context.refresh();
}

/** Approve or reject a job that has not begun. */
export async function decideJob(context, job, yes) {
  const comment = h("input", { class: "input", maxLength: 4000, placeholder: yes ? "optional" : "" });
  if (!yes) {
    const done = await dialog("Reject this job?", field("Reason", comment), { yes: "Reject", kind: "danger", submit: () => post(ofJob(job.job_id, "reject"), { reason: comment.value || "rejected" }) });
    if (done) context.refresh();
    return;
  }
  const [whole, workflow] = await Promise.all([ask(ofJob(job.job_id)), ask(ofJob(job.job_id, "graph"))]);
  const form = schemaForm(workflow.params ?? {}, whole.params ?? {});
  const before = JSON.stringify(form.value());
  const told = h("p", { class: "hint", role: "status" });
  const estimate = async () => {
    const answer = await ask("estimate", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ workflow: `${job.workflow}@${job.workflow_version}`, params: form.value() }) }).catch(() => null);
    fill(told, answer ? estimateText(answer) : "");
  };
  estimate();
  form.element.addEventListener("change", estimate);
  const done = await dialog(`Approve ${job.workflow}`, h("div", {}, told, h("p", { class: "hint" }, "You may change its params first."), form.element, field("Comment", comment)), { yes: "Approve", wide: true, submit: () => {
    const params = form.value();
    const body = { comment: comment.value };
    if (JSON.stringify(params) !== before) body.params = params;
    return post(ofJob(job.job_id, "approve"), body);
  } });
  if (done) context.refresh();
}

/** Approve or reject an approval node; where it is editable, with another value. */
export async function decideNode(context, job, task, yes) {
  const comment = h("input", { class: "input", maxLength: 4000, placeholder: "optional" });
  const path = ofJob(job.job_id, "tasks", task.name, yes ? "approve" : "reject");
  if (!yes) {
    const done = await dialog(`Reject ${task.name}?`, field("Reason", comment), { yes: "Reject", kind: "danger", submit: () => post(path, { reason: comment.value }) });
    if (done) context.refresh();
    return;
  }
  const editable = task.approval.editable && !task.approval.value?.$large;
  const form = editable ? await valueForm(job, task.approval) : null;
  const before = form ? JSON.stringify(form.value()) : "";
  const done = await dialog(task.approval.prompt || `Approve ${task.name}`, h("div", {}, form?.element, field("Comment", comment)), { yes: "Approve", wide: editable, submit: () => {
    const body = { comment: comment.value };
    if (form && JSON.stringify(form.value()) !== before) body.value = form.value();
    return post(path, body);
  } });
  form?.leave();
  if (done) context.refresh();
}

/** What an approval asks about, to be edited: a cut plan over its sound, anything else as a form. `{element, value(), leave()}` */
async function valueForm(job, approval) {
  const asForm = (value) => ({ ...schemaForm(approval.schema ?? {}, value), leave() {} });
  if (!isPlan(approval.value)) return asForm(approval.value);
  let form = cutsEditor(approval.value, await ask(ofJob(job.job_id)));
  const holder = h("div", {}, form.element);
  const swap = button("Edit as a form", () => {
    form.leave();
    form = asForm(form.value());
    fill(holder, form.element);
    swap.remove();
  }, "link");
  return { element: h("div", {}, holder, swap), value: () => form.value(), leave: () => form.leave() };
}

export function estimateText(answer) {
  const time = answer.duration_s;
  const free = answer.price.most === 0;
  return [free ? "No price. " : `Price ${money(answer.price)}. `,
    time.p50 ? `Usually ${duration(time.p50)}${time.p95 ? `, at most about ${duration(time.p95)}` : ""}.` : "How long it takes is not known yet."].join("");
}

export const jobLink = (jobId) => h("a", { href: address("jobs", [jobId]) }, short(jobId));
