// The rows behind the list: a page at a time from the API, kept slim, corrected by events the moment they come.
// What is scrolled to is fetched, from the nearest known cursor on: the rows between may be missing. A page may be short, or empty, and
// still have a cursor: where little fits, the server gives up in time, and what was fetched before such a page is kept.

import { ask } from "./api.js";
import { local } from "./format.js";

const TOP = 100;
const PAGE = 500;
const MOST_SKIPPED = 1_000_000; // by one request
const MOST = 3000; // kept while the list stands at its top; further down they are fetched again when they are scrolled to
const BY_EVENT = {
  "job.queued": "queued", "job.started": "running", "job.completed": "completed", "job.failed": "failed", "job.cancelled": "cancelled",
  "job.approved": null, "job.paused": null, "job.resumed": null, "job.retried": "queued",
};

function slim(job) {
  const waits = job.waiting_for[0];
  return {
    job_id: job.job_id, workflow: job.workflow, state: job.state, paused: job.paused, tenant: job.tenant, labels: job.labels,
    progress: job.progress_percentage, stage: job.current_stage, why: job.error?.message ?? (waits ? `waits for ${waits.reason}: ${local(waits.detail)}` : ""),
    created_at: job.created_at, started_at: job.started_at, finished_at: job.finished_at, child: job.parent !== null && job.parent !== undefined,
  };
}

export class Rows {
  constructor() {
    this.clear();
  }

  clear() {
    this.items = []; // with holes where nothing is loaded
    this.byId = new Map();
    this.cursors = new Map(); // place -> the cursor of the page that begins there
    this.end = null; // the place behind the last row, once it was seen
    this.total = null;
    this.stepwise = false; // the server does not skip with this filter
    this.fresh = 0; // jobs that are newer than the first row while the reader is further down
    this.loaded = false;
    this.moved = 0; // rows that have come on top
    this.anew();
  }

  // From now on places mean other rows: what is being fetched belongs to none.
  anew() {
    this.turn = (this.turn ?? 0) + 1;
    this.loading = false;
  }

  /** How many rows the list is long, loaded or not. */
  get length() {
    return this.end ?? Math.max(this.stepwise ? 0 : this.total ?? 0, this.items.length);
  }

  /** The first place from `from` to `to` that can be loaded and is not; null without one. */
  missing(from, to) {
    for (let at = from; at < Math.min(to, this.end ?? to); at += 1) {
      if (!(at in this.items)) return at < this.length || this.cursors.has(at) ? at : null;
    }
    return null;
  }

  moveDown(count) {
    this.cursors = new Map([...this.cursors].map(([place, cursor]) => [place + count, cursor]));
    if (this.end !== null) this.end += count;
    this.moved += count;
  }

  /** Fetch the newest again. Without `atTop` nothing moves: rows are corrected in their places and newer ones counted. */
  async refresh(query, atTop) {
    const mine = this.turn;
    query.set("limit", String(TOP));
    const page = await ask(`jobs?${query}`);
    if (mine !== this.turn) return;
    const items = page.items.map(slim);
    if (!atTop && this.loaded) {
      this.fresh = 0;
      for (const item of items) {
        const known = this.byId.get(item.job_id);
        if (known) Object.assign(known, item);
        else this.fresh += 1;
      }
      return;
    }
    const kept = page.next_cursor === null ? -1 : this.kept(items, query.getAll("state"));
    if (kept >= 0) {
      this.moveDown(items.length - kept);
      this.items = items.concat(this.items.slice(kept));
    } else {
      this.anew();
      this.items = items;
      this.cursors.clear();
      this.end = page.next_cursor === null ? items.length : null;
    }
    if (page.next_cursor !== null && !this.cursors.has(items.length)) this.cursors.set(items.length, page.next_cursor); // else one that has come further
    this.byId.clear();
    this.items.forEach((each) => this.byId.set(each.job_id, each));
    this.fresh = 0;
    this.loaded = true;
  }

