// A complete Orpheus worker in plain JavaScript: Node 18 or newer, no packages. Written from docs/worker-protocol.md alone.
//
//   node examples/worker.mjs http://127.0.0.1:8700
//
// It offers two tasks: js_shout(text, times) with progress, a log line and an artifact, and js_wait(seconds), which can be
// cancelled. Environment: ORPHEUS_API_KEY where the server wants a key.

import { createHash, randomBytes } from "node:crypto";
import { hostname } from "node:os";

const server = (process.argv[2] ?? "http://127.0.0.1:8700").replace(/\/$/, "");
const sessionId = randomBytes(18).toString("base64url");
const slots = 4;

const sleep = (seconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(new Error("cancelled"))));
  });

// --- The tasks: (args, run) => result -----------------------------------------------------------------------------------

const tasks = {
  js_shout: {
    params: {
      type: "object",
      properties: { text: { type: "string" }, times: { type: "integer", minimum: 1, default: 1 } },
      required: ["text"],
      additionalProperties: false,
    },
    async handler({ text, times = 1 }, run) {
      if (typeof text !== "string") throw Object.assign(new Error("text has to be a string"), { final: true });
      run.log(`shouting ${times} times`);
      run.progress(0.5, "shouting");
      const shouted = Array(times).fill(text.toUpperCase()).join(" ");
      await run.save("shout.txt", Buffer.from(shouted), "text/plain");
      return { shouted, attempt: run.assignment.attempt };
    },
  },
  js_wait: {
    params: { type: "object", properties: { seconds: { type: "number" } }, required: ["seconds"], additionalProperties: false },
    async handler({ seconds }, run) {
      await sleep(seconds, run.abort.signal);
      return null;
    },
  },
};

// --- Talking to the server ----------------------------------------------------------------------------------------------

const headers = process.env.ORPHEUS_API_KEY ? { authorization: `Bearer ${process.env.ORPHEUS_API_KEY}` } : {};

class Refused extends Error {}

async function call(path, body, signal) {
  const response = await fetch(server + path, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: signal ?? AbortSignal.timeout(60_000),
  });
  if (response.ok) return response.json();
  const error = await response.json().catch(() => ({}));
  if (response.status >= 500) throw new Error(`HTTP ${response.status}`);
  throw Object.assign(new Refused(`${error.code}: ${error.message}`), { code: error.code });
}

// Try until it is answered. Safe for every call: the protocol is made so that saying the same again does no harm.
async function insist(attempt) {
  for (let wait = 0.1; ; wait = Math.min(wait * 2, 5)) {
    try {
      return await attempt();
    } catch (error) {
      if (error.code === "unknown_session") await hello();
      else if (error instanceof Refused) throw error;
      else await sleep(wait * (0.5 + Math.random() / 2));
    }
  }
}

let welcome;
let greeting = null;
// Both loops may be told `unknown_session` at the same moment; they share one hello.
const hello = () => (greeting ??= sayHello().finally(() => (greeting = null)));

async function sayHello() {
  const body = {
    protocol: 1,
    session_id: sessionId,
    worker: `js-${process.pid}`,
    host: hostname(),
    pid: process.pid,
    slots,
    tasks: Object.entries(tasks).map(([name, { params }]) => ({
      name,
      version: 1,
      params,
      content: createHash("sha256").update(JSON.stringify(params)).digest("hex"),
    })),
    held: [...runs.keys()],
  };
  welcome = await insist(() => call("/worker/hello", body));
  for (const runId of welcome.unknown ?? []) disown(runId);
}

// --- What we hold, and what there is to say --------------------------------------------------------------------------------

const runs = new Map(); // run_id → run, from arrival until its end is acknowledged
let outbox = [];
let working = 0;
let draining = false;
let lastContact = performance.now();
let wakeReporter = () => {};

function tell(item) {
  outbox.push(item);
  wakeReporter();
}

