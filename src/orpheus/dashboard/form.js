// A form made from a JSON Schema. What it cannot express, and whoever prefers it, gets JSON.

import { storedFile, upload } from "./api.js";
import { button, fill, h } from "./dom.js";
import { bytes } from "./format.js";

/** Return `{element, value()}`; `value()` throws an Error with words for people. */
export function schemaForm(schema, initial = undefined) {
  const root = schema ?? {};
  let mode = "form";
  let part = control(root, root, initial, "");
  const text = h("textarea", { class: "input code", rows: 10, spellcheck: false, "aria-label": "As JSON" });
  const holder = h("div", {}, part.element);
  const swap = button("Edit as JSON", () => {
    try {
      if (mode === "form") {
        text.value = JSON.stringify(part.value() ?? null, null, 2);
        mode = "json";
        fill(holder, text);
        swap.textContent = "Edit as a form";
      } else {
        part = control(root, root, parsed(text.value), "");
        mode = "form";
        fill(holder, part.element);
        swap.textContent = "Edit as JSON";
      }
      fault.textContent = "";
    } catch (error) {
      fault.textContent = error.message;
    }
  }, "link");
  const fault = h("p", { class: "fault", role: "alert" });
  return {
    element: h("div", { class: "schema-form" }, holder, fault, swap),
    value: () => (mode === "json" ? parsed(text.value) : part.value()),
  };
}

