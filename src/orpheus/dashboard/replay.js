// A job again, from its events: drag through what happened, or let it run.

import { ask, ofJob } from "./api.js";
import { button, h, say } from "./dom.js";
import { clock, exact } from "./format.js";
import { applyTo, keyOf } from "./job-model.js";

const MOST = 5000;
const RUN_MS = 6000; // a whole job, however long it took

export function replay(model, draw) {
  let events = null;
  let timer = null;
  const slider = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Event", oninput: () => { pause(); show(); } });
  const text = h("output", { class: "hint" });
  const play = button("Play", () => (timer ? pause() : run()), "small");
  const element = h("div", { class: "replay", hidden: true }, play, slider, text, button("Back to now", stop, "small quiet"));
  const toggle = button("Replay", begin, "small quiet");

  async function begin() {
    events = [];
    let cursor = null;
    do {
      const page = await ask(`${ofJob(model.jobId, "events")}?limit=1000${cursor ? `&cursor=${cursor}` : ""}`);
      events.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor && events.length < MOST);
    slider.max = events.length;
    slider.value = 0;
    element.hidden = false;
    toggle.hidden = true;
    show();
    slider.focus();
  }

  function states(count) {
    const found = new Map();
    for (const node of model.definition.nodes ?? []) found.set(node.name, { name: node.name, index: null, state: "blocked", data: {}, waiting_for: [], progress: 0, max_retries: 0 });
    const settled = new Map();
    for (const event of events.slice(0, count)) {
      if (event.type === "job.retried") for (const task of found.values()) Object.assign(task, { finished_at: null });
      if (!event.task) continue;
      const task = found.get(event.task);
      if (!task) continue;
      if (event.index === null) applyTo(task, event);
      else if (task.items && ["task.completed", "task.failed", "task.skipped", "task.cancelled", "task.cached"].includes(event.type)) {
        settled.set(keyOf(event.task, event.index), event.task);
        task.items.settled = [...settled.values()].filter((name) => name === event.task).length;
      }
    }
    return found;
  }

  function show() {
    const at = Number(slider.value);
    const event = events[at - 1];
    say(text, event ? `${at} of ${events.length} · ${clock(event.at)} · ${event.type}${event.task ? ` ${event.task}` : ""}` : `0 of ${events.length}`);
    text.title = event ? exact(event.at) : "";
    draw(states(at));
  }

  function run() {
    if (Number(slider.value) >= events.length) slider.value = 0;
    say(play, "Pause");
    timer = setInterval(() => {
      slider.value = Math.min(events.length, Number(slider.value) + Math.max(1, Math.round(events.length / (RUN_MS / 80))));
      show();
      if (Number(slider.value) >= events.length) pause();
    }, 80);
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    say(play, "Play");
  }

  function stop() {
    pause();
    events = null;
    element.hidden = true;
    toggle.hidden = false;
    draw(null);
  }

  return { element, toggle, active: () => events !== null, leave: () => clearInterval(timer) };
}
