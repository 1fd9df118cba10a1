// What happened, in order: the job's audit trail, growing as it grows.

import { ask, ofJob } from "./api.js";
import { fill, h } from "./dom.js";
import { clock, exact } from "./format.js";
import { throttled } from "./live.js";

const PAGE = 1000;
const MOST = 3000; // in the page; the oldest of more make room

export function eventsTab({ model }) {
  let last = 0;
  let total = 0;
  const list = h("ol", { class: "events" });
  const search = h("input", { class: "input", type: "search", placeholder: "Filter events", "aria-label": "Filter events", oninput: () => sift() });
  const count = h("span", { class: "hint" });
  const element = h("div", {}, h("div", { class: "filter-row" }, search, count), list);

  function row(event) {
    const text = Object.keys(event.data ?? {}).length ? JSON.stringify(event.data) : "";
    return h("li", { class: event.type.split(".")[1] }, h("time", { dateTime: event.at, title: exact(event.at) }, clock(event.at)), h("b", {}, event.type),
      event.task && h("code", {}, (event.index ?? null) === null ? event.task : `${event.task} [${event.index}]`),
      h("span", { class: "data", title: event.actor ? `by ${event.actor}` : "" }, text));
  }

  function sift() {
    const words = search.value.trim().toLowerCase();
    for (const each of list.children) each.hidden = words !== "" && !each.textContent.toLowerCase().includes(words);
  }

  const load = throttled(async () => {
    for (;;) {
      const page = await ask(`${ofJob(model.jobId, "events")}?limit=${PAGE}&cursor=${last}`).catch(() => null);
      if (!page || page.items.length === 0) break;
      const fresh = page.items.filter((event) => event.seq > last);
      list.append(...fresh.map(row));
      total += fresh.length;
      last = page.items.at(-1).seq;
      while (list.children.length > MOST) list.firstChild.remove();
      if (page.next_cursor === null) break;
    }
    fill(count, `${total.toLocaleString()} events`, total > MOST && `, the last ${MOST.toLocaleString()} shown`);
    sift();
  }, 200);

  return { element, show: load };
}
