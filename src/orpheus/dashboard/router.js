// Which view does the address name? `#/jobs?state=failed`, `#/jobs/<id>/events`: everything shown has an address.

import { button, empty, fill, h, heading } from "./dom.js";

const VIEWS = {
  jobs: () => import("./jobs.js"),
  job: () => import("./job.js"),
  submit: () => import("./submit.js"),
  workflows: () => import("./workflows.js"),
  queues: () => import("./queues.js"),
  schedules: () => import("./schedules.js"),
  approvals: () => import("./approvals.js"),
  failures: () => import("./failures.js"),
  settings: () => import("./settings.js"),
};
let root = null;
let shown = null; // { name, handle }
let turn = 0;
let begun = false;
let told = () => {};

/** Read an address. */
export function read(hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decoded);
  const name = parts[0] === "jobs" && parts.length > 1 ? "job" : parts[0] ?? "jobs";
  return { name: name === "" ? "jobs" : name, parts: parts.slice(1), query: new URLSearchParams(search) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function address(name, parts = [], query = null) {
  const text = query ? query.toString() : "";
  return `#/${[name, ...parts].map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export function go(name, parts = [], query = null) {
  location.hash = address(name, parts, query);
}

/** Change the address without a step in the history: filters, tabs. */
export function settle(name, parts, query) {
  history.replaceState(null, "", address(name, parts, query));
}

export function current() {
  return read(location.hash);
}

async function route() {
  const where = read(location.hash);
  told(where.name);
  if (shown?.name === where.name && shown.handle?.moved?.(where)) return;
  turn += 1;
  const mine = turn;
  shown?.handle?.leave?.();
  shown = null;
  const load = VIEWS[where.name];
  if (!load) {
    fill(root, h("div", {}, heading("Nowhere"), empty("There is no such page", "The address names nothing that this page can show.", h("a", { class: "button primary", href: "#/jobs" }, "To the jobs"))));
    return;
  }
  const module = await load().catch(() => null);
  if (mine !== turn) return;
  if (!module) {
    // The server is away, or another release of it has other files: to begin anew helps in both cases.
    fill(root, h("div", {}, heading("Not loaded"), empty("This view could not be loaded", "The server is out of reach, or it has been renewed since this page was opened.", button("Load the page again", () => location.reload(), "primary"))));
    return;
  }
  const element = h("div", { class: `view-${where.name}` });
  fill(root, element);
  root.scrollTop = 0;
  document.body.dataset.view = where.name;
  shown = { name: where.name, handle: module.view(element, where) };
  const title = element.querySelector("h1")?.textContent ?? where.parts[0];
  document.title = title ? `${title} · Orpheus` : "Orpheus";
  if (begun && document.activeElement === document.body) root.focus({ preventScroll: true }); // what was chosen has gone with its view
  begun = true;
}

export function start(element, onChange) {
  root = element;
  told = onChange;
  addEventListener("hashchange", route);
  route();
}
