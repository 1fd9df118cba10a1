// Tell a job that something has happened: a signal by its name, with a payload made by the form of its type.

import { ofJob, post } from "./api.js";
import { field, fill, h } from "./dom.js";
import { schemaForm } from "./form.js";
import { ask as dialog, notice } from "./notices.js";

/** The nodes of a definition that wait for signals. */
export function signalNodes(definition) {
  return (definition?.nodes ?? []).filter((node) => node.kind === "wait_for");
}

/** Ask for a signal's payload and send it. */
export async function sendSignal(context, name = null) {
  const { job, definition } = context.model;
  const nodes = signalNodes(definition);
  const names = [...new Set(nodes.map((node) => node.signal))];
  const chosen = h("select", { class: "input", onchange: draw }, names.map((each) => h("option", {}, each)));
  if (names.includes(name)) chosen.value = name;
  const id = h("input", { class: "input", maxLength: 200, placeholder: "optional" });
  const payload = h("div", {});
  let form = null;
  function draw() {
    form = schemaForm(nodes.find((node) => node.signal === chosen.value)?.type_schema ?? {});
    fill(payload, form.element);
  }
  draw();
  const done = await dialog("Send a signal", h("div", {}, field("Signal", chosen), h("h3", {}, "Payload"), payload, field("Its id", id, "The same id again is the same signal.")), { yes: "Send", wide: true, submit: () =>
    post(ofJob(job.job_id, "signals", chosen.value), { payload: form.value() ?? null, ...(id.value.trim() ? { signal_id: id.value.trim() } : {}) }) });
  if (!done) return;
  notice(`Signal ${chosen.value} is sent`);
  context.refresh();
}
