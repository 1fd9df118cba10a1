// A video or audio with what was said beside it: click a line to go there, and the line that is spoken is marked.

import { url } from "./api.js";
import { fill, h } from "./dom.js";
import { stamp } from "./format.js";

/** The transcript or captions that belong to a media file, best first: same name, then the job's transcript. */
export function transcripts(artifact, all) {
  const stem = artifact.name.replace(/\.\w+$/, "");
  const isText = (each) => /\.(srt|vtt)$/.test(each.name) || (/^transcripts\/.*\.json$/.test(each.name));
  const candidates = all.filter((each) => isText(each) && each.size_bytes > 12);
  const own = candidates.filter((each) => each.name.replace(/\.\w+$/, "") === stem);
  const spoken = artifact.name.startsWith("audio/") || candidates.length === 0 ? candidates.filter((each) => each.name.startsWith("transcripts/")) : [];
  const rank = (each) => ["json", "vtt", "srt"].indexOf(each.name.split(".").pop());
  return [...own, ...spoken].sort((a, b) => rank(a) - rank(b));
}

/** A player; what was said may come later: `{element, tell(texts)}`. */
export function player(href, family, name) {
  const media = h(family, { src: href, controls: true, preload: "metadata", "aria-label": name });
  const list = h("ol", { class: "transcript", "aria-label": "Transcript", tabIndex: 0 });
  const source = h("select", { class: "input small", "aria-label": "Transcript file", onchange: () => load(texts[source.selectedIndex]) });
  const said = h("div", { class: "said", hidden: true }, source, list);
  const element = h("div", { class: `preview ${family}` }, media, said);
  let texts = [];
  let segments = [];

  function tell(found) {
    if (found.map((each) => each.path).join() === texts.map((each) => each.path).join()) return;
    texts = found;
    said.hidden = texts.length === 0;
    element.classList.toggle("with-text", texts.length > 0);
    fill(source, texts.map((each) => h("option", {}, each.name.split(".").pop().toUpperCase())));
    source.hidden = texts.length < 2;
    if (texts.length > 0) load(texts[0]);
  }

  async function load(text) {
    fill(list, h("li", { class: "hint" }, "Loading …"));
    try {
      const response = await fetch(url(text.path));
      segments = text.name.endsWith(".json") ? fromJson(await response.json()) : fromCaptions(await response.text());
    } catch {
      fill(list, h("li", { class: "hint" }, "(cannot be shown)"));
      return;
    }
    fill(list, segments.map((each) => h("li", {}, h("button", { type: "button", onclick: () => { media.currentTime = each.start; media.play().catch(() => {}); } }, h("span", { class: "stamp" }, stamp(each.start)), h("span", {}, each.text)))));
    if (segments.length === 0) fill(list, h("li", { class: "hint" }, "Nothing was said."));
  }

  media.addEventListener("timeupdate", () => {
    const at = segments.findIndex((each) => media.currentTime >= each.start && media.currentTime < each.end);
    [...list.children].forEach((line, place) => {
      if (line.classList.contains("now") === (place === at)) return;
      line.classList.toggle("now", place === at);
      if (place === at) list.scrollTop = line.offsetTop - list.offsetTop - list.clientHeight / 3;
    });
  });
  return { element, tell };
}

function fromJson(value) {
  return (value.segments ?? []).map((each) => ({ start: each.start_s, end: each.end_s, text: String(each.text ?? "") }));
}

function fromCaptions(text) {
  const seconds = (clock) => clock.replace(",", ".").split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  return text.split(/\r?\n\r?\n/).flatMap((block) => {
    const found = /([\d:.,]+)\s+-->\s+([\d:.,]+)[^\n]*\n([\s\S]*)/.exec(block);
    return found ? [{ start: seconds(found[1]), end: seconds(found[2]), text: found[3].trim() }] : [];
  });
}
