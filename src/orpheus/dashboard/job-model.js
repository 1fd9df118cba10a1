// What is known of one job: fetched whole, moved at once by events, and set right by the next fetch.

import { ask, ofJob } from "./api.js";

const MOST_TASKS = 2000; // a map's items beyond it are known by their count

export const ENDED = ["completed", "failed", "cancelled"];
const JOB = {
  "job.queued": "queued", "job.started": "running", "job.completed": "completed", "job.failed": "failed", "job.cancelled": "cancelled",
};
const TASK = {
  "task.ready": "ready", "task.started": "running", "task.retrying": "retrying", "task.waiting": "waiting", "task.completed": "completed", "task.cached": "completed",
  "task.failed": "failed", "task.skipped": "skipped", "task.cancelled": "cancelled", "task.compensated": null,
};

export const keyOf = (name, index) => index === null || index === undefined ? name : `${name}#${index}`;

export class JobModel {
  constructor(jobId) {
    this.jobId = jobId;
    this.job = null;
    this.definition = null;
    this.tasks = [];
    this.byKey = new Map();
  }

  /** The tasks that stand for nodes, by node. */
  get nodes() {
    return new Map(this.tasks.filter((task) => task.index === null).map((task) => [task.name, task]));
  }

  itemsOf(name) {
    return this.tasks.filter((task) => task.name === name && task.index !== null);
  }

  async load() {
    const [job, definition, tasks] = await Promise.all([
      ask(ofJob(this.jobId)),
      this.definition ?? ask(ofJob(this.jobId, "graph")),
      this.loadTasks(),
    ]);
    this.definition = definition;
    const known = new Set(tasks.map((task) => task.name));
    const missing = (definition.nodes ?? []).filter((node) => !known.has(node.name)).slice(0, 100);
    const found = tasks.length < MOST_TASKS ? [] : await Promise.all(missing.map((node) =>
      ask(`${ofJob(this.jobId, "tasks")}?limit=1&node=${encodeURIComponent(node.name)}`)));
    this.job = job;
    this.tasks = [...tasks, ...found.flatMap((page) => page.items)];
    this.byKey = new Map(this.tasks.map((task) => [keyOf(task.name, task.index), task]));
  }

  async loadTasks() {
    const tasks = [];
    let cursor = null;
    do {
      const query = new URLSearchParams({ limit: "1000", attempts: "true", ...(cursor ? { cursor } : {}) });
      const page = await ask(`${ofJob(this.jobId, "tasks")}?${query}`);
      tasks.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor && tasks.length < MOST_TASKS);
    return tasks;
  }

  /** Take a message in at once. Returns whether something has changed. */
  heard(message) {
    if (message.job_id !== this.jobId || !this.job) return false;
    if (message.type === "progress") {
      const task = this.byKey.get(keyOf(message.task, message.index));
      if (!task) return false;
      task.stage = message.data.stage ?? task.stage;
      task.progress = message.data.fraction ?? task.progress;
      return true;
    }
    if (message.type in JOB) {
      this.job.state = JOB[message.type];
      if (message.type === "job.started") this.job.started_at ??= message.at;
      if (ENDED.includes(this.job.state)) this.job.finished_at = message.at;
      return true;
    }
    const task = this.byKey.get(keyOf(message.task, message.index));
    return task ? applyTo(task, message) : false;
  }
}

/** Move a task by an event about it. */
export function applyTo(task, event) {
  if (!(event.type in TASK)) return false;
  const state = TASK[event.type];
  if (state === null) {
    task.compensated = true;
    return true;
  }
  task.state = state;
  if (event.type === "task.cached") task.cached = true;
  if (event.type === "task.started") {
    task.started_at = event.data.attempt > 1 ? task.started_at ?? event.at : event.at;
    task.finished_at = null;
    if (event.data.attempt) task.attempt = event.data.attempt;
    if (event.data.items !== undefined) task.items = { total: event.data.items, settled: 0, failed: 0, skipped: 0 };
  }
  if (state === "waiting") task.started_at ??= event.at;
  if (event.data.error) task.error = { hint: "", ...event.data.error };
  if (["completed", "failed", "skipped", "cancelled"].includes(state)) {
    task.finished_at = event.at;
    task.waiting_for = [];
  }
  return true;
}
