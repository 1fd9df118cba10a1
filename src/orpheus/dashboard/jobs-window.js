// Only the rows in sight are in the page: a hundred thousand jobs cost as much as thirty.

import { bar, fill, h, say } from "./dom.js";
import { ago, between, exact, short } from "./format.js";

const BEYOND = 8; // rows drawn above and below what is seen
const AHEAD = 60; // rows loaded beyond them
const TALLEST = 15_000_000; // px: what is taller, browsers cut off; a longer list is scrolled through faster than the hand moves

export class VirtualList {
  constructor(rows, selected, { more, select, empty }) {
    this.rows = rows;
    this.selected = selected;
    this.more = more;
    this.onselect = select;
    this.makeEmpty = empty;
    this.made = new Map(); // job id -> element with its parts
    this.space = h("div", { class: "space" });
    this.inner = h("ol", { class: "rows", "aria-label": "Jobs" });
    this.space.append(this.inner);
    this.none = h("div", {});
    this.element = h("div", { class: "list", id: "list", tabIndex: -1 }, this.space, this.none);
    this.head = h("div", { class: "list-head job", "aria-hidden": "true" }, ["State", "Job", "What it does", "Tenant"].map((name, place) => h("span", { class: place === 3 ? "tenant" : "" }, name)),
      h("span", { class: "when" }, h("span", {}, "Created"), h("span", {}, "Took")));
    this.due = false;
    this.shift = 0; // px between where a row stands in the list and in the page
    this.element.addEventListener("scroll", () => this.draw(), { passive: true });
    this.resized = new ResizeObserver(() => this.draw(true));
    this.resized.observe(this.element);
  }

  leave() {
    this.resized.disconnect();
  }

  atTop() {
    return this.element.scrollTop < 8;
  }

  toTop() {
    this.element.scrollTop = 0;
  }

  shows(jobId) {
    return this.made.has(jobId);
  }

