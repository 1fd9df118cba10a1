// How numbers and times are shown to people.

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
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
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
  return new Date(at).toLocaleDateString();
}

export function clock(at) {
  return new Date(at).toLocaleTimeString([], { hour12: false }) + "." + String(new Date(at).getMilliseconds()).padStart(3, "0");
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
