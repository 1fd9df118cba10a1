// When did a task wait, and for what? What its bars leave open, said in words.

import { local } from "./format.js";

const SHORTEST_MS = 20; // less is the time it takes to hand a task over
const OUTSIDE = { approval: "a person", wait_for: "its signal", sleep: "its time", child: "its child job" };

/** What a node of this kind waits for from its beginning to its end; undefined where it works. */
export const waitedOn = (node) => OUTSIDE[node?.kind];

/** Return `[{from, to, words}]`, the earliest first; a wait that goes on ends now. */
export function waitsOf(task, node, now) {
  const attempts = task.attempts ?? [];
  const first = attempts[0]?.started_at ?? task.started_at;
  const found = [];
  const reason = task.waiting_for?.[0];
  const current = reason ? `waits for ${reason.reason}: ${local(reason.detail)}` : "waits";
  if (task.ready_at && first && attempts.length === 1 && Date.parse(first) - Date.parse(task.ready_at) > SHORTEST_MS) {
    found.push({ from: task.ready_at, to: first, words: "was ready, until a worker had room" });
  } else if (task.ready_at && !first && !task.finished_at && !task.cached) found.push({ from: task.ready_at, to: now, words: current });
  if (waitedOn(node) && task.started_at && attempts.length === 0) {
    found.push({ from: task.started_at, to: task.finished_at ?? now, words: `waited for ${waitedOn(node)}` });
  }
  attempts.forEach((each, place) => {
    const next = attempts[place + 1];
    if (next && each.finished_at) found.push({ from: each.finished_at, to: next.started_at, words: `after attempt ${each.attempt}, before the next one` });
  });
  if (task.state === "retrying" && attempts.at(-1)?.finished_at) found.push({ from: attempts.at(-1).finished_at, to: now, words: current });
  return found;
}
