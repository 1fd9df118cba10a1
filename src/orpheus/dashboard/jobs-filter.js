// The row of filters, and how a filter stands in the address and in the API's query: in the same words.

import { ask } from "./api.js";
import { button, fill, h } from "./dom.js";

const SPANS = [["", "any time"], ["3600", "last hour"], ["86400", "last day"], ["604800", "last week"], ["2592000", "last 30 days"]];
const TEXTS = ["workflow", "tenant", "label", "q", "since"];
const ASIDE = ["parent", "depends_on", "needed_by", "failure"]; // come with links only

/** Read a filter from an address. */
export function readFilter(query) {
  const filter = { state: query.getAll("state") };
  for (const name of TEXTS) filter[name] = query.get(name) ?? "";
  for (const name of ASIDE) filter[name] = query.get(name) ?? "";
  return filter;
}

/** Write it as the address has it. */
export function toAddress(filter) {
  const query = new URLSearchParams();
  for (const state of filter.state) query.append("state", state);
  for (const name of [...TEXTS, ...ASIDE]) if (filter[name]) query.set(name, filter[name]);
  return query;
}

/** Write it as `GET /jobs` takes it. */
export function toQuery(filter) {
  const query = toAddress(filter);
  query.delete("since");
  if (query.has("label") && !/^[^:]+:./.test(filter.label)) query.delete("label"); // half typed
  if (filter.since) query.set("created_after", new Date(Date.now() - Number(filter.since) * 1000).toISOString());
  return query;
}

/** Write it as `POST /jobs/bulk` takes it; empty where that knows less than the list: it would be given to other jobs too. */
export function toBulk(filter) {
  if (filter.parent || filter.depends_on || filter.needed_by) return {};
  const query = toQuery(filter);
  const bulk = {};
  if (filter.state.length) bulk.state = filter.state;
  for (const name of ["workflow", "tenant", "q", "created_after", "failure"]) if (query.get(name)) bulk[name] = query.get(name);
  if (query.has("label")) {
    const [key, ...value] = query.get("label").split(":");
    bulk.label = { [key]: value.join(":") };
  }
  return bulk;
}

export function filterRow(filter, changed) {
  let now = filter;
  const search = h("input", { id: "search", class: "input grow", type: "search", placeholder: "Search id, label, params", "aria-label": "Search jobs", value: filter.q });
  const workflow = h("select", { class: "input", "aria-label": "Workflow" });
  const label = h("input", { class: "input", placeholder: "label:value", "aria-label": "Label", value: filter.label, list: "labels", size: 14 });
  const known = h("datalist", { id: "labels" });
  const tenant = h("input", { class: "input", placeholder: "tenant", "aria-label": "Tenant", value: filter.tenant, size: 9 });
  const since = h("select", { class: "input", "aria-label": "Created" }, SPANS.map(([value, text]) => h("option", { value }, text)));
  const more = button("Filters", () => fold(!element.classList.contains("open")), "more"); // on a phone the others are folded
  const fold = (open) => { element.classList.toggle("open", open); more.setAttribute("aria-expanded", String(open)); };
  const element = h("form", { class: "filter-row", role: "search", onsubmit: (event) => event.preventDefault() }, search, more, workflow, label, known, tenant, since);
  let names = [];
  const put = () => {
    fill(workflow, h("option", { value: "" }, "any workflow"), [...new Set([...names, now.workflow])].filter(Boolean).map((name) => h("option", { value: name }, name)));
    workflow.value = now.workflow;
  };
  put();
  since.value = filter.since;
  fold(["workflow", "label", "tenant", "since"].some((name) => filter[name]));
  ask("workflows").then((page) => { names = page.items.map((each) => each.name); put(); }, () => {});
  let timer = null;
  const soon = (wait) => () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      now = { ...now, q: search.value.trim(), workflow: workflow.value, label: label.value.trim(), tenant: tenant.value.trim(), since: since.value };
      changed(now);
    }, wait);
  };
  for (const control of [search, label, tenant]) control.addEventListener("input", soon(250));
  for (const control of [workflow, since]) control.addEventListener("change", soon(0));
  return {
    element,
    /** Show a filter that came from elsewhere. */
    show(next) {
      now = next;
      search.value = next.q;
      label.value = next.label;
      tenant.value = next.tenant;
      since.value = next.since;
      put();
    },
    /** The state is chosen elsewhere. */
    state(states) {
      now = { ...now, state: states };
    },
    /** Offer what the listed jobs have: labels, and workflows that are newer than this page. */
    suggest(jobs) {
      const found = new Set();
      const newer = new Set();
      for (const job of Object.values(jobs.slice(0, 200))) {
        if (!names.includes(job.workflow)) newer.add(job.workflow);
        for (const [name, value] of Object.entries(job.labels)) found.add(`${name}:${value}`);
      }
      if (found.size !== known.children.length) fill(known, [...found].slice(0, 50).map((value) => h("option", { value })));
      if (newer.size > 0) { names = [...names, ...newer].sort(); put(); }
    },
  };
}
