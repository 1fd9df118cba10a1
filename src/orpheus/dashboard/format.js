// How numbers and times are shown to people.

const DAY = new Intl.DateTimeFormat(); // made once: making one costs more than a row of the list

export function bytes(size) {
  if (!Number.isFinite(size)) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) { size /= 1000; unit += 1; }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.5) return `${seconds.toFixed(seconds < 9.95 ? 1 : 0)} s`;
  const [large, small, size] = seconds < 3599.5 ? ["min", "s", 1] : seconds < 86370 ? ["h", "min", 60] : ["d", "h", 3600];
  const whole = Math.round(seconds / size);
  const base = large === "d" ? 24 : 60;
  return whole % base ? `${Math.floor(whole / base)} ${large} ${whole % base} ${small}` : `${Math.floor(whole / base)} ${large}`;
}

export function between(from, to) {
  if (!from) return "";
  return duration(((to ? Date.parse(to) : Date.now()) - Date.parse(from)) / 1000);
}

export function ago(at) {
  const seconds = (Date.now() - Date.parse(at)) / 1000;
  if (seconds < 5) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return DAY.format(Date.parse(at));
}

export function clock(at) {
  return new Date(at).toLocaleTimeString([], { hourCycle: "h23" }) + "." + String(new Date(at).getMilliseconds()).padStart(3, "0");
}

// "4 done, 4 skipped" when all have settled, "2 done, 1 skipped of 8" before.
export function tally(tasks) {
  const ended = [["completed", "done"], ["skipped", "skipped"], ["failed", "failed"], ["cancelled", "cancelled"]];
  const total = tasks.total ?? 0;
  const settled = ended.reduce((sum, [state]) => sum + (tasks[state] ?? 0), 0);
  const parts = ended.filter(([state]) => tasks[state]).map(([state, word]) => `${tasks[state]} ${word}`);
  const told = parts.join(", ") || "0 done";
  return settled === total ? told : `${told} of ${total}`;
}

export function short(id) {
  return id.slice(-8);
}

/** The same instant for everybody: what is shown when a time is pointed at. */
export function exact(at) {
  return at ? `${new Date(at).toISOString().replace("T", " ").replace("Z", "")} UTC` : "";
}

/** A date and time in the reader's zone; only the time when it is today. */
export function moment(at) {
  if (!at) return "–";
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString([], { hourCycle: "h23" }) : date.toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

/** "in 3 h 20 min", or how long ago it was. */
export function until(at) {
  const seconds = (Date.parse(at) - Date.now()) / 1000;
  return seconds > 0 ? `in ${duration(seconds)}` : ago(at);
}

export function stamp(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function money(range) {
  if (!range) return "";
  const show = (value) => Number(value.toPrecision(6)).toLocaleString();
  if (range.most === null) return `${show(range.least)} or more`;
  return range.least === range.most ? show(range.least) : `${show(range.least)} – ${show(range.most)}`;
}

/** Instants inside a text, as the API writes them, in the reader's zone. */
export function local(text) {
  return String(text ?? "").replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, (at) => moment(at));
}
