// A cut plan under somebody's hands: edges are dragged or stepped, stretches kept or not, heard, split; then it is sent.

import { url } from "./api.js";
import { fine, keptSeconds, moveEdge, partAt, partsOf, planOf, splitAt, withoutCrumbs } from "./cuts.js";
import { kindOf, saidOf } from "./cutplan.js";
import { button, fill, h, s, say } from "./dom.js";
import { soundOf, sources } from "./job-files.js";
import { peaks, wavePath } from "./sound.js";

const [W, H, COLUMNS] = [4000, 120, 3000];
const STEP_S = 0.04; // a frame at 25 a second
const ZOOMS = [1, 2, 4, 8, 16, 32];

/** Return `{element, value(), leave()}` for a plan of `job`, whose files are heard and drawn where there are any. */
export function cutsEditor(plan, job) {
  const whole = plan.source_duration_s;
  const sound = soundOf(job.artifacts);
  let parts = partsOf(plan);
  const before = [];
  let until = null; // where playing stops; "cut" follows the result instead
  let frame = null;
  let zoom = 0;

  const media = player(job, sound);
  const told = h("output", { class: "cuts-told", "aria-live": "polite" });
  const needle = h("i", { class: "cuts-needle", hidden: !media });
  const wave = s("path", { class: "wave", d: "" });
  const blocks = h("div", { class: "cuts-blocks" });
  const track = h("div", { class: "cuts-track", onpointerdown: seek }, blocks,
    s("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", "aria-hidden": "true" }, wave), needle);
  const list = h("ol", { class: "cuts-list", tabIndex: 0, "aria-label": "Stretches" });
  const back = button("Undo", undo, "small quiet", { disabled: true });
  const element = h("div", { class: "cuts" }, media,
    h("div", { class: "row" },
      media && button("Play the result", () => play(keptFrom(media.currentTime), "cut"), "small"),
      media && button("Pause", () => media.pause(), "small quiet"),
      media && button("Split here", split, "small quiet"),
      back, button("Begin anew", () => change(() => { parts = partsOf(plan); }), "small quiet"),
      h("span", { class: "spring" }),
      button("−", () => zoomBy(-1), "small quiet", { "aria-label": "Wider view" }), button("+", () => zoomBy(1), "small quiet", { "aria-label": "Closer view" })),
    h("div", { class: "cuts-frame" }, track), told, list);
  draw();
  if (sound) peaks(sound, COLUMNS).then((values) => wave.setAttribute("d", wavePath(values, W, H)), () => {});

  function change(work) {
    remember();
    work();
    draw();
  }

  function remember() {
    const now = JSON.stringify(parts);
    if (before.at(-1) !== now) before.push(now);
    back.disabled = false;
  }

  function undo() {
    parts = JSON.parse(before.pop());
    back.disabled = before.length === 0;
    draw();
  }

  function draw() {
    fill(blocks, parts.map((part) => placed(h("span", { class: `cut ${kindOf(part)}`, title: `${fine(part.start)} – ${fine(part.end)} ${saidOf(part)}` }), part.start, part.end)),
      parts.slice(0, -1).map((part, place) => (part.kept === parts[place + 1].kept ? null : edge(place))));
    const focused = list.contains(document.activeElement) ? [document.activeElement.closest("li"), document.activeElement.tagName] : null;
    const at = focused?.[0] ? [...list.children].indexOf(focused[0]) : -1;
    fill(list, parts.map(row));
    if (at >= 0) list.children[at]?.querySelector(focused[1].toLowerCase())?.focus();
    tell();
  }

  function tell() {
    const kept = keptSeconds(parts);
    say(told, `The result lasts ${kept.toFixed(1)} s: ${(whole - kept).toFixed(1)} s of ${whole.toFixed(1)} s go.`);
  }

  function placed(each, start, end) {
    each.style.left = `${(start / whole) * 100}%`;
    if (end !== undefined) each.style.width = `${((end - start) / whole) * 100}%`;
    return each;
  }

  function row(part, place) {
    const keep = h("input", { type: "checkbox", checked: part.kept, "aria-label": `Keep ${fine(part.start)} to ${fine(part.end)}`, onchange: () => change(() => { parts[place].kept = keep.checked; }) });
    return h("li", { class: kindOf(part) }, h("label", { class: "check" }, keep, "keep"), h("span", { class: "stamp" }, `${fine(part.start)} – ${fine(part.end)}`),
      h("span", { class: "number" }, `${(part.end - part.start).toFixed(2)} s`), h("span", { class: "why" }, saidOf(part)),
      media && button("Play", () => play(part.start, part.end), "small quiet", { "aria-label": `Play ${fine(part.start)} to ${fine(part.end)}` }));
  }

  // The edge behind the stretch `place`.
  function edge(place) {
    const handle = placed(h("span", { class: "cuts-edge", role: "slider", tabIndex: 0, "aria-orientation": "horizontal", onpointerdown: grab, onkeydown: step }), parts[place].end);
    const name = () => {
      const [left, right] = [parts[place], parts[place + 1]];
      for (const [attribute, value] of Object.entries({ label: left.kept ? `End of what is kept, before ${saidOf(right)}` : `Begin of what is kept, after ${saidOf(left)}`,
        valuemin: left.start, valuemax: right.end, valuenow: left.end, valuetext: fine(left.end) })) handle.setAttribute(`aria-${attribute}`, value);
    };
    name();

    function to(seconds) {
      moveEdge(parts, place, seconds);
      placed(handle, parts[place].end);
      placed(blocks.children[place], parts[place].start, parts[place].end);
      placed(blocks.children[place + 1], parts[place + 1].start, parts[place + 1].end);
      name();
      tell();
    }

    function grab(event) {
      event.preventDefault();
      event.stopPropagation();
      handle.focus();
      handle.setPointerCapture(event.pointerId);
      remember();
      handle.onpointermove = (move) => to(secondsAt(move));
      handle.onpointerup = () => { handle.onpointermove = null; handle.onpointerup = null; redraw(); };
    }

    function step(event) {
      const direction = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!direction) return;
      event.preventDefault();
      remember();
      to(parts[place].end + direction * STEP_S * (event.shiftKey ? 10 : 1));
      redraw();
    }

    function redraw() {
      const at = parts[place].end;
      parts = withoutCrumbs(parts);
      draw();
      const far = (each) => Math.abs(Number(each.getAttribute("aria-valuenow")) - at);
      [...blocks.querySelectorAll(".cuts-edge")].sort((a, b) => far(a) - far(b))[0]?.focus();
    }
    return handle;
  }

  function secondsAt(event) {
    const box = track.getBoundingClientRect();
    return Math.round(((event.clientX - box.left) / box.width) * whole * 100) / 100;
  }

  function seek(event) {
    const at = secondsAt(event);
    if (media) media.currentTime = at;
    list.children[partAt(parts, at)]?.scrollIntoView({ block: "nearest" });
    follow();
  }

  function split() {
    change(() => splitAt(parts, media.currentTime));
  }

  function keptFrom(at) {
    return (parts.find((each) => each.kept && each.end > at + 0.05) ?? parts.find((each) => each.kept))?.start ?? 0;
  }

  function play(from, to) {
    until = to;
    media.currentTime = from;
    media.play().then(watch, () => {});
  }

  // Look at the place at every picture: the events of a player are too coarse to stop at an edge.
  function watch() {
    cancelAnimationFrame(frame);
    follow();
    if (media.paused) return;
    const at = media.currentTime;
    if (until === "cut") {
      const part = parts[partAt(parts, at)];
      if (part && !part.kept) {
        const next = parts.find((each) => each.kept && each.start >= part.end - 0.001);
        if (next) media.currentTime = next.start;
        else media.pause();
      }
    } else if (until !== null && at >= until) {
      media.pause();
      until = null;
    }
    frame = requestAnimationFrame(watch);
  }

  function follow() {
    if (!media) return;
    placed(needle, media.currentTime);
    const now = partAt(parts, media.currentTime);
    for (const [place, each] of [...list.children].entries()) each.classList.toggle("now", place === now);
  }
  media?.addEventListener("play", watch);
  media?.addEventListener("seeked", follow);

  function zoomBy(change_) {
    zoom = Math.max(0, Math.min(ZOOMS.length - 1, zoom + change_));
    track.style.width = `${ZOOMS[zoom] * 100}%`;
  }

  return {
    element,
    value() {
      const made = planOf(plan, parts);
      if (made.kept.length === 0) throw new Error("Nothing would be left: keep at least one stretch.");
      return made;
    },
    leave() {
      cancelAnimationFrame(frame);
      media?.pause();
    },
  };
}

// The source itself where it is a video, else the sound that was extracted from it.
function player(job, sound) {
  const video = sources(job.params).find((each) => each.content_type?.startsWith("video/"));
  if (video) return h("video", { src: url(video.path).href, controls: true, preload: "metadata", "aria-label": video.name });
  return sound ? h("audio", { src: url(sound.path).href, controls: true, preload: "metadata", "aria-label": "Sound of the source" }) : null;
}
