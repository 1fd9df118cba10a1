// A graph as a picture: before, during and after a run. Drawn once; what changes later is text and classes.

import { h, s, say } from "./dom.js";
import { between, duration } from "./format.js";
import { layout } from "./graph-layout.js";

const [WIDE, HIGH] = [176, 52];
const LEAST = 0.66;
const GAP = { across: { main: 52, side: 18 }, down: { main: 34, side: 18 } };
const KINDS = { approval: "approval", sleep: "sleep", wait_for: "signal", child: "child job", map: "map", task: "" };

/** Return `{element, show(states), select(name)}`; `states` maps a node's name to its task. */
export function graph(definition, { onselect = null, down = false } = {}) {
  const plan = layout(definition);
  const gap = down ? GAP.down : GAP.across;
  const at = (layer, row) => down
    ? [row * (WIDE + gap.side) + 6, layer * (HIGH + gap.main) + 8]
    : [layer * (WIDE + gap.main) + 6, row * (HIGH + gap.side) + 8];
  const size = down
    ? [plan.rows * (WIDE + gap.side), plan.layers * (HIGH + gap.main) - gap.main + 20]
    : [plan.layers * (WIDE + gap.main) - gap.main + 16, plan.rows * (HIGH + gap.side)];
  const drawn = new Map();
  const lines = plan.edges.map((edge) => {
    const node = plan.nodes.find((each) => each.name === edge.to).node;
    const path = s("path", { class: `edge ${node.when !== undefined && node.when !== null ? "maybe" : ""}`, d: curve(edge.path.map(([layer, row]) => at(layer, row)), down) });
    return { ...edge, element: path };
  });
  for (const { name, node, layer, row } of plan.nodes) drawn.set(name, draw(name, node, at(layer, row), onselect));
  const picture = s("svg", { class: "graph", viewBox: `0 0 ${size[0]} ${size[1]}`, width: size[0], height: size[1], role: "group", "aria-label": `Graph of ${definition.name ?? "the workflow"}: ${plan.nodes.length} nodes` },
    lines.map((line) => line.element), [...drawn.values()].map((each) => each.element));
  picture.style.minWidth = `${Math.round(size[0] * LEAST)}px`; // smaller than this nobody can read it: it scrolls
  const frame = h("div", { class: "graph-frame" }, picture);
  requestAnimationFrame(() => { // what does not fit begins where the work begins
    const first = plan.nodes.find((each) => each.layer === 0);
    if (!first) return;
    const [x, y] = at(first.layer, first.row);
    const scale = picture.clientWidth / size[0];
    frame.scrollTo((x + WIDE / 2) * scale - frame.clientWidth / 2, (y + HIGH / 2) * scale - frame.clientHeight / 2);
  });
  return {
    element: frame,
    before: plan.before,
    show(states) {
      for (const [name, each] of drawn) update(each, states.get(name));
      for (const line of lines) {
        const [from, to] = [states.get(line.from)?.state, states.get(line.to)?.state];
        line.element.classList.toggle("done", from === "completed" && to !== undefined && to !== "blocked" && to !== "skipped");
        line.element.classList.toggle("off", from === "skipped" || to === "skipped");
      }
    },
    select(name) {
      for (const [each, { element }] of drawn) element.classList.toggle("selected", each === name);
    },
  };
}

function curve(points, down) {
  const out = (point) => down ? [point[0] + WIDE / 2, point[1] + HIGH] : [point[0] + WIDE, point[1] + HIGH / 2];
  const into = (point) => down ? [point[0] + WIDE / 2, point[1]] : [point[0], point[1] + HIGH / 2];
  let text = "";
  for (let place = 1; place < points.length; place += 1) {
    const [x1, y1] = out(points[place - 1]);
    const [x2, y2] = into(points[place]);
    if (place === 1) text += `M${x1} ${y1}`;
    else text += `L${x1} ${y1}`; // straight through where only the line passes
    text += down ? `C${x1} ${(y1 + y2) / 2} ${x2} ${(y1 + y2) / 2} ${x2} ${y2}` : `C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}`;
  }
  return text;
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function draw(name, node, [x, y], onselect) {
  const kind = node.kind ?? "task";
  const parts = {
    status: s("text", { class: "status", x: 26, y: 38 }), dot: s("circle", { class: "dot", cx: 15, cy: 19, r: 4.5 }),
    meter: s("rect", { class: "meter", x: 1, y: HIGH - 4, height: 3, width: 0, rx: 1.5 }), title: s("title", {}, name),
    tag: s("text", { class: "tag", x: WIDE - 10, y: 38, "text-anchor": "end" }, kind === "task" ? "" : KINDS[kind] ?? kind),
  };
  const chosen = () => onselect?.(name);
  const element = s("g", {
    class: `node ${kind}`, transform: `translate(${x} ${y})`, "data-node": name,
    ...(onselect ? { tabindex: 0, role: "button", onclick: chosen, onkeydown: (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); chosen(); }
    } } : { role: "img" }),
  },
  parts.title,
  (kind === "map" || kind === "child") && s("rect", { class: "behind", x: 4, y: 4, width: WIDE, height: HIGH, rx: 9 }),
  s("rect", { class: "box", width: WIDE, height: HIGH, rx: 9 }), parts.meter, parts.dot,
  s("text", { class: "name", x: 26, y: 23 }, cut(name, 21)), parts.status, parts.tag);
  element.setAttribute("aria-label", name);
  return { element, parts, node, kind, name, sign: "" };
}

function update(each, task) {
  const { parts, kind, element, node } = each;
  const state = task?.state ?? "none";
  const counts = task?.items;
  const took = task?.started_at ? between(task.started_at, task.finished_at) : "";
  let text = "";
  if (task) {
    text = task.cached ? "cached" : state;
    if (counts && counts.total && state !== "skipped") text = `${counts.settled} of ${counts.total}${counts.failed ? `, ${counts.failed} failed` : ""}`;
    else if (state === "retrying") text = `retry ${task.attempt} of ${task.max_retries}`;
    if (took && !["blocked", "ready", "skipped"].includes(state) && !task.cached) text += ` · ${took}`;
  } else if (node.p50) text = `p50 ${duration(node.p50)}`;
  say(parts.status, text);
  const share = counts?.total ? counts.settled / counts.total : task?.progress ?? 0;
  parts.meter.setAttribute("width", state === "running" || state === "waiting" ? Math.max(0, share * (WIDE - 2)) : 0);
  const tag = kind === "task" ? "" : KINDS[kind] ?? kind;
  say(parts.tag, text.length > 15 ? "" : task?.compensated ? "undone" : tag);
  const sign = `${state}${task?.cached ? " cached" : ""}${task?.compensated ? " compensated" : ""}`;
  if (sign !== each.sign) {
    each.sign = sign;
    const selected = element.classList.contains("selected");
    element.setAttribute("class", `node ${kind} ${sign}${selected ? " selected" : ""}`);
  }
  const told = [each.name, tag, text, task?.error?.message, task?.waiting_for?.map((why) => `waits for ${why.reason}: ${why.detail}`).join("; ")].filter(Boolean).join(", ");
  if (element.getAttribute("aria-label") !== told) {
    element.setAttribute("aria-label", told);
    parts.title.textContent = told;
  }
}