function parsed(text) {
  try {
    return text.trim() === "" ? null : JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${error.message}`);
  }
}

function resolved(schema, root) {
  let found = schema ?? {};
  for (let steps = 0; found.$ref && steps < 20; steps += 1) {
    const path = found.$ref.replace(/^#\//, "").split("/");
    found = { ...path.reduce((at, key) => at?.[key.replace(/~1/g, "/").replace(/~0/g, "~")], root), ...(found.default !== undefined ? { default: found.default } : {}) };
  }
  return found;
}

/** A schema without its "or null", and whether it had one. */
function plain(schema, root) {
  const found = resolved(schema, root);
  const choices = found.anyOf ?? found.oneOf;
  if (choices) {
    const others = choices.filter((each) => each.type !== "null");
    if (others.length === 1) return [{ ...resolved(others[0], root), ...(found.default !== undefined ? { default: found.default } : {}) }, others.length < choices.length];
  }
  if (Array.isArray(found.type)) {
    const others = found.type.filter((each) => each !== "null");
    if (others.length === 1) return [{ ...found, type: others[0] }, true];
  }
  return [found, false];
}

// A control is `{element, value()}`; the value undefined means: leave it out.
function control(schema, root, initial, name, depth = 0) {
  const [kind, nullable] = plain(schema, root);
  const start = initial !== undefined ? initial : kind.default;
  if (kind["x-orpheus"] === "file") return fileControl(name, initial);
  if (kind.enum) return choice(kind.enum, start, nullable, name);
  if (kind.const !== undefined) return { element: h("output", {}, JSON.stringify(kind.const)), value: () => kind.const };
  if (kind.type === "boolean") {
    const box = h("input", { type: "checkbox", checked: start === true, "aria-label": name });
    return { element: box, value: () => box.checked };
  }
  if (kind.type === "integer" || kind.type === "number") return number(kind, start, nullable, name);
  if (kind.type === "string") return string(kind, start, nullable, name);
  if (kind.type === "object" && kind.properties && depth < 5) return object(kind, root, start, depth);
  if (kind.type === "array" && kind.items && typeof kind.items === "object" && depth < 5) return array(kind, root, start, name, depth);
  if (kind.type === "object" && depth === 0 && !kind.properties && kind.additionalProperties === false) return { element: h("p", { class: "hint" }, "It takes no params."), value: () => ({}) };
  const text = h("textarea", { class: "input code", rows: 4, spellcheck: false, placeholder: "JSON", "aria-label": name || "JSON", value: start === undefined ? (depth === 0 ? "{}" : "") : JSON.stringify(start, null, 2) });
  return { element: text, value: () => (text.value.trim() === "" ? undefined : parsed(text.value)) };
}

function choice(values, start, nullable, name) {
  const select = h("select", { class: "input", "aria-label": name }, nullable && h("option", { value: "" }, "–"), values.map((each, place) => h("option", { value: String(place) }, String(each))));
  const at = values.findIndex((each) => each === start);
  select.value = at >= 0 ? String(at) : nullable ? "" : "0";
  return { element: select, value: () => (select.value === "" ? null : values[Number(select.value)]) };
}

function number(kind, start, nullable, name) {
  const input = h("input", { class: "input", type: "number", step: kind.type === "integer" ? 1 : "any", min: kind.minimum ?? "", max: kind.maximum ?? "", value: start ?? "", "aria-label": name });
  return { element: input, value: () => {
    if (input.value === "") {
      if (input.validity.badInput) throw new Error(`${name}: not a number`);
      return nullable ? null : undefined;
    }
    return Number(input.value);
  } };
}

function string(kind, start, nullable, name) {
  const long = (kind.maxLength ?? 0) > 300 || String(start ?? "").length > 80 || /text|prose|prompt|notes?$/i.test(name);
  const input = long ? h("textarea", { class: "input", rows: 3, value: start ?? "", "aria-label": name })
    : h("input", { class: "input", type: "text", value: start ?? "", "aria-label": name });
  return { element: input, value: () => (input.value === "" && (nullable || start === undefined) ? (nullable ? null : undefined) : input.value) };
}

function object(kind, root, start, depth) {
  const required = new Set(kind.required ?? []);
  const parts = Object.entries(kind.properties).map(([name, schema]) => [name, control(schema, root, start?.[name], name, depth + 1), resolved(schema, root)]);
  const element = h("fieldset", { class: depth ? "nested" : "" }, parts.map(([name, part, schema]) => h("div", { class: "field" },
    h("span", { class: "label" }, name, required.has(name) && h("abbr", { title: "required" }, " *")), part.element,
    schema.description && h("span", { class: "hint" }, schema.description))));
  if (parts.length === 0) element.append(h("p", { class: "hint" }, "It takes no params."));
  return { element, value: () => {
    const known = new Set(parts.map(([name]) => name));
    const found = Object.fromEntries(Object.entries(start ?? {}).filter(([name]) => !known.has(name)));
    for (const [name, part] of parts) {
      const value = part.value();
      if (value instanceof Promise) throw new Error(`${name}: the file is still on its way`);
      if (value === undefined && required.has(name)) throw new Error(`${name} is needed`);
      if (value !== undefined) found[name] = value;
    }
    return found;
  } };
}

function array(kind, root, start, name, depth) {
  const list = h("ol", { class: "entries" });
  const parts = [];
  const add = (initial) => {
    const part = control(kind.items, root, initial, `${name} ${parts.length + 1}`, depth + 1);
    parts.push(part);
    const item = h("li", {}, part.element, button("×", () => { parts.splice(parts.indexOf(part), 1); item.remove(); item.dispatchEvent(new Event("change", { bubbles: true })); }, "small quiet", { "aria-label": `Remove ${name} ${parts.length}` }));
    list.append(item);
  };
  for (const each of Array.isArray(start) ? start : []) add(each);
  return { element: h("div", {}, list, button(`Add ${name || "entry"}`, () => add(undefined), "small quiet")), value: () => parts.map((part) => part.value()).filter((each) => each !== undefined) };
}

function fileControl(name, initial) {
  const stored = storedFile(initial);
  let value = stored ? { file_id: stored } : initial;
  const told = h("span", { class: "hint", role: "status" }, initial?.$file?.name ?? initial?.url ?? "");
  const input = h("input", { type: "file", "aria-label": name, onchange: () => take(input.files[0]) });
  async function take(file) {
    if (!file) return;
    value = new Promise(() => {});
    fill(told, "0 %");
    try {
      const kept = await upload(file, null, (share) => fill(told, `${Math.round(share * 100)} %`));
      value = { file_id: kept.file_id };
      fill(told, `${kept.name}, ${bytes(kept.size_bytes)}`);
      input.dispatchEvent(new Event("change-done", { bubbles: true }));
    } catch (error) {
      value = undefined;
      fill(told, error.message);
    }
  }
  const address = h("input", { class: "input", type: "url", placeholder: "or its address: https://…", "aria-label": `${name} by address` });
  const dropped = (event) => { // here it is for this field, and not a job of its own as elsewhere on the page
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  };
  return { element: h("div", { class: "file", ondrop: dropped }, input, told, address), value: () => (address.value ? { url: address.value } : value) };
}

/** Params of a job as a new job takes them: a file that was uploaded is named by its id. */
export function asInput(value) {
  if (!value || typeof value !== "object") return value;
  const stored = storedFile(value);
  if (stored) return { file_id: stored };
  if (Array.isArray(value)) return value.map(asInput);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, asInput(each)]));
}