function disown(runId) {
  const run = runs.get(runId);
  if (run) (run.disowned = true), run.abort.abort();
  runs.delete(runId);
}

async function upload(run, name, content) {
  const path = `/worker/runs/${run.assignment.run_id}/files/${name.split("/").map(encodeURIComponent).join("/")}`;
  const response = await fetch(server + path, {
    method: "PUT",
    headers: { ...headers, "x-run-token": run.assignment.run_token, "x-run-id": run.assignment.run_id },
    body: content,
  });
  if (!response.ok) throw new Error(`upload of ${name}: HTTP ${response.status}`);
}

function begin(assignment) {
  if (draining || runs.has(assignment.run_id)) return; // a repeated answer
  const runId = assignment.run_id;
  const began = performance.now();
  const artifacts = [];
  const run = {
    assignment,
    abort: new AbortController(),
    cancelled: false,
    disowned: false,
    log: (message) =>
      tell({ run_id: runId, kind: "log", lines: [{ message, at_offset_s: (performance.now() - began) / 1000 }] }),
    progress: (fraction, stage) => tell({ run_id: runId, kind: "progress", fraction, stage }),
    save: async (name, content, contentType) => {
      await upload(run, name, content); // durable before the report (R10)
      const sha256 = createHash("sha256").update(content).digest("hex");
      artifacts.push({ name, sha256, size_bytes: content.length, content_type: contentType });
      return { $file: { name, key: `.runs/${runId}/${name}`, size_bytes: content.length, sha256, content_type: contentType } };
    },
  };
  runs.set(runId, run);
  working += 1;
  const limit = assignment.start_to_close_s
    ? setTimeout(() => ((run.timedOut = true), run.abort.abort()), assignment.start_to_close_s * 1000)
    : undefined;
  Promise.resolve()
    .then(async () => tasks[assignment.handler].handler(await resolve(assignment.args ?? {}, run), run))
    .then(async (result) => {
      let value = result ?? null;
      const encoded = Buffer.from(JSON.stringify(value));
      if (encoded.length > (welcome.inline_bytes ?? 65536)) {
        await upload(run, "result.json", encoded);
        value = { $spill: spill(`.runs/${runId}/result.json`, encoded.length, value, assignment.needed_paths ?? []) };
      }
      return { kind: "completed", result: value, artifacts };
    })
    .catch((error) => {
      if (run.cancelled) return { kind: "cancelled" };
      const code = run.timedOut ? "timeout_start_to_close" : run.lost ? "worker_lost" : "task_failed";
      return { kind: "failed", error: { code, message: error.message, type: error.name, final: Boolean(error.final) } };
    })
    .then((end) => {
      clearTimeout(limit);
      working -= 1;
      if (!run.disowned) tell({ run_id: runId, ...end });
      askForMore();
    });
}

const at = (value, path) => path.reduce((inner, step) => inner?.[step], value);

function spill(key, size, value, neededPaths) {
  const found = neededPaths.map((path) => [path, at(value, path)]).filter(([, inner]) => inner !== undefined);
  const lists = [[[], value], ...found].filter(([, inner]) => Array.isArray(inner));
  return { key, size_bytes: size, path: [], inline: found, lengths: lists.map(([path, inner]) => [path, inner.length]) };
}

// Replace $spill and $secret in arguments; $file stays, a handler downloads what it wants (GET /worker/objects/{key}).
async function resolve(value, run) {
  if (Array.isArray(value)) return Promise.all(value.map((inner) => resolve(inner, run)));
  if (value === null || typeof value !== "object" || value.$file) return value;
  if (value.$secret) {
    const secret = process.env[`ORPHEUS_SECRET_${value.$secret}`];
    if (secret === undefined) throw Object.assign(new Error(`no secret ${value.$secret}`), { final: true });
    return secret;
  }
  if (value.$spill) {
    const path = value.$spill.key.split("/").map(encodeURIComponent).join("/");
    const response = await fetch(`${server}/worker/objects/${path}`, {
      headers: { ...headers, "x-run-token": run.assignment.run_token, "x-run-id": run.assignment.run_id },
    });
    if (!response.ok) throw new Error(`download of ${value.$spill.key}: HTTP ${response.status}`);
    return at(await response.json(), value.$spill.path ?? []);
  }
  const entries = await Promise.all(Object.entries(value).map(async ([key, inner]) => [key, await resolve(inner, run)]));
  return Object.fromEntries(entries);
}

