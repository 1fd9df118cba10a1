// The page put together: the shell around the views, and what holds everywhere (connection, keys, dropped files).

import { fill, h } from "./dom.js";
import { connect, listen } from "./live.js";
import { countApprovals, countFailures } from "./badges.js";
import { openPalette } from "./palette.js";
import { current, go, start } from "./router.js";
import { signIn } from "./signin.js";
import "./uploads.js";

const NAV = [
  ["jobs", "Jobs"], ["approvals", "Approvals"], ["failures", "Failures"], ["workflows", "Workflows"],
  ["queues", "Queues & workers"], ["schedules", "Schedules"], ["settings", "Settings"],
];
const live = document.getElementById("live");
const banner = document.getElementById("banner");
const nav = document.getElementById("nav");
const menu = document.getElementById("menu");
const badges = { approvals: h("b", { class: "badge", hidden: true }), failures: h("b", { class: "badge failed", hidden: true }) };

fill(nav, NAV.map(([name, title]) => h("a", { href: `#/${name}`, "data-view": name }, h("span", {}, title), badges[name])));

function marked(name) {
  for (const link of nav.children) link.toggleAttribute("aria-current", false);
  const view = name === "job" ? "jobs" : name;
  nav.querySelector(`[data-view="${view}"]`)?.setAttribute("aria-current", "page");
  folded(true);
}

function folded(yes) {
  nav.parentElement.classList.toggle("open", !yes);
  menu.setAttribute("aria-expanded", String(!yes));
}

menu.addEventListener("click", () => folded(menu.getAttribute("aria-expanded") === "true"));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("view").focus();
});
document.getElementById("find").addEventListener("click", openPalette);

let everLive = false;
let lostTimer = null;

function connection(isLive) {
  live.textContent = isLive ? "live" : "reconnecting";
  live.classList.toggle("on", isLive);
  clearTimeout(lostTimer);
  if (isLive) {
    everLive = true;
    banner.hidden = true;
  } else if (everLive) {
    // A blink is not worth a word: a banner that comes and goes is noise.
    lostTimer = setTimeout(() => {
      banner.hidden = false;
      fill(banner, "The server is out of reach. What you see is the last it said; the page goes on by itself when it is back.");
    }, 700);
  }
}

listen((batch) => {
  for (const message of batch) if (message.type === "state") connection(message.live);
  if (batch.some((each) => each.type?.startsWith("job.") || each.type === "subscribed" || each.type === "reset")) {
    countApprovals(badges.approvals);
    countFailures(badges.failures);
  }
});

addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
  } else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && !document.querySelector("dialog[open]")) {
    if (event.key === "/") {
      event.preventDefault();
      const search = document.querySelector("#search");
      if (search) search.focus();
      else openPalette();
    } else if (event.key === "n") go("submit");
    else if (event.key === "?") openPalette();
  }
});

addEventListener("signin", signIn);
start(document.getElementById("view"), marked);
connect();
export { current };
