// Where work waits and who does it: queues with their limits, workers with what they hold, tenants with their shares.

import { ask, patch } from "./api.js";
import { button, empty, field, fill, h, heading, pill, table } from "./dom.js";
import { between, bytes, duration, short } from "./format.js";
import { instant } from "./instant.js";
import { renew } from "./keep.js";
import { listen, throttled, watch } from "./live.js";
import { ask as dialog, attempt, notice } from "./notices.js";
import { address } from "./router.js";

const HELD = 8; // tasks of one worker that are shown

export function view(root) {
  const queues = h("div", {});
  const workers = h("div", {});
  const tenants = h("div", {});
  fill(root, heading("Queues & workers"),
    h("section", { class: "panel" }, h("h2", {}, "Queues"), queues), h("section", { class: "panel" }, h("h2", {}, "Workers"), workers), h("section", { class: "panel" }, h("h2", {}, "Tenants"), tenants));

  const load = throttled(async () => {
    try {
      const [a, b, c] = await Promise.all([ask("queues"), ask("workers"), ask("tenants").catch(() => ({ items: [] }))]);
      renew(queues, () => drawQueues(a.items, load));
      renew(workers, () => drawWorkers(b.items));
      renew(tenants, () => drawTenants(c.items, load));
    } catch (error) {
      if (error.code !== "unreachable") notice(error.message, "error");
    }
  }, 800);
  watch();
  const stop = listen((batch) => batch.some((each) => each.type?.startsWith("job.") || each.type === "subscribed" || each.type === "reset") && load());
  const timer = setInterval(() => !document.hidden && load(), 2000);
  load();
  return { leave() { stop(); clearInterval(timer); } };
}

function drawQueues(items, reload) {
  if (items.length === 0) {
    return empty("No queues yet", "A queue appears when a task waits in it, or when it is given a limit: `orpheus queues set gpu --concurrency 2`");
  }
  return table("Queues", [
    ["queue", (each) => h("b", {}, each.name)],
    ["state", (each) => (each.paused ? pill("pending", "paused") : pill(each.running ? "running" : "completed", each.running ? "working" : "idle"))],
    ["depth", (each) => each.ready.toLocaleString(), "number"], ["running", (each) => each.running, "number"],
    ["oldest waits", (each) => (each.oldest_wait_s === null ? "–" : duration(each.oldest_wait_s)), "number"],
    ["at most at a time", (each) => each.concurrency ?? "no limit", "number"],
    ["rate", (each) => (each.rate_limit ? `${each.rate_limit.limit} in ${duration(each.rate_limit.period_s)}` : "no limit"), "number"],
    ["", (each) => h("div", { class: "row end" },
      button(each.paused ? "Resume" : "Pause", () => attempt(() => patch(`queues/${encodeURIComponent(each.name)}`, { paused: !each.paused }), `Queue ${each.name} ${each.paused ? "resumed" : "paused"}`).then(reload), "small quiet", { "aria-label": `${each.paused ? "Resume" : "Pause"} queue ${each.name}` }),
      button("Limits …", () => limits(each).then(reload), "small quiet", { "aria-label": `Limits of queue ${each.name}` }))],
  ], items);
}

async function limits(queue) {
  const most = h("input", { class: "input", type: "number", min: 0, value: queue.concurrency ?? "", placeholder: "no limit" });
  const count = h("input", { class: "input", type: "number", min: 1, value: queue.rate_limit?.limit ?? "", placeholder: "no limit" });
  const period = h("input", { class: "input", type: "number", min: 0.001, step: "any", value: queue.rate_limit?.period_s ?? 60 });
  const done = await dialog(`Limits of ${queue.name}`, h("div", {}, field("Tasks at a time", most, "Empty: no limit. 0: none."), field("Starts", count), field("in so many seconds", period)),
    { yes: "Set", submit: () => patch(`queues/${encodeURIComponent(queue.name)}`, {
      concurrency: most.value === "" ? null : Number(most.value),
      rate_limit: count.value === "" ? null : { limit: Number(count.value), period_s: Number(period.value) },
    }) });
  if (done) notice(`Limits of ${queue.name} are set`);
}