  /** The place of the first row that stays, below a first page that was fetched again and is not all; -1 for none. */
  kept(items, states) {
    if (!this.loaded || this.byId.size > MOST) return -1;
    const last = items.at(-1);
    const known = last ? this.items.findIndex((each) => each?.job_id === last.job_id) : -1;
    if (items.length === TOP) return known + 1 || -1; // without it, unknown rows may stand between
    const again = new Set(items.map((each) => each.job_id));
    const older = this.items.findIndex((each) => !again.has(each?.job_id) && (!last || each?.created_at <= last.created_at));
    const place = known >= 0 ? known + 1 : older >= 0 ? older : this.items.length;
    const left = states.length > 0 && this.items.slice(place).some((each) => !states.includes(each.state)); // the page does not tell how far it has looked
    return left ? -1 : place;
  }

  /** Fetch what is missing around a place. Returns whether there is something new. */
  async more(query, at) {
    if (this.loading) return false;
    const [mine, moved] = [this.turn, this.moved];
    let [from, to] = [at, at + 1];
    while (to - from < PAGE && !(to in this.items)) to += 1;
    while (to - from < PAGE && from > 0 && !(from - 1 in this.items)) from -= 1;
    const base = Math.max(0, ...[...this.cursors.keys()].filter((place) => place <= from));
    const skip = Math.min(from - base, MOST_SKIPPED);
    this.loading = true;
    try {
      query.set("limit", String(to - from));
      if (this.cursors.has(base)) query.set("cursor", this.cursors.get(base));
      if (skip > 0) query.set("skip", String(skip));
      const page = await ask(`jobs?${query}`);
      if (mine !== this.turn) return false;
      const begin = base + skip + this.moved - moved;
      page.items.forEach((item, place) => this.put(begin + place, slim(item)));
      const next = begin + page.items.length;
      if (page.next_cursor === null) this.end = next;
      else this.cursors.set(next, page.next_cursor);
      return true;
    } catch (error) {
      if (mine !== this.turn || skip === 0 || error.status !== 422) throw error;
      this.stepwise = true;
      return true;
    } finally {
      if (mine === this.turn) this.loading = false;
    }
  }

  put(place, row) {
    const known = this.byId.get(row.job_id);
    if (known && this.items[place] !== known) delete this.items[this.items.indexOf(known)]; // it has moved
    if (this.items[place] && this.items[place] !== known) this.byId.delete(this.items[place].job_id);
    this.items[place] = known ? Object.assign(known, row) : row;
    this.byId.set(row.job_id, this.items[place]);
  }

  /** Put rows for jobs that were just created on top, from what their events tell; the next fetch fills in the rest.
   * With `states`, only those that are in one of them at the end of the batch. */
  insert(batch, states) {
    const created = new Map(); // job id -> [its event, its state in the end]
    for (const event of batch) {
      if (event.type === "job.created" && !this.byId.has(event.job_id)) created.set(event.job_id, [event, "pending"]);
      else if (created.has(event.job_id)) created.get(event.job_id)[1] = BY_EVENT[event.type] ?? created.get(event.job_id)[1];
    }
    const fits = [...created.values()].filter(([, state]) => states.length === 0 || states.includes(state));
    const fresh = fits.map(([event]) => ({
      job_id: event.job_id, workflow: event.data.workflow ?? "", state: "pending", paused: false, tenant: event.data.tenant ?? "default", labels: {},
      progress: 0, stage: null, why: "", created_at: event.at, started_at: null, finished_at: null, child: false,
    })).reverse();
    if (fresh.length === 0 || !this.loaded) return false;
    this.items = fresh.concat(this.items);
    this.moveDown(fresh.length);
    for (const row of fresh) this.byId.set(row.job_id, row);
    if (this.total !== null) this.total += fresh.length;
    return true;
  }

  /** Take an event into its row. Returns whether a row has changed. */
  heard(event) {
    const row = this.byId.get(event.job_id);
    if (!row || !(event.type in BY_EVENT)) return false;
    const state = BY_EVENT[event.type];
    if (state !== null) row.state = state;
    if (event.type === "job.started") row.started_at ??= event.at;
    if (event.type === "job.paused") row.paused = true;
    if (event.type === "job.resumed") row.paused = false;
    if (["completed", "failed", "cancelled"].includes(state)) {
      row.finished_at = event.at;
      row.why = event.data.error?.message ?? event.data.reason ?? "";
      if (state === "completed") row.progress = 100;
    } else {
      row.finished_at = null;
      row.why = "";
    }
    return true;
  }
}
