// Which approvals wait for somebody? Whole jobs before they begin, and nodes in the middle of running ones.

import { ask, ofJob } from "./api.js";

const MOST_JOBS = 60; // whose tasks are looked at; an inbox of more is worked off first

/** Return `[{job, task}]`, the longest waiting first; `task` is null where the whole job waits. */
export async function waitingApprovals() {
  const [pending, running] = await Promise.all([ask("jobs?state=pending&limit=200"), ask("jobs?state=running&limit=200")]);
  const found = pending.items.filter((job) => job.waiting_for.some((each) => each.reason === "approval")).map((job) => ({ job, task: null }));
  const asked = running.items.filter((job) => (job.tasks.waiting ?? 0) > 0).slice(0, MOST_JOBS);
  const pages = await Promise.all(asked.map((job) => ask(`${ofJob(job.job_id, "tasks")}?state=waiting&limit=50`).catch(() => ({ items: [] }))));
  asked.forEach((job, place) => {
    for (const task of pages[place].items) {
      if (task.approval && task.approval.decision === null) found.push({ job, task });
    }
  });
  const since = ({ job, task }) => task?.approval.since ?? job.created_at;
  return found.sort((a, b) => since(a).localeCompare(since(b)));
}
