// Everything about a job as data: params, result, labels, and the manifest of what it left.

import { ask, ofJob, url } from "./api.js";
import { fill, h } from "./dom.js";
import { addressOf } from "./job-files.js";
import { tree } from "./tree.js";

export function dataTab({ model }) {
  const params = h("div", {});
  const result = h("div", {});
  const manifest = h("div", {}, h("p", { class: "hint" }, "Loading …"));
  const element = h("div", {}, panel("Params", params), panel("Result", result),
    panel("Manifest", manifest, h("a", { class: "button small quiet", href: url(ofJob(model.jobId, "manifest")), target: "_blank", rel: "noopener" }, "open")));
  let sign = "";

  function show() {
    const { job } = model;
    const next = JSON.stringify([job.params, job.result, job.artifacts.length, job.state]);
    if (next === sign) return;
    sign = next;
    fill(params, tree(job.params, 0, addressOf(job)));
    const large = job.result?.$large;
    fill(result, large ? h("a", { href: url(large.href) }, `open (${large.size_bytes.toLocaleString()} bytes)`) : job.result === null ? h("p", { class: "hint" }, "There is none yet.") : tree(job.result, 0, addressOf(job)));
    ask(ofJob(model.jobId, "manifest")).then((found) => fill(manifest, tree(found)), (error) => fill(manifest, h("p", { class: "hint" }, error.message)));
  }
  return { element, show };
}

function panel(title, body, beside) {
  return h("section", { class: "panel" }, h("header", { class: "panel-head" }, h("h2", {}, title), h("span", { class: "spring" }), beside), body);
}
