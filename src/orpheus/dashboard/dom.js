// Building the page from text that nobody has checked: everything goes in as text nodes and properties, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. `props` are properties (`class` is the class name); children are elements or text. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") || name === "role" || name.startsWith("data-") || name === "for" || name === "list") element.setAttribute(name, value);
    else element[name] = value;
  }
  append(element, children);
  return element;
}

/** Make an SVG element; `attributes` are attributes, functions named `on…` listeners. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Replace everything inside an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Let these be an element's children, in this order. Those that stay are not moved: a player goes on, the focus is kept. */
export function order(element, children) {
  const wanted = new Set(children);
  for (const child of [...element.children]) if (!wanted.has(child)) child.remove();
  let next = element.firstChild;
  for (const child of wanted) {
    if (child === next) next = next.nextSibling;
    else element.insertBefore(child, next);
  }
}

/** Set an element's text, touching the page only when it differs. */
export function say(element, text) {
  const wanted = String(text ?? "");
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** A bar from 0 to 100. */
export function bar(percentage, state, label = "progress") {
  const inner = h("span", { class: "fill" });
  const value = Math.max(0, Math.min(100, percentage || 0));
  inner.style.width = `${value}%`;
  return h("span", { class: `bar ${state}`, role: "progressbar", "aria-label": label, "aria-valuenow": Math.round(value),
    "aria-valuemin": 0, "aria-valuemax": 100 }, inner);
}

export function pill(state, text = state) {
  return h("span", { class: `pill ${state}` }, h("span", { class: "dot" }), text);
}

export function button(text, onclick, kind = "", props = {}) {
  return h("button", { class: `button ${kind}`, type: "button", onclick, ...props }, text);
}

/** Text in which `backticks` hold code. */
export function prose(text) {
  return String(text ?? "").split("`").map((part, place) => (place % 2 ? h("code", {}, part) : part));
}

/** What stands where nothing is: says what the next step is. */
export function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, prose(text)), actions.length > 0 && h("div", { class: "row" }, actions));
}

/** A page's heading with what belongs beside it. */
export function heading(title, ...beside) {
  return h("header", { class: "heading" }, h("h1", {}, title), h("span", { class: "spring" }), beside);
}

/** A field with its label. */
export function field(name, control, hint) {
  return h("label", { class: "field" }, h("span", { class: "label" }, name), control, hint && h("span", { class: "hint" }, hint));
}

/** A table. `columns` are `[heading, cell(row), class?]`. */
export function table(caption, columns, rows) {
  return h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": caption }, h("table", {},
    h("caption", { class: "quiet-caption" }, caption),
    h("thead", {}, h("tr", {}, columns.map(([name, , kind]) => h("th", { scope: "col", class: kind ?? "" }, name || h("span", { class: "quiet-caption" }, "Orders"))))),
    h("tbody", {}, rows.map((row) => h("tr", {}, columns.map(([name, cell, kind]) => h("td", { class: kind ?? "", "data-name": name }, cell(row))))))));
}
