// The one WebSocket. It comes back by itself with the last cursor, so nothing is missed; a `reset` means: fetch anew.
// Messages are told in batches, one per animation frame, so that a thousand events a second cost sixty drawings.

import { url } from "./api.js";

const MOST_HELD = 5000; // held while the page is not drawn; beyond it, "fetch anew" says as much
const listeners = new Set();
let socket = null;
let cursor = null;
let watched = new Set();
let delay = 300;
let held = [];
let due = false;

/** Hear every batch of messages; `{type: "state", live}` tells about the connection itself. Returns how to stop. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(message) {
  held.push(message);
  if (held.length > MOST_HELD) held = [{ type: "reset" }];
  if (due) return;
  due = true;
  if (document.hidden) setTimeout(flush, 250);
  else requestAnimationFrame(flush);
}

function flush() {
  due = false;
  const batch = held;
  held = [];
  for (const listener of listeners) listener(batch);
}

/** Follow these jobs closely: their tasks, progress and log lines. */
export function watch(...jobIds) {
  const wanted = new Set(jobIds);
  const topics = (ids, others) => [...ids].filter((id) => !others.has(id)).map((id) => `job:${id}`);
  if (socket?.readyState === WebSocket.OPEN) {
    const gone = topics(watched, wanted);
    const come = topics(wanted, watched);
    if (gone.length) socket.send(JSON.stringify({ unsubscribe: gone }));
    if (come.length) socket.send(JSON.stringify({ subscribe: come }));
  }
  watched = wanted;
}

export function connect() {
  const target = url("ws");
  target.protocol = target.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(target);
  socket.addEventListener("open", () => {
    delay = 300;
    const topics = ["jobs", ...[...watched].map((id) => `job:${id}`)];
    socket.send(JSON.stringify(cursor ? { subscribe: topics, after: cursor } : { subscribe: topics }));
  });
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.cursor) cursor = message.cursor;
    if (message.type === "subscribed") tell({ type: "state", live: true });
    tell(message);
  });
  socket.addEventListener("close", () => {
    tell({ type: "state", live: false });
    setTimeout(connect, delay * (0.7 + Math.random() * 0.6));
    delay = Math.min(delay * 1.7, 5000);
  });
}

/** Call `work` soon, at most once per `every` milliseconds, and never twice at a time, however often it is asked for. */
export function throttled(work, every) {
  let timer = null;
  let last = -Infinity;
  let busy = false;
  let again = false;
  async function run() {
    timer = null;
    busy = true;
    again = false;
    const begun = performance.now();
    try {
      await work();
    } finally {
      busy = false;
      last = performance.now();
      if (again) ask(Math.max(every, (last - begun) * 2)); // what is slow is asked for less often
    }
  }
  function ask(pause = every) {
    if (busy) again = true;
    else if (timer === null) timer = setTimeout(run, Math.max(10, last + pause - performance.now()));
  }
  return () => ask();
}
