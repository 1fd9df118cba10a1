// What a reader has in hand while a part of the page is drawn anew: the focus, opened details, how far something is scrolled.
// Nothing is drawn under a pressed pointer (its click would be lost) or under selected text.

import { fill } from "./dom.js";

const HOLDS = "a[href], button, input, select, textarea, summary, [tabindex]";
const SCROLLS = ".scroll, .logs, .tree, .graph-frame";
const due = new Map(); // element -> the drawing that waits for the reader's hand
let pressed = false;

/** Replace everything inside an element; `make` returns what is to stand there. */
export function renew(element, make) {
  if (held(element)) {
    due.set(element, make);
    return;
  }
  due.delete(element);
  const back = remember(element);
  const open = [...element.querySelectorAll("details")].map((each) => each.open);
  const scrolled = [...element.querySelectorAll(SCROLLS)].map((each) => [each.scrollLeft, each.scrollTop]);
  fill(element, make());
  element.querySelectorAll("details").forEach((each, place) => { if (open[place] !== undefined && open.length === element.querySelectorAll("details").length) each.open = open[place]; });
  element.querySelectorAll(SCROLLS).forEach((each, place) => { if (scrolled[place]) [each.scrollLeft, each.scrollTop] = scrolled[place]; });
  back();
}

/** Note what has the focus inside `root`; the function that is returned gives it back to what stands there now. */
export function remember(root = document.body) {
  const active = document.activeElement;
  if (!active || active === document.body || active === root || !root.contains(active)) return () => {};
  const every = (name) => [...root.querySelectorAll(name)];
  const [key, place] = [nameOf(active), every(HOLDS).indexOf(active)];
  const alike = every(HOLDS).filter((each) => nameOf(each) === key).indexOf(active);
  return () => {
    if (active.isConnected) {
      if (document.activeElement === document.body) active.focus({ preventScroll: true });
      return;
    }
    const now = every(HOLDS);
    const same = now.filter((each) => nameOf(each) === key);
    const next = same[Math.min(alike, same.length - 1)] ?? now[Math.min(place, now.length - 1)] ?? document.getElementById("view");
    next?.focus({ preventScroll: true });
  };
}

function nameOf(element) {
  return `${element.tagName} ${element.getAttribute("aria-label") ?? element.getAttribute("href") ?? element.textContent}`;
}

function held(element) {
  const selection = getSelection();
  return pressed || (!selection.isCollapsed && selection.rangeCount > 0 && element.contains(selection.anchorNode));
}

function release() {
  for (const [element, make] of due) {
    if (!element.isConnected) due.delete(element);
    else if (!held(element)) renew(element, make);
  }
}

addEventListener("pointerdown", () => { pressed = true; }, true);
for (const end of ["pointerup", "pointercancel", "dragend"]) {
  addEventListener(end, () => { pressed = false; setTimeout(release); }, true); // after the click that follows
}
document.addEventListener("selectionchange", () => due.size && release());