function cancel({ run_id: runId }) {
  const run = runs.get(runId);
  if (run) (run.cancelled = true), run.abort.abort();
}

// --- The three loops ---------------------------------------------------------------------------------------------------

let stopped = false;
let seq = 0;
let askForMore = () => {};

async function pollLoop() {
  while (!stopped) {
    seq += 1;
    const mine = seq;
    let free = -1;
    // The first answer that is not `superseded` is the answer. Asking again with the same seq takes the older one's place.
    const reply = await new Promise((resolve) => {
      let done = false;
      const ask = () => {
        const now = draining ? 0 : slots - working;
        if (done || now === free) return;
        free = now;
        const asked = performance.now();
        insist(() => call("/worker/poll", { session_id: sessionId, seq: mine, held: [...runs.keys()], free }))
          .then((answer) => {
            lastContact = Math.max(lastContact, asked);
            if (!answer.superseded) (done = true), resolve(answer);
          })
          .catch((error) => (console.error(error.message), sleep(1).then(() => ((free = -1), ask()))));
      };
      askForMore = ask;
      ask();
    });
    askForMore = () => {};
    (reply.unknown ?? []).forEach(disown);
    (reply.tasks ?? []).forEach(begin);
    (reply.cancel ?? []).forEach(cancel);
  }
}

async function reportLoop() {
  for (;;) {
    if (!outbox.length) await new Promise((resolve) => (wakeReporter = resolve));
    const items = outbox.splice(0, 200);
    const reply = await insist(() => call("/worker/report", { session_id: sessionId, items }));
    items.forEach((item, index) => {
      if (!["completed", "failed", "cancelled"].includes(item.kind)) return;
      const answer = reply.items[index];
      if (answer.ok || answer.code === "stale_run") runs.delete(item.run_id);
      else if (item.kind === "completed")
        tell({ run_id: item.run_id, kind: "failed", error: { code: answer.code, message: answer.message, final: true } });
      else runs.delete(item.run_id);
    });
    if (draining && !runs.size) return;
  }
}

async function heartbeatLoop() {
  while (!stopped) {
    await sleep(welcome.lease_s / 3);
    const asked = performance.now();
    try {
      const reply = await call("/worker/heartbeat", { session_id: sessionId, held: [...runs.keys()] }, AbortSignal.timeout(10_000));
      lastContact = Math.max(lastContact, asked);
      (reply.unknown ?? []).forEach(disown);
      (reply.cancel ?? []).forEach(cancel);
    } catch {
      // The poll loop says hello again when that is needed; here only the lease counts (R7).
      if (performance.now() - lastContact > welcome.lease_s * 800)
        for (const run of runs.values()) (run.lost = true), run.abort.abort();
    }
  }
}

// --- Begin, and end well -------------------------------------------------------------------------------------------------

let reporting;
async function drain() {
  if (draining) process.exit(130);
  draining = true;
  askForMore(); // asks with free = 0: nothing new, cancellations still come
  if (runs.size) await reporting;
  stopped = true;
  await call("/worker/bye", { session_id: sessionId }).catch(() => {});
  process.exit(0);
}
process.on("SIGTERM", drain);
process.on("SIGINT", drain);

try {
  await hello();
} catch (error) {
  console.error(error.message); // unauthorized, protocol_unsupported, definition_conflict: never better by itself
  process.exit(1);
}
reporting = reportLoop();
await Promise.all([pollLoop(), heartbeatLoop(), reporting]);