function drawWorkers(items) {
  const alive = items.filter((each) => each.alive);
  if (items.length === 0) {
    return empty("No worker has reported", "Jobs wait until one does: `orpheus worker --import flows.py`. `orpheus up` starts one with the server.");
  }
  const gone = items.filter((each) => !each.alive);
  const columns = [
    ["worker", (each) => [h("b", {}, each.worker), h("div", { class: "hint" }, h("code", {}, short(each.session_id)), ` ${each.host} ${each.pid || ""}`)]],
    ["state", (each) => (each.alive ? pill(each.running ? "running" : "completed", each.running ? "working" : "idle") : pill("cancelled", "gone"))],
    ["slots", (each) => slots(each)],
    ["takes", (each) => [each.queues.length ? each.queues.join(", ") : "all queues", ...Object.entries(each.resources).map(([name, count]) => `${name} ${count}`)].join(", ")],
    ["working on", (each) => held(each.tasks)],
    ["memory", (each) => (each.memory_bytes ? bytes(each.memory_bytes) : "–"), "number"],
    ["last heard", (each) => instant(each.last_seen_at, "ago")],
    ["tasks", (each) => h("details", {}, h("summary", {}, each.handlers.length), h("code", {}, each.handlers.join(", ")))],
  ];
  return [alive.length === 0 ? h("p", { class: "box waiting" }, "None of them is alive: jobs wait.") : table("Workers", columns, alive),
    gone.length > 0 && h("details", { class: "gone" }, h("summary", {}, `${gone.length} gone lately`), table("Workers that are gone", columns, gone))];
}

function held(tasks) {
  if (tasks.length === 0) return "–";
  return h("ul", { class: "plain held" }, tasks.slice(0, HELD).map((each) => h("li", {},
    h("a", { href: address("jobs", [each.job_id]) }, `${each.task}${each.index === null ? "" : ` [${each.index}]`}`),
    h("span", { class: "hint" }, ` ${short(each.job_id)}${each.attempt > 1 ? `, attempt ${each.attempt}` : ""}, ${between(each.started_at).replaceAll(" ", "\u00a0")}`))),
    tasks.length > HELD && h("li", { class: "hint" }, `and ${tasks.length - HELD} more`));
}

function slots(worker) {
  const most = Math.min(worker.slots, 24);
  return h("span", { class: "slots", role: "img", "aria-label": `${worker.running} of ${worker.slots} slots` },
    Array.from({ length: most }, (_, place) => h("i", { class: place < worker.running ? "on" : "" })), h("span", {}, `${worker.running} / ${worker.slots}`));
}

function drawTenants(items, reload) {
  return items.length === 0 ? h("p", { class: "hint" }, "Tenants appear with their first job.") : table("Tenants", [
    ["tenant", (each) => h("a", { href: address("jobs", [], new URLSearchParams({ tenant: each.name })) }, h("b", {}, each.name))],
    ["open jobs", (each) => each.open_jobs.toLocaleString(), "number"], ["running tasks", (each) => each.running, "number"], ["weight", (each) => each.weight, "number"],
    ["most running", (each) => each.max_running ?? "no limit", "number"], ["most open jobs", (each) => each.max_open_jobs ?? "no limit", "number"], ["best priority", (each) => each.max_priority ?? "any", "number"],
    ["", (each) => button("Limits …", () => shares(each).then(reload), "small quiet", { "aria-label": `Limits of tenant ${each.name}` })],
  ], items);
}

async function shares(tenant) {
  const number = (name, least = 0) => h("input", { class: "input", type: "number", min: least, step: name === "weight" ? "any" : 1, value: tenant[name] ?? "", placeholder: "no limit" });
  const inputs = { weight: number("weight", 0.001), max_running: number("max_running"), max_open_jobs: number("max_open_jobs"), max_priority: number("max_priority", 1) };
  const done = await dialog(`Limits of ${tenant.name}`, h("div", {}, field("Weight", inputs.weight, "Of two that wait, the one with twice the weight gets twice the turns."), field("Running tasks at most", inputs.max_running), field("Open jobs at most", inputs.max_open_jobs), field("Best priority", inputs.max_priority, "1 is the highest")),
    { yes: "Set", submit: () => patch(`tenants/${encodeURIComponent(tenant.name)}`, Object.fromEntries(Object.entries(inputs).filter(([name, input]) => input.value !== "" || name !== "weight").map(([name, input]) => [name, input.value === "" ? null : Number(input.value)]))) });
  if (done) notice(`Limits of ${tenant.name} are set`);
}
