// Building the page from text that nobody has checked: everything goes in as text nodes and properties, never as markup.

/** Make an element. `props` are properties (`class` is the class name); children are elements or text. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") || name === "role" || name.startsWith("data-")) element.setAttribute(name, value);
    else element[name] = value;
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

/** A bar from 0 to 100. */
export function bar(percentage, state) {
  const inner = h("span", { class: "fill" });
  inner.style.width = `${Math.max(0, Math.min(100, percentage))}%`;
  return h("span", { class: `bar ${state}`, role: "progressbar", "aria-valuenow": Math.round(percentage) }, inner);
}

let noticeCount = 0;

/** Say something at the top for a while. */
export function notice(text, kind = "info") {
  const box = document.getElementById("notices");
  const entry = h("p", { class: `notice ${kind}` }, text);
  box.append(entry);
  noticeCount += 1;
  if (box.children.length > 4) box.firstChild.remove();
  setTimeout(() => entry.remove(), kind === "error" ? 12000 : 5000);
}
