// What may be submitted: each workflow with its graph, its schema, its versions, and how its jobs have fared.

import { ask, jobs, ofJob, post } from "./api.js";
import { empty, fill, h, heading, prose, say, table } from "./dom.js";
import { duration } from "./format.js";
import { instant } from "./instant.js";
import { graph } from "./graph.js";
import { renew } from "./keep.js";
import { listen, throttled, watch } from "./live.js";
import { address } from "./router.js";
import { asInput } from "./form.js";
import { tree } from "./tree.js";

export function view(root, where) {
  const [name] = where.parts;
  const load = throttled(name ? one(root, name, where.query.get("version")) : all(root), 2000);
  watch();
  const stop = listen((batch) => name && batch.some((each) => ["job.completed", "job.failed", "reset"].includes(each.type)) && load());
  const timer = setInterval(() => !document.hidden && load(), 5000); // workers publish without an event
  load();
  return { leave() { stop(); clearInterval(timer); } };
}

function all(root) {
  const list = h("div", { class: "tiles" }, h("p", { class: "empty" }, "Loading …"));
  fill(root, heading("Workflows"), list);
  let sign = null;
  return async () => {
    try {
      const { items } = await ask("workflows");
      const next = JSON.stringify(items.map((each) => [each.name, each.version]));
      if (next === sign) return;
      sign = next;
      if (items.length === 0) renew(list, () => empty("No workflows yet", "A worker publishes its workflows when it starts: `orpheus worker --import flows.py`. Or post one as JSON to `/workflows`."));
      else renew(list, () => items.map(tile));
    } catch (error) {
      if (error.code !== "unreachable") fill(list, h("p", { class: "empty" }, error.message));
    }
  };
}

function tile(each) {
  return h("article", { class: "tile" },
    h("h2", {}, h("a", { href: address("workflows", [each.name]) }, each.name), h("small", {}, `v${each.version}`)),
    h("p", { class: "hint" }, prose(each.description || "No description.")),
    h("div", { class: "row" }, h("a", { class: "button small", href: address("submit", [each.name]) }, "Try it"), h("a", { class: "button small quiet", href: address("jobs", [], new URLSearchParams({ workflow: each.name })) }, "Jobs")));
}

function one(root, name, version) {
  fill(root, h("p", { class: "empty" }, "Loading …"));
  let show = null; // what brings the figures up to date
  return async () => {
    try {
      show ??= draw(root, await ask(`workflows/${encodeURIComponent(name)}${version ? `?version=${encodeURIComponent(version)}` : ""}`));
      await show();
    } catch (error) {
      if (error.code !== "unreachable" && show === null) fill(root, empty("This workflow cannot be shown", error.message, h("a", { class: "button primary", href: "#/workflows" }, "All workflows")));
    }
  };
}

function draw(root, workflow) {
  const { name } = workflow;
  const nodes = h("div", {});
  const fares = h("p", { class: "hint about" });
  const picture = graph(workflow.graph, { down: innerWidth < 700 });
  picture.show(new Map());
  fill(root, h("a", { class: "back", href: "#/workflows" }, "‹ All workflows"),
    heading([name, h("small", {}, `v${workflow.version}`)], h("a", { class: "button primary", href: address("submit", [name]) }, "Try it")),
    workflow.description && h("p", {}, prose(workflow.description)),
    h("p", { class: "hint" }, "Versions: ", workflow.versions.map((each, place) => [place > 0 && " ", each === workflow.version ? h("b", {}, each) : h("a", { href: address("workflows", [name], new URLSearchParams({ version: each })) }, each)]), workflow.published_at && [", published ", instant(workflow.published_at)]),
    fares,
    h("section", { class: "panel" }, h("h2", {}, "Graph"), picture.element), h("section", { class: "panel" }, h("h2", {}, "Nodes"), nodes),
    h("section", { class: "panel" }, h("h2", {}, "Params"), tree(workflow.params)),
    workflow.result && h("section", { class: "panel" }, h("h2", {}, "Result"), tree(workflow.result)));
  let sign = null;

  return async () => {
    const ended = (await jobs(`workflow=${encodeURIComponent(name)}&state=completed&state=failed`, 200)).items;
    const next = JSON.stringify(ended.map((job) => [job.job_id, job.finished_at]));
    if (next === sign) return;
    sign = next;
    const failed = ended.filter((job) => job.state === "failed").length;
    const times = ended.filter((job) => job.state === "completed" && job.started_at).map((job) => (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000).sort((a, b) => a - b);
    const at = (share) => times.length ? duration(times[Math.min(times.length - 1, Math.floor(times.length * share))]) : "–";
    say(fares, ended.length === 0 ? "None of its jobs has ended yet." : `Of the last ${ended.length} that ended, ${failed} failed (${Math.round((failed / ended.length) * 100)} %). A job takes ${at(0.5)} (p50), ${at(0.95)} (p95).`);
    const expected = await durations(workflow, ended.find((job) => job.state === "completed"));
    const known = new Map((expected?.nodes ?? []).map((each) => [each.node, each]));
    for (const node of workflow.graph.nodes ?? []) node.p50 = known.get(node.name)?.duration_s.p50;
    picture.show(new Map());
    renew(nodes, () => table("Nodes of the workflow", [
      ["node", (node) => h("b", {}, node.name)], ["kind", (node) => node.kind ?? "task"], ["task", (node) => h("code", {}, node.task ? `${node.task}@${node.version ?? 1}` : node.workflow ?? "")],
      ["queue", (node) => node.queue ?? (node.task ? "default" : "")], ["p50", (node) => duration(known.get(node.name)?.duration_s.p50 ?? NaN) || "–", "number"], ["p95", (node) => duration(known.get(node.name)?.duration_s.p95 ?? NaN) || "–", "number"],
      ["runs recorded", (node) => known.get(node.name)?.samples ?? "–", "number"], ["retries", (node) => node.retry?.max_retries ?? "", "number"],
    ], workflow.graph.nodes ?? []));
  };
}

// Recorded durations go by the size of the input: those for the input of the last job that completed.
async function durations(workflow, last) {
  const needed = (workflow.params.required ?? []).length > 0;
  if (needed && !last) return null;
  const job = last ? await ask(ofJob(last.job_id)).catch(() => null) : null;
  return post("estimate", { workflow: `${workflow.name}@${workflow.version}`, params: job ? asInput(job.params) : {} }).catch(() => null);
}
