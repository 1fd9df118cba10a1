// The files of a job, each with a preview where a browser can show one safely. Players keep playing while the rest changes.

import { url } from "./api.js";
import { cutPlan } from "./cutplan.js";
import { isPlan } from "./cuts.js";
import { fill, h, order } from "./dom.js";
import { bytes } from "./format.js";
import { sources } from "./job-files.js";
import { player, transcripts } from "./player.js";
import { tree } from "./tree.js";

const TEXT_BYTES = 8192;
const JSON_BYTES = 300_000;
const PICTURES = ["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"];
const isCutPlan = (artifact) => artifact.name.endsWith("/cut_plan.json");
const kindOf = (artifact) => artifact.content_type.split(";")[0];

export function files({ model }) {
  const made = h("div", { class: "gallery" });
  const sent = h("div", { class: "gallery" });
  const heading = h("h2", { class: "gap" }, "What went in");
  const none = h("p", { class: "empty" }, "No files yet. What tasks save with ", h("code", {}, "ctx.save"), " appears here.");
  const element = h("div", {});
  const cards = new Map(); // name and hash -> its card, kept as long as the file is the same
  const players = new Map(); // by name
  let sign = null;

  function show() {
    const { artifacts } = model.job;
    const given = sources(model.job.params);
    const plan = approvedPlan(model);
    const next = JSON.stringify([[...artifacts, ...given].map((each) => [each.name, each.sha256]), plan]);
    if (next === sign) return;
    sign = next;
    const pages = artifacts.filter((each) => /^pages\/\d+\.\w+$/.test(each.name) && PICTURES.includes(kindOf(each)));
    const others = artifacts.filter((each) => !pages.includes(each));
    const rank = (each) => ["video", "plan/", "audio"].findIndex((start) => kindOf(each).startsWith(start) || (start === "plan/" && isCutPlan(each)));
    others.sort((a, b) => ((rank(a) + 4) % 4) - ((rank(b) + 4) % 4));
    order(made, others.map((each) => once(`${each.name} ${each.sha256} ${isCutPlan(each) ? JSON.stringify(plan) : ""}`, () => card(each, artifacts, plan, players))));
    order(sent, given.map((each) => once(`source ${each.name} ${each.sha256}`, () => card(each, []))));
    for (const each of others) players.get(each.name)?.tell(transcripts(each, artifacts)); // what was said is known later than the sound
    order(element, [
      ...(pages.length > 0 ? [once(`pages ${pages.map((each) => each.sha256)}`, () => pageViewer(pages))] : []),
      ...(artifacts.length > 0 ? [made] : given.length > 0 ? [] : [none]), ...(given.length > 0 ? [heading, sent] : []),
    ]);
  }

  function once(key, make) {
    if (!cards.has(key)) cards.set(key, make());
    return cards.get(key);
  }
  return { element, show };
}

/** The plan as a person sent it back, where one was edited: it was cut by, not the file beside it. */
function approvedPlan(model) {
  const task = model.tasks.find((each) => each.approval?.decision === "approved" && each.approval.edited && isPlan(each.result));
  return task ? { value: task.result, told: `As ${task.approval.by ?? "somebody"} approved it, with changes.` } : null;
}

function card(artifact, all, plan = null, players = new Map()) {
  const href = url(artifact.path).href;
  return h("figure", { class: "card" }, preview(href, artifact, all, plan, players),
    h("figcaption", {},
      h("a", { href, target: "_blank", rel: "noopener", title: artifact.name }, artifact.name),
      h("span", { class: "hint" }, `${bytes(artifact.size_bytes)} · ${kindOf(artifact)}`),
      h("a", { class: "save", href: `${href}?download=true`, "aria-label": `Save ${artifact.name}` }, "save")));
}

function preview(href, artifact, all, plan, players) {
  const kind = kindOf(artifact);
  const [family] = kind.split("/");
  const name = artifact.name.split("/").pop();
  if (PICTURES.includes(kind)) {
    return h("a", { class: "preview", href, target: "_blank", rel: "noopener", "aria-label": `Open ${name}` }, h("img", { src: href, alt: artifact.metadata?.description ?? "", loading: "lazy" }));
  }
  if (family === "video" || family === "audio") {
    const made = player(href, family, name);
    players.set(artifact.name, made);
    return made.element;
  }
  if (isCutPlan(artifact)) return plan ? cutPlan(plan.value, all, plan.told) : cutPlan(href, all);
  if (kind === "application/json" || kind.endsWith("+json")) return h("div", { class: "preview text" }, jsonOf(href, artifact));
  if (family === "text" || kind === "application/x-subrip") {
    const text = h("pre", { tabIndex: 0, "aria-label": name }, "…");
    start(href, artifact).then((content) => { text.textContent = content || "(empty)"; }, () => { text.textContent = "(cannot be shown)"; });
    return h("div", { class: "preview text" }, text);
  }
  return h("div", { class: "preview plain" }, h("span", {}, kind.split("/")[1]));
}

function jsonOf(href, artifact) {
  const element = h("div", {}, "…");
  if (artifact.size_bytes > JSON_BYTES) {
    start(href, artifact).then((text) => fill(element, h("pre", {}, `${text}…`)), () => fill(element, "(cannot be shown)"));
  } else {
    fetch(href).then((response) => response.json()).then((value) => fill(element, tree(value)), () => fill(element, "(cannot be shown)"));
  }
  return element;
}

async function start(href, artifact) {
  const options = artifact.size_bytes > TEXT_BYTES ? { headers: { range: `bytes=0-${TEXT_BYTES - 1}` } } : {};
  return (await fetch(href, options)).text();
}

function pageViewer(pages) {
  const number = (artifact) => Number(/(\d+)\.\w+$/.exec(artifact.name)[1]);
  const sorted = [...pages].sort((a, b) => number(a) - number(b));
  const image = h("img", { alt: "" });
  const text = h("span", { class: "hint", role: "status" });
  let at = 0;
  const show = (place) => {
    at = Math.max(0, Math.min(sorted.length - 1, place));
    image.src = url(sorted[at].path).href;
    image.alt = `Page ${number(sorted[at])}`;
    fill(text, `Page ${at + 1} of ${sorted.length}`);
    strip.querySelectorAll("button").forEach((each, index) => each.toggleAttribute("aria-current", index === at));
    strip.children[at].scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  const strip = h("div", { class: "strip" }, sorted.map((each, place) => h("button", { type: "button", "aria-label": `Page ${number(each)}`, onclick: () => show(place) },
    h("img", { src: url(each.path).href, alt: "", loading: "lazy" }))));
  const element = h("section", { class: "panel pages", "aria-label": "Pages", onkeydown: (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 1, PageUp: -1 }[event.key];
    if (step) { event.preventDefault(); show(at + step); }
  } }, h("header", { class: "panel-head" }, h("h2", {}, "Pages"), h("span", { class: "spring" }), text), h("div", { class: "page-view" }, strip, image));
  requestAnimationFrame(() => show(0));
  return element;
}
