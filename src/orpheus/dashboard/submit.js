// A new job: files that are dropped, or a workflow and a form made from its schema, with an estimate before it is sent.

import { ask, ofJob, post } from "./api.js";
import { empty, field, fill, h, heading } from "./dom.js";
import { asInput, schemaForm } from "./form.js";
import { estimateText } from "./job-orders.js";
import { throttled } from "./live.js";
import { attempt } from "./notices.js";
import { go, settle } from "./router.js";
import { sendFiles } from "./uploads.js";

const takesFile = (schema) => JSON.stringify(schema ?? {}).includes('"x-orpheus":"file"');

export function view(root, where) {
  let chosen = where.parts[0] ?? "";
  const picker = h("select", { id: "workflow", class: "input", onchange: () => { chosen = picker.value; settle("submit", [chosen], null); draw(); } });
  const target = h("select", { id: "upload-workflow", class: "input", "aria-label": "Workflow for files" }, h("option", {}, "media"));
  const input = h("input", { id: "file", class: "hidden-input", type: "file", multiple: true, onchange: () => { sendFiles([...input.files], target.value); input.value = ""; } });
  const body = h("div", {});
  let workflows = [];
  fill(root, heading("New job"),
    h("section", { class: "panel dropzone" }, h("h2", {}, "From files"), h("p", {}, "Drop files anywhere on the page: each becomes a job."),
      h("div", { class: "row" }, h("label", { class: "button primary", for: "file" }, "Choose files"), input, h("span", {}, "with"), target)),
    h("section", { class: "panel" }, h("h2", {}, "From a form"), field("Workflow", picker), body));

  async function load() {
    try {
      workflows = (await ask("workflows")).items;
    } catch (error) {
      fill(body, h("p", { class: "hint" }, error.message));
      return;
    }
    const uploads = workflows.filter((each) => takesFile(each.params)).map((each) => each.name);
    const before = target.value;
    fill(target, [...new Set(["media", ...uploads])].map((name) => h("option", { value: name }, name)));
    target.value = before;
    if (workflows.length === 0) {
      fill(body, empty("No workflows yet", "Start a worker that brings some: `orpheus worker --import flows.py`", h("a", { class: "button", href: "#/workflows" }, "Workflows")));
      return;
    }
    fill(picker, workflows.map((each) => h("option", { value: each.name }, each.name)));
    chosen = workflows.some((each) => each.name === chosen) ? chosen : workflows[0].name;
    picker.value = chosen;
    await draw();
  }

  async function draw() {
    const workflow = workflows.find((each) => each.name === chosen);
    if (!workflow) return;
    const from = where.query.get("from");
    const origin = from && where.parts[0] === chosen ? await ask(ofJob(from)).catch(() => null) : null;
    const form = schemaForm(workflow.params, origin ? asInput(origin.params) : undefined);
    const labels = h("input", { class: "input", placeholder: "customer:acme, night:yes", value: Object.entries(origin?.labels ?? {}).map(([name, value]) => `${name}:${value}`).join(", ") });
    const priority = h("select", { class: "input" }, [[1, "1, the highest"], [2, "2"], [3, "3"], [4, "4"], [5, "5, the lowest"]].map(([value, text]) => h("option", { value }, text)));
    priority.value = String(origin?.priority ?? 3);
    const start = h("input", { class: "input", type: "datetime-local" });
    const tenant = h("input", { class: "input", placeholder: "default", value: origin && origin.tenant !== "default" ? origin.tenant : "" });
    const approve = h("input", { type: "checkbox" });
    const budget = h("input", { class: "input", type: "number", min: 0, step: "any" });
    const told = h("p", { class: "estimate hint", role: "status" });
    const fault = h("p", { class: "fault", role: "alert" });

    function request() {
      const wanted = { workflow: chosen, params: form.value() ?? {} };
      const pairs = labels.value.split(",").map((each) => each.trim()).filter(Boolean);
      if (pairs.some((each) => !each.includes(":"))) throw new Error("Labels are written name:value, with commas between them");
      if (pairs.length) wanted.labels = Object.fromEntries(pairs.map((each) => [each.slice(0, each.indexOf(":")).trim(), each.slice(each.indexOf(":") + 1).trim()]));
      if (priority.value !== "3") wanted.priority = Number(priority.value);
      if (start.value) wanted.run_at = new Date(start.value).toISOString();
      if (tenant.value.trim()) wanted.tenant = tenant.value.trim();
      if (approve.checked) wanted.requires_approval = true;
      if (budget.value) wanted.budget = Number(budget.value);
      return wanted;
    }

    const estimate = throttled(async () => {
      let answer = null;
      try {
        answer = await post("estimate", request());
      } catch {
        // Half filled in: it is told when it is sent.
      }
      fill(told, answer ? estimateText(answer) : "");
    }, 500);
    const sheet = h("form", { class: "sheet", onsubmit: async (event) => {
      event.preventDefault();
      fault.textContent = "";
      try {
        const job = await post("jobs", request());
        go("jobs", [job.job_id]);
      } catch (error) {
        fault.textContent = error.message;
      }
    } },
    workflow.description && h("p", { class: "hint" }, workflow.description), origin && h("p", { class: "hint" }, `With the params of job ${origin.job_id.slice(-8)}.`),
    h("h3", {}, "Params"), form.element,
    h("details", { class: "more" }, h("summary", {}, "Labels, priority, time, approval"), h("div", { class: "columns" },
      field("Labels", labels), field("Priority", priority), field("Not before", start), field("Tenant", tenant), field("Budget", budget), h("label", { class: "check" }, approve, "Somebody has to approve it first"))),
    fault, h("div", { class: "row" }, h("button", { class: "button primary", type: "submit" }, "Submit"), told));
    sheet.addEventListener("input", estimate);
    sheet.addEventListener("change-done", estimate);
    fill(body, sheet);
    estimate();
  }

  attempt(load);
  return { moved: (next) => next.query.get("from") === where.query.get("from") && (next.parts[0] ?? "") === chosen };
}

