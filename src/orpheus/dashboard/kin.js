// Jobs that a job has to do with: who opened it, whom it opened, for whom it waits, and who waits for it.

import { ask } from "./api.js";
import { h, pill } from "./dom.js";
import { short } from "./format.js";
import { renew } from "./keep.js";
import { throttled } from "./live.js";
import { address } from "./router.js";

const MOST = 100;

/** Return `{element, show()}`; the element is hidden where there are none. */
export function kin({ model }) {
  const element = h("section", { class: "panel kin", hidden: true });
  let sign = "";

  const show = throttled(async () => {
    const { job, definition } = model;
    const opens = (definition.nodes ?? []).some((node) => node.kind === "child" || node.workflow);
    const asked = (relation) => ask(`jobs?${relation}=${encodeURIComponent(job.job_id)}&limit=${MOST}`).catch(() => ({ items: [] }));
    const [parent, children, before, after] = await Promise.all([
      job.parent ? ask(`jobs/${encodeURIComponent(job.parent.job)}`).then((found) => ({ items: [found] }), () => ({ items: [] })) : { items: [] },
      opens ? asked("parent") : { items: [] }, asked("needed_by"), asked("depends_on"),
    ]);
    const groups = [["Opened by", parent], ["Child jobs", children, "parent"], ["Waits for", before, "needed_by"], ["Needed by", after, "depends_on"]].filter(([, found]) => found.items.length > 0);
    const next = JSON.stringify(groups.map(([name, found]) => [name, found.items.map((each) => [each.job_id, each.state])]));
    if (next === sign) return;
    sign = next;
    element.hidden = groups.length === 0;
    renew(element, () => [h("header", { class: "panel-head" }, h("h2", {}, "Related jobs")),
      h("div", { class: "columns" }, groups.map(([name, found, relation]) => h("div", {}, h("h3", {}, name), h("ul", { class: "plain" }, found.items.map(link)), found.next_cursor && more(relation, job.job_id))))]);
  }, 1000);

  return { element, show };
}

function link(job) {
  return h("li", {}, pill(job.state), " ", h("a", { href: address("jobs", [job.job_id]) }, `${job.workflow} ${short(job.job_id)}`));
}

function more(relation, jobId) {
  return h("p", { class: "hint" }, `The newest ${MOST}; `, h("a", { href: address("jobs", [], new URLSearchParams({ [relation]: jobId })) }, "all of them"));
}
