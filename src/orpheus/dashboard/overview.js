// Graph, timeline, and what was chosen in them; the replay of a job from its events.

import { gantt } from "./gantt.js";
import { graph } from "./graph.js";
import { inspector } from "./inspector.js";
import { fill, h } from "./dom.js";
import { addressOf } from "./job-files.js";
import { kin } from "./kin.js";
import { replay } from "./replay.js";
import { tree } from "./tree.js";
import { url } from "./api.js";

export function overview(context) {
  const { model } = context;
  const narrow = innerWidth < 700;
  let chosen = null; // { name, index }
  const choose = (name, index = null) => {
    chosen = chosen?.name === name && chosen.index === index ? null : { name, index };
    show();
    if (chosen) panel.element.scrollIntoView({ block: "nearest", behavior: "smooth" });
  };
  const picture = graph(model.definition, { onselect: choose, down: narrow });
  const panel = inspector(context, picture.before, choose, () => { chosen = null; show(); });
  const times = gantt(choose);
  const player = replay(model, (states) => picture.show(states ?? model.nodes));
  const related = kin(context);
  const outcome = h("section", { class: "panel result", hidden: true });
  const element = h("div", {},
    h("section", { class: "panel" }, h("header", { class: "panel-head" }, h("h2", {}, "Graph"), h("span", { class: "spring" }), player.toggle), player.element, picture.element),
    panel.element,
    h("section", { class: "panel" }, h("header", { class: "panel-head" }, h("h2", {}, "Timeline")), times.element),
    related.element, outcome);

  function show() {
    if (!player.active()) picture.show(model.nodes);
    picture.select(chosen?.name ?? null);
    times.show(model, chosen);
    panel.show(chosen);
    related.show();
    result();
  }

  function result() {
    const { result: value } = model.job;
    outcome.hidden = value === null || value === undefined;
    const sign = JSON.stringify([value, model.job.artifacts.length]); // its files are published a moment later
    if (outcome.hidden || outcome.dataset.sign === sign) return;
    outcome.dataset.sign = sign;
    fill(outcome, h("header", { class: "panel-head" }, h("h2", {}, "Result")),
      value?.$large ? h("p", {}, h("a", { href: url(value.$large.href) }, `open (${value.$large.size_bytes.toLocaleString()} bytes)`)) : tree(value, 0, addressOf(model.job)));
  }

  return { element, show, leave: player.leave };
}

