// Numbers beside the views' names: what waits for a person.

import { ask } from "./api.js";
import { throttled } from "./live.js";
import { waitingApprovals } from "./waiting.js";

function show(badge, count, what) {
  badge.hidden = count === 0;
  badge.textContent = count > 99 ? "99+" : String(count);
  badge.setAttribute("aria-label", `${count} ${what}`);
}

let approvalsBadge = null;
const loadApprovals = throttled(async () => {
  const found = await waitingApprovals().catch(() => null);
  if (found) show(approvalsBadge, found.length, "waiting");
}, 3000);

export function countApprovals(badge) {
  approvalsBadge = badge;
  loadApprovals();
}

let failuresBadge = null;
const loadFailures = throttled(async () => {
  const stats = await ask("stats").catch(() => null);
  if (stats) show(failuresBadge, stats.jobs.failed ?? 0, "failed jobs");
}, 2000);

export function countFailures(badge) {
  failuresBadge = badge;
  loadFailures();
}