  draw(anew = false) {
    this.anew = this.anew || anew;
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.paint(); });
  }

  fail(message) {
    this.tell("empty", message);
  }

  paint() {
    const { rows } = this;
    if (!rows.loaded) {
      this.forget();
      this.space.style.height = "0px";
      this.tell("empty", "Loading …");
      return;
    }
    if (rows.length === 0) {
      this.forget();
      this.space.style.height = "0px";
      if (rows.end === null) {
        this.tell("empty", "Searching …"); // nothing yet
        this.more(0);
      } else if (this.anew || !this.none.querySelector("h2")) fill(this.none, this.makeEmpty());
      this.anew = false;
      return;
    }
    this.anew = false;
    const { height, whole, room, ratio } = this.measures();
    const above = this.element.scrollTop * ratio;
    this.shift = this.element.scrollTop - above;
    this.space.style.height = `${Math.min(whole, TALLEST)}px`;
    this.space.style.setProperty("--row", `${height}px`);
    this.space.style.backgroundPositionY = `${this.shift % height}px`;
    const from = Math.max(0, Math.floor(above / height) - BEYOND);
    const to = Math.min(rows.length, Math.ceil((above + room) / height) + BEYOND);
    const seen = Object.entries(rows.items.slice(from, to)); // what is not loaded is left out
    const wanted = new Set(seen.map(([, job]) => job.job_id));
    const free = []; // rows that went out of sight are used again: making them is what costs
    for (const [jobId, made] of this.made) {
      if (wanted.has(jobId)) continue;
      if (made.element.contains(document.activeElement)) { this.put(made, height); continue; } // the focus is not lost by scrolling
      free.push(made);
      this.made.delete(jobId);
    }
    let before = this.inner.firstChild; // the page's order is the list's order, for the keyboard
    for (const [place, job] of seen) {
      let made = this.made.get(job.job_id);
      if (!made) this.made.set(job.job_id, (made = free.pop() ?? this.make()));
      if (made.element === before) before = before.nextSibling;
      else this.inner.insertBefore(made.element, before);
      this.show(made, job, from + Number(place), height);
    }
    for (const made of free) made.element.remove();
    const hole = rows.missing(Math.max(0, from - AHEAD), to + AHEAD);
    if (hole !== null) this.more(hole);
    if (hole !== null && hole >= rows.length) this.tell("hint searching", "Searching …");
    else if (this.none.childElementCount) fill(this.none);
  }

  // In place of rows, or below them.
  tell(kind, text) {
    if (this.none.firstChild?.className !== kind || this.none.textContent !== text) fill(this.none, h("p", { class: kind }, text));
  }

  forget() {
    for (const made of this.made.values()) made.element.remove();
    this.made.clear();
  }

  make() {
    const parts = {
      name: h("span", { class: "name" }), id: h("code", {}), why: h("span", { class: "why" }), when: h("time", {}), took: h("span", { class: "took" }),
      state: h("span", {}), meter: bar(0, ""), tenant: h("span", { class: "tenant" }), labels: h("span", { class: "labels" }),
      check: h("input", { type: "checkbox", onchange: (event) => this.pick(made.link.dataset.job, event.target.checked) }),
    };
    const link = h("a", { class: "job" },
      h("span", { class: "state" }, h("span", { class: "dot" }), parts.state), h("span", { class: "what" }, parts.name, parts.id, parts.labels),
      h("span", { class: "doing" }, parts.meter, parts.why), parts.tenant, h("span", { class: "when" }, parts.when, parts.took));
    const made = { element: h("li", {}, parts.check, link), link, parts, sign: "" };
    return made;
  }

  /** Heights in px: of a row, of all of them, of what is seen; and how many px of rows a px of scrolling is. */
  measures() {
    const height = this.element.clientWidth < 640 ? 68 : 46;
    const [whole, room] = [this.rows.length * height, this.element.clientHeight];
    return { height, whole, room, ratio: whole > TALLEST ? (whole - room) / (TALLEST - room) : 1 };
  }

  put({ element, place }, height) {
    element.style.transform = `translateY(${place * height + this.shift}px)`;
    element.style.height = `${height}px`;
  }

  show(made, job, place, height) {
    const { element, parts, link } = made;
    made.place = place;
    this.put(made, height);
    element.setAttribute("aria-setsize", this.rows.length);
    element.setAttribute("aria-posinset", place + 1);
    parts.check.checked = this.selected.has(job.job_id);
    say(parts.when, ago(job.created_at));
    if (!job.finished_at) say(parts.took, job.started_at ? between(job.started_at, null) : "");
    const sign = `${job.job_id}|${job.state}|${job.paused}|${Math.round(job.progress)}|${job.stage}|${job.why}|${job.finished_at}`;
    if (sign === made.sign) return;
    made.sign = sign;
    if (link.dataset.job !== job.job_id) this.rename(made, job);
    link.className = `job ${job.state}`;
    say(parts.state, job.paused ? "paused" : job.state);
    const open = job.state === "running";
    say(parts.why, job.why || (open ? job.stage ?? "" : ""));
    parts.meter.className = `bar ${job.state}`;
    parts.meter.hidden = !open;
    parts.meter.firstChild.style.width = `${job.progress}%`;
    parts.meter.setAttribute("aria-valuenow", Math.round(job.progress));
    if (job.finished_at) say(parts.took, between(job.started_at, job.finished_at));
  }

  // Let a row stand for another job: what a job does not change in its life.
  rename({ parts, link }, job) {
    link.href = `#/jobs/${encodeURIComponent(job.job_id)}`;
    link.dataset.job = job.job_id;
    parts.check.setAttribute("aria-label", `Select job ${short(job.job_id)}`);
    say(parts.name, job.workflow);
    say(parts.id, short(job.job_id));
    say(parts.tenant, job.tenant === "default" ? "" : job.tenant);
    const labels = Object.entries(job.labels).slice(0, 3).map(([name, value]) => `${name}: ${value}`);
    fill(parts.labels, (job.child ? ["child", ...labels] : labels).map((text) => h("span", { class: "label-chip" }, text)));
    parts.when.dateTime = job.created_at;
    parts.when.title = `created ${exact(job.created_at)}`;
  }

  tick() {
    if (this.rows.loaded) this.draw();
  }

  pick(jobId, on) {
    if (on) this.selected.add(jobId);
    else this.selected.delete(jobId);
    this.onselect();
  }

  /** Move the focus by a row. */
  move(step, event) {
    const focused = document.activeElement?.closest?.("li")?.querySelector("a.job")?.dataset.job;
    const at = focused ? this.rows.items.findIndex((each) => each?.job_id === focused) : -1;
    const next = this.rows.items[Math.max(0, at + step)];
    if (!next) return;
    event.preventDefault();
    const { height, room, ratio } = this.measures();
    const top = Math.max(0, at + step) * height;
    const above = this.element.scrollTop * ratio;
    if (top < above) this.element.scrollTop = Math.floor(top / ratio);
    if (top + height > above + room) this.element.scrollTop = Math.ceil((top + height - room) / ratio);
    this.paint();
    this.made.get(next.job_id)?.link.focus({ preventScroll: true });
  }

  toggleCurrent() {
    const jobId = document.activeElement?.closest?.("li")?.querySelector("a.job")?.dataset.job;
    if (!jobId) return;
    this.pick(jobId, !this.selected.has(jobId));
    this.draw();
  }
}
