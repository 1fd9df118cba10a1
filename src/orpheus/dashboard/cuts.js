// A cut plan as stretches side by side, each kept or not: what an editor moves about. No page in here.

const LEAST_S = 0.02; // shorter than half a frame nobody sees or hears it

const rounded = (seconds) => Math.round(seconds * 1e6) / 1e6;

export function isPlan(value) {
  return Array.isArray(value?.kept) && Array.isArray(value.removed) && Number.isFinite(value.source_duration_s) && value.source_duration_s > 0;
}

/** The whole source as `[{start, end, kept, reason, text}]`, without gaps. What nothing explains has no reason. */
export function partsOf(plan) {
  const whole = plan.source_duration_s;
  const kept = plan.kept.map((each) => ({ start: each.start_s, end: Math.min(each.end_s, whole), kept: true, reason: null, text: null })).sort((a, b) => a.start - b.start);
  const removed = plan.removed.map((each) => ({ start: each.start_s, end: each.end_s, kept: false, reason: each.reason ?? null, text: each.text ?? null })).sort((a, b) => a.start - b.start);
  const parts = [];
  let at = 0;
  const gap = (until) => {
    for (const each of removed) {
      const [start, end] = [Math.max(each.start, at), Math.min(each.end, until)];
      if (end <= start) continue;
      if (start > at) parts.push({ start: at, end: start, kept: false, reason: null, text: null });
      parts.push({ ...each, start, end });
      at = end;
    }
    if (until > at) parts.push({ start: at, end: until, kept: false, reason: null, text: null });
    at = until;
  };
  for (const each of kept) {
    if (each.start > at) gap(each.start);
    parts.push({ ...each, start: at });
    at = Math.max(at, each.end);
  }
  if (whole > at) gap(whole);
  return parts.filter((each) => each.end > each.start);
}

/** The plan with these stretches. What a person cut out without a reason was `edited`. */
export function planOf(plan, parts) {
  const kept = [];
  for (const each of parts) {
    if (!each.kept) continue;
    if (kept.length && kept.at(-1).end_s === rounded(each.start)) kept.at(-1).end_s = rounded(each.end);
    else kept.push({ start_s: rounded(each.start), end_s: rounded(each.end) });
  }
  const removed = parts.filter((each) => !each.kept).map((each) => ({ start_s: rounded(each.start), end_s: rounded(each.end), reason: each.reason ?? "edited", ...(each.text === null ? {} : { text: each.text }) }));
  return { ...plan, kept, removed, kept_duration_s: Math.round(keptSeconds(parts) * 1000) / 1000 };
}

export function keptSeconds(parts) {
  return parts.reduce((sum, each) => sum + (each.kept ? each.end - each.start : 0), 0);
}

/** Move the edge behind a stretch, as far as the other ends of its neighbours. */
export function moveEdge(parts, place, to) {
  const [left, right] = [parts[place], parts[place + 1]];
  const at = rounded(Math.min(right.end, Math.max(left.start, to)));
  left.end = at;
  right.start = at;
}

/** Give what has become too short to its neighbour, as the mover of the edge has meant it. */
export function withoutCrumbs(parts) {
  const found = [];
  for (const each of parts) {
    if (each.end - each.start >= LEAST_S || parts.length === 1) found.push({ ...each, start: found.at(-1)?.end ?? 0 });
    else if (found.length) found.at(-1).end = each.end;
  }
  return found;
}

/** Make two stretches of the one that holds an instant. Returns the place of the second, null where it lies at an edge. */
export function splitAt(parts, at) {
  const place = partAt(parts, at);
  const part = parts[place];
  if (!part || at - part.start < LEAST_S || part.end - at < LEAST_S) return null;
  parts.splice(place, 1, { ...part, end: rounded(at) }, { ...part, start: rounded(at) });
  return place + 1;
}

export function partAt(parts, at) {
  return parts.findIndex((each) => at >= each.start && at < each.end);
}

/** "0:10.72" */
export function fine(seconds) {
  const hundredths = Math.round(seconds * 100);
  return `${Math.floor(hundredths / 6000)}:${String(Math.floor((hundredths % 6000) / 100)).padStart(2, "0")}.${String(hundredths % 100).padStart(2, "0")}`;
}

/** "13.1 s of 42.7 s go: silence 12.4 s, filler 0.7 s" */
export function planWords(plan) {
  const reasons = {};
  for (const each of plan.removed) reasons[each.reason] = (reasons[each.reason] ?? 0) + each.end_s - each.start_s;
  const gone = plan.source_duration_s - keptSeconds(partsOf(plan));
  const why = Object.entries(reasons).map(([reason, seconds]) => `${reason} ${seconds.toFixed(1)} s`).join(", ");
  return `${gone.toFixed(1)} s of ${plan.source_duration_s.toFixed(1)} s go${why ? `: ${why}` : ""}`;
}
