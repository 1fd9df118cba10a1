// What a cut plan keeps and removes, over the sound of the source: to look at and to listen to.

import { url } from "./api.js";
import { partsOf, keptSeconds } from "./cuts.js";
import { fill, h, s } from "./dom.js";
import { duration, stamp } from "./format.js";
import { soundOf } from "./job-files.js";
import { peaks, wavePath } from "./sound.js";

const [W, H] = [1000, 110];
const REASONS = ["silence", "filler", "repeat"]; // those with a colour of their own

/** `source` is where the plan lies, or a promise of it; `told` says which plan it is. */
export function cutPlan(source, artifacts, told = null) {
  const element = h("div", { class: "preview cutplan" }, h("p", { class: "hint" }, "Loading …"));
  const plan = typeof source === "string" ? fetch(source).then((response) => response.json()) : Promise.resolve(source);
  plan.then((value) => draw(element, value, soundOf(artifacts), told)).catch(() => fill(element, h("p", { class: "hint" }, "(cannot be shown)")));
  return element;
}

function draw(element, plan, sound, told) {
  const whole = plan.source_duration_s || 1;
  const parts = partsOf(plan);
  const x = (seconds) => (seconds / whole) * W;
  const audio = sound ? h("audio", { src: url(sound.path).href, preload: "none", controls: true, "aria-label": "Sound of the source" }) : null;
  const wave = s("path", { class: "wave", d: "" });
  const needle = s("line", { class: "needle", x1: 0, x2: 0, y1: 0, y2: H });
  const blocks = parts.map((each) => s("rect", { class: `cut ${kindOf(each)}`, x: x(each.start), y: 0, width: Math.max(1, x(each.end) - x(each.start)), height: H },
    s("title", {}, `${stamp(each.start)} – ${stamp(each.end)} ${saidOf(each)}`)));
  const kept = keptSeconds(parts);
  const picture = s("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", "aria-label": `Cut plan: ${duration(kept)} of ${duration(whole)} are kept` }, blocks, wave, needle);
  const reasons = {};
  for (const each of parts) if (!each.kept) reasons[each.reason ?? "edited"] = (reasons[each.reason ?? "edited"] ?? 0) + each.end - each.start;
  fill(element, told && h("p", { class: "hint" }, told), picture,
    h("p", { class: "legend" }, h("span", { class: "key kept" }), `kept ${duration(kept)} of ${duration(whole)}`,
      Object.entries(reasons).map(([reason, seconds]) => [h("span", { class: `key ${REASONS.includes(reason) ? reason : ""}` }), `${reason} ${duration(seconds)}`])),
    audio);
  if (!audio) return;
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    audio.currentTime = ((event.clientX - box.left) / box.width) * whole;
    audio.play().catch(() => {});
  });
  audio.addEventListener("timeupdate", () => {
    needle.setAttribute("x1", x(audio.currentTime));
    needle.setAttribute("x2", x(audio.currentTime));
  });
  peaks(sound, W).then((values) => wave.setAttribute("d", wavePath(values, W, H)), () => {});
}

export function kindOf(part) {
  return part.kept ? "kept" : `removed ${REASONS.includes(part.reason) ? part.reason : ""}`;
}

export function saidOf(part) {
  if (part.kept) return part.reason ? `kept (${part.reason})` : "kept";
  return `${part.reason ?? "edited"}${part.text ? ` “${part.text}”` : ""}`;
}
