// When, and which job: the form of a schedule, for a new one and for one that is changed.

import { ask, patch, post } from "./api.js";
import { field, fill, h } from "./dom.js";
import { asInput, schemaForm } from "./form.js";
import { until } from "./format.js";
import { ask as dialog, notice } from "./notices.js";

const OVERLAP = [["skip", "leave the new run out"], ["queue", "let it wait"], ["allow", "run beside it"], ["cancel_older", "cancel the old one"]];
const MISSED = [["run_once", "run once, for all"], ["run_all", "run each of them"], ["skip", "leave them out"]];
const options = (pairs) => pairs.map(([value, text]) => h("option", { value }, text));

/** Ask for a schedule and make it, or change `known`. */
export async function editSchedule(known = null) {
  const { items } = await ask("workflows");
  const name = h("input", { class: "input", required: true, placeholder: "nightly", value: known?.name ?? "", disabled: known !== null });
  const cron = h("input", { class: "input", placeholder: "0 3 * * *", value: known?.cron ?? "" });
  const every = h("input", { class: "input", type: "number", min: 1, placeholder: "600", value: known?.every_s ?? "" });
  const zone = h("input", { class: "input", value: known?.timezone ?? (Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC") });
  const overlap = h("select", { class: "input" }, options(OVERLAP));
  const missed = h("select", { class: "input" }, options(MISSED));
  const description = h("input", { class: "input", maxLength: 2000, value: known?.description ?? "" });
  overlap.value = known?.overlap ?? "skip";
  missed.value = known?.missed ?? "run_once";
  const job = known?.job ?? {};
  const own = typeof job.workflow === "string" ? job.workflow : null; // a workflow sent whole has no name to choose
  const names = [...new Set([...(own ? [own] : []), ...items.map((each) => each.name)])];
  const workflow = h("select", { class: "input", onchange: draw, disabled: known !== null && !own }, names.map((each) => h("option", {}, each)));
  if (own) workflow.value = own;
  const params = h("div", {});
  let form = null;
  function draw() {
    const schema = items.find((each) => each.name === workflow.value.split("@")[0])?.params;
    form = schemaForm(schema, workflow.value === own ? asInput(job.params ?? {}) : undefined);
    fill(params, form.element);
  }
  draw();
  const before = known === null ? null : JSON.stringify([workflow.value, form.value()]);

  function body() {
    if (!cron.value.trim() === !every.value) throw new Error("Say when: a cron expression, or every so many seconds.");
    const when = cron.value.trim() ? { cron: cron.value.trim() } : { every_s: Number(every.value) };
    const changed = before === null || JSON.stringify([workflow.value, form.value()]) !== before;
    return { ...when, timezone: zone.value.trim(), overlap: overlap.value, missed: missed.value, description: description.value.trim(),
      ...(changed ? { job: { ...job, workflow: workflow.value, params: form.value() ?? {} } } : {}) };
  }

  const done = await dialog(known ? `Change ${known.name}` : "New schedule", h("div", {},
    h("div", { class: "columns" }, field("Name", name), field("Workflow", workflow), field("Cron", cron, "minute hour day month weekday, or @daily"), field("or every … seconds", every), field("Time zone", zone),
      field("When the last run still goes on", overlap), field("Runs that were missed", missed), field("Description", description)),
    h("h3", {}, "Params"), params), { yes: known ? "Change" : "Create", wide: true, submit: () =>
    (known ? patch(`schedules/${encodeURIComponent(known.name)}?tenant=${encodeURIComponent(known.tenant)}`, body()) : post("schedules", { name: name.value.trim(), ...body() })) });
  if (done) notice(`Schedule ${done.name} runs next ${done.next_run_at ? until(done.next_run_at) : "never"}`);
  return done;
}
