// Which approvals wait for somebody? Whole jobs before they begin, and nodes in the middle of running ones.

import { ask } from "./api.js";

/** Return `[{job, task, since}]`, the longest waiting first; `task` is null where the whole job waits. */
export async function waitingApprovals() {
  return (await ask("approvals?limit=200")).items;
}
