// What a cut plan keeps and removes, over the sound of the source.

import { url } from "./api.js";
import { fill, h, s } from "./dom.js";
import { duration, stamp } from "./format.js";

const [W, H] = [1000, 110];
const MOST_BYTES = 25_000_000; // of sound to be drawn: it is decoded whole

export function cutPlan(href, all) {
  const element = h("div", { class: "preview cutplan" }, h("p", { class: "hint" }, "Loading …"));
  const sound = all.find((each) => each.name.startsWith("audio/") && each.content_type.startsWith("audio/") && each.size_bytes < MOST_BYTES);
  fetch(href).then((response) => response.json()).then((plan) => draw(element, plan, sound)).catch(() => fill(element, h("p", { class: "hint" }, "(cannot be shown)")));
  return element;
}

function draw(element, plan, sound) {
  const whole = plan.source_duration_s || 1;
  const x = (seconds) => (seconds / whole) * W;
  const audio = sound ? h("audio", { src: url(sound.path).href, preload: "none", controls: true, "aria-label": "Sound of the source" }) : null;
  const wave = s("path", { class: "wave", d: "" });
  const needle = s("line", { class: "needle", x1: 0, x2: 0, y1: 0, y2: H });
  const blocks = [
    ...(plan.kept ?? []).map((each) => ({ ...each, kind: "kept", said: "kept" })),
    ...(plan.removed ?? []).map((each) => ({ ...each, kind: `removed ${["silence", "filler", "repeat"].includes(each.reason) ? each.reason : ""}`, said: `removed: ${each.reason}${each.text ? ` “${each.text}”` : ""}` })),
  ].map((each) => s("rect", { class: `cut ${each.kind}`, x: x(each.start_s), y: 0, width: Math.max(1, x(each.end_s) - x(each.start_s)), height: H },
    s("title", {}, `${stamp(each.start_s)} – ${stamp(each.end_s)} ${each.said}`)));
  const picture = s("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", "aria-label": `Cut plan: ${duration(plan.kept_duration_s)} of ${duration(whole)} are kept` }, blocks, wave, needle);
  const reasons = {};
  for (const each of plan.removed ?? []) reasons[each.reason] = (reasons[each.reason] ?? 0) + each.end_s - each.start_s;
  fill(element, picture,
    h("p", { class: "legend" }, h("span", { class: "key kept" }), `kept ${duration(plan.kept_duration_s)} of ${duration(whole)}`,
      Object.entries(reasons).map(([reason, seconds]) => [h("span", { class: `key ${["silence", "filler", "repeat"].includes(reason) ? reason : ""}` }), `${reason} ${duration(seconds)}`])),
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
  peaks(audio.src).then((values) => wave.setAttribute("d", values.map((value, place) => `M${place + 0.5} ${H / 2 - value * H * 0.46}V${H / 2 + value * H * 0.46}`).join("")), () => {});
}

async function peaks(href) {
  const context = new OfflineAudioContext(1, 1, 8000);
  const decoded = await context.decodeAudioData(await (await fetch(href)).arrayBuffer());
  const data = decoded.getChannelData(0);
  const step = Math.max(1, Math.floor(data.length / W));
  const values = Array.from({ length: W }, (_, place) => {
    let high = 0;
    for (let at = place * step; at < Math.min(data.length, (place + 1) * step); at += 1) high = Math.max(high, Math.abs(data[at]));
    return high;
  });
  const highest = Math.max(...values, 0.01);
  return values.map((value) => Math.max(0.01, value / highest));
}
