// One job: its head, what is wrong or waited for, and five ways to look at it.

import { files } from "./artifacts.js";
import { dataTab } from "./job-data.js";
import { approvals, head, problems } from "./job-head.js";
import { ENDED, JobModel } from "./job-model.js";
import { overview } from "./overview.js";
import { empty, fill, h } from "./dom.js";
import { eventsTab } from "./events.js";
import { logsTab } from "./logs.js";
import { renew } from "./keep.js";
import { listen, throttled, watch } from "./live.js";
import { address, settle } from "./router.js";

const TABS = [["overview", "Overview"], ["files", "Files"], ["events", "Events"], ["logs", "Logs"], ["data", "Data"]];
const MAKE = { overview, files, events: eventsTab, logs: logsTab, data: dataTab };

export function view(root, where) {
  const jobId = where.parts[0];
  const model = new JobModel(jobId);
  let tab = MAKE[where.parts[1]] ? where.parts[1] : "overview";
  let pane = null; // the tab's { element, show(), heard?(batch), leave?() }
  const panes = new Map();
  const top = h("div", { class: "job-top" });
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Job" });
  const body = h("section", { class: "tab-body", role: "tabpanel", id: "tab-body", tabIndex: 0 });
  fill(root, h("p", { class: "empty" }, "Loading …"));

  const context = {
    model, query: where.query,
    refresh: () => refresh(),
    open: (name, query) => { if (query) context.query = query; show(name, query); },
  };

  function show(name, query = null) {
    tab = name;
    settle("jobs", name === "overview" ? [jobId] : [jobId, name], query);
    draw();
  }

  function draw() {
    const { job } = model;
    const scroll = root.scrollTop;
    if (!top.isConnected) fill(root, top, tabs, body);
    const sign = JSON.stringify([job, [...model.nodes.values()].filter((task) => task.approval)]);
    if (sign !== top.dataset.sign) {
      renew(top, () => [head(context), problems(context), approvals(context)]);
      top.dataset.sign = sign;
    }
    if (tabs.children.length === 0) {
      fill(tabs, TABS.map(([name, title]) => h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "tab-body", onclick: () => show(name), onkeydown: stepTabs }, title, h("b", {}))));
    }
    for (const [place, [name]] of TABS.entries()) {
      const element = tabs.children[place];
      element.setAttribute("aria-selected", String(name === tab));
      element.tabIndex = name === tab ? 0 : -1;
      if (name === "files") element.lastChild.textContent = job.artifacts.length || "";
    }
    body.setAttribute("aria-labelledby", `tab-${tab}`);
    if (!panes.has(tab)) panes.set(tab, MAKE[tab](context));
    const next = panes.get(tab);
    if (next !== pane) {
      pane = next;
      fill(body, pane.element);
    }
    pane.show();
    root.scrollTop = scroll;
    document.title = `${job.state} · ${job.workflow} · Orpheus`;
  }

  function stepTabs(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = TABS.findIndex(([name]) => name === tab);
    show(TABS[(at + step + TABS.length) % TABS.length][0]);
    tabs.querySelector("[aria-selected=true]").focus();
  }

  const refresh = throttled(async () => {
    try {
      await model.load();
      draw();
    } catch (error) {
      if (model.job === null && error.code !== "unreachable") {
        fill(root, empty("This job cannot be shown", error.message, h("a", { class: "button primary", href: address("jobs") }, "To the jobs")));
      }
    }
  }, 350);

  watch(jobId);
  const stop = listen((batch) => {
    let stale = false;
    let moved = false;
    for (const message of batch) {
      if (message.type === "reset" || message.type === "subscribed") stale = true;
      else if (message.job_id === jobId) {
        moved = model.heard(message) || moved;
        stale = stale || message.type !== "log";
      }
    }
    if (moved) draw();
    pane?.heard?.(batch);
    if (stale) refresh();
  });
  const timer = setInterval(() => {
    if (!model.job || ENDED.includes(model.job.state) || document.hidden) return;
    pane?.show();
    if (["pending", "queued"].includes(model.job.state) || model.job.waiting_for.length) refresh(); // reasons to wait come without an event
  }, 2000);
  refresh();
  return {
    moved(next) {
      if (next.parts[0] !== jobId) return false;
      const name = MAKE[next.parts[1]] ? next.parts[1] : "overview";
      if (name !== tab && model.job) { tab = name; draw(); }
      return true;
    },
    leave() {
      stop();
      clearInterval(timer);
      watch();
      for (const each of panes.values()) each.leave?.();
      document.title = "Orpheus";
    },
  };
}
