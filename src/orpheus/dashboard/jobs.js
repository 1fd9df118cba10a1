// The list of jobs: counts as filters, a row of filters, a live virtual list, orders to a selection.

import { ask } from "./api.js";
import { bulkBar } from "./jobs-bulk.js";
import { filterRow, readFilter, toAddress, toQuery } from "./jobs-filter.js";
import { Rows } from "./jobs-rows.js";
import { VirtualList } from "./jobs-window.js";
import { button, empty, fill, h, heading, say } from "./dom.js";
import { listen, throttled, watch } from "./live.js";
import { settle } from "./router.js";
import { sparkline } from "./spark.js";

const STATES = ["pending", "queued", "running", "completed", "failed", "cancelled"];

export function view(root, where) {
  let filter = readFilter(where.query);
  const chips = h("div", { class: "filters", role: "group", "aria-label": "Filter by state" });
  const rows = new Rows();
  const selected = new Set();
  const spark = sparkline();
  const fresh = button("", () => { list.toTop(); refresh(); }, "fresh primary", { hidden: true });
  const bulk = bulkBar(selected, rows, () => filter, () => { list.draw(true); bulk.draw(); refresh(); });
  const filters = filterRow(filter, changed);
  const list = new VirtualList(rows, selected, {
    more: (at) => rows.more(toQuery(filter), at).then((got) => { if (got) list.draw(); }, () => {}),
    select: () => bulk.draw(),
    empty: () => nothing(filter),
  });
  fill(root, heading("Jobs", spark.element), chips, filters.element, bulk.element, h("div", { class: "list-frame" }, list.head, fresh, list.element));

  function changed(next) {
    filter = next;
    filters.state(filter.state);
    selected.clear();
    bulk.draw();
    settle("jobs", [], toAddress(filter));
    rows.clear();
    list.toTop();
    loading();
    refresh();
  }

  function loading() {
    rows.loaded = false;
    list.draw(true);
  }

  const refresh = throttled(async () => {
    const mine = filter;
    try {
      const [stats] = await Promise.all([ask("stats"), rows.refresh(toQuery(filter), list.atTop())]);
      if (mine !== filter) return;
      drawChips(stats.jobs);
      rows.total = estimate(stats.jobs, filter);
      filters.suggest(rows.items);
      list.draw();
      say(fresh, `${rows.fresh} new`);
      fresh.hidden = rows.fresh === 0;
    } catch (error) {
      if (!rows.loaded && error.code !== "unreachable") list.fail(error.message);
    }
  }, 200);

  function drawChips(counts) {
    const total = STATES.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
    const wanted = [["", total], ...STATES.map((name) => [name, counts[name] ?? 0])];
    if (chips.children.length === 0) fill(chips, wanted.map(([name]) => chip(name)));
    wanted.forEach(([name, count], place) => {
      const element = chips.children[place];
      const on = name === "" ? filter.state.length === 0 : filter.state.includes(name);
      element.setAttribute("aria-pressed", String(on));
      say(element.lastChild, count.toLocaleString());
    });
  }

  function chip(name) {
    return h("button", { class: `chip ${name}`, type: "button", onclick: (event) => {
      const several = event.shiftKey || event.ctrlKey || event.metaKey;
      const others = several ? filter.state.filter((each) => each !== name) : [];
      const on = filter.state.includes(name);
      changed({ ...filter, state: name === "" ? [] : on ? others : [...others, name] });
    } }, h("span", { class: "dot" }), h("span", {}, name || "all"), h("b", {}));
  }

  function keys(event) {
    if (event.target.closest?.("input, textarea, select, dialog") && event.target.type !== "checkbox") return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j" || event.key === "ArrowDown") list.move(1, event);
    else if (event.key === "k" || event.key === "ArrowUp") list.move(-1, event);
    else if (event.key === "x") list.toggleCurrent();
  }

  watch();
  const stop = listen((batch) => {
    let stale = false;
    let touched = false;
    for (const message of batch) {
      if (message.type === "reset" || message.type === "subscribed") stale = true;
      else if (message.type?.startsWith("job.")) {
        spark.heard(message);
        stale = true;
      }
    }
    if (list.atTop() && byState(filter)) touched = rows.insert(batch, filter.state);
    for (const message of batch) if (message.type?.startsWith("job.")) touched = rows.heard(message) || touched;
    if (touched) list.draw();
    if (stale) refresh();
  });
  const timer = setInterval(() => {
    list.tick();
    spark.draw();
    if (!document.hidden && rows.items.some((job) => job.state === "running" && list.shows(job.job_id))) refresh();
  }, 2000);
  addEventListener("keydown", keys);
  loading();
  refresh();
  return {
    moved(next) {
      const asked = readFilter(next.query);
      if (toAddress(asked).toString() === toAddress(filter).toString()) return true;
      filters.show(asked);
      changed(asked);
      return true;
    },
    leave() {
      stop();
      clearInterval(timer);
      list.leave();
      removeEventListener("keydown", keys);
    },
  };
}

function byState({ state, ...others }) {
  return !Object.values(others).some(Boolean);
}

// How long the list is: known where only states are asked for; otherwise as long as what was loaded.
function estimate(counts, filter) {
  if (!byState(filter)) return null;
  return (filter.state.length ? filter.state : STATES).reduce((sum, name) => sum + (counts[name] ?? 0), 0);
}

function nothing(filter) {
  if (toAddress(filter).toString()) {
    return empty("Nothing matches", "No job fits this filter.", h("a", { class: "button", href: "#/jobs" }, "Show all jobs"));
  }
  return empty("No jobs yet", "Drop a file anywhere on this page, or choose a workflow and fill its form. From a shell: `orpheus submit wordcount -p text=\"to be or not to be\"`",
    h("a", { class: "button primary", href: "#/submit" }, "New job"), h("a", { class: "button", href: "#/workflows" }, "See the workflows"));
}
