// The one WebSocket. It comes back by itself with the last cursor, so nothing is missed; a `reset` means: fetch anew.

import { url } from "./api.js";

const listeners = new Set();
let socket = null;
let cursor = null;
let watched = null;
let delay = 500;

/** Hear every message; `{type: "state", live}` tells about the connection itself. */
export function listen(listener) {
  listeners.add(listener);
}

function tell(message) {
  for (const listener of listeners) listener(message);
}

/** Follow one job closely: its tasks, progress and log lines. */
export function watch(jobId) {
  if (socket?.readyState === WebSocket.OPEN) {
    if (watched && watched !== jobId) socket.send(JSON.stringify({ unsubscribe: [`job:${watched}`] }));
    if (jobId && watched !== jobId) socket.send(JSON.stringify({ subscribe: [`job:${jobId}`] }));
  }
  watched = jobId;
}

export function connect() {
  const target = url("ws");
  target.protocol = target.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(target);
  socket.addEventListener("open", () => {
    delay = 500;
    const topics = ["jobs", ...(watched ? [`job:${watched}`] : [])];
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
    delay = Math.min(delay * 2, 10000);
  });
}

/** Call `work` soon, at most once per `every` milliseconds, however often it is asked for. */
export function throttled(work, every) {
  let due = null;
  let last = 0;
  return () => {
    if (due !== null) return;
    due = setTimeout(() => { due = null; last = Date.now(); work(); }, Math.max(20, last + every - Date.now()));
  };
}
