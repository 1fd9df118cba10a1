// How loud is a sound, from its beginning to its end? And which files of a job can be heard or seen.

import { storedFile, url } from "./api.js";

const MOST_BYTES = 25_000_000; // of sound to be drawn: it is decoded whole

/** The sound that a job extracted, small enough to be drawn; undefined without one. */
export function soundOf(artifacts) {
  return (artifacts ?? []).find((each) => each.name.startsWith("audio/") && each.content_type.startsWith("audio/") && each.size_bytes < MOST_BYTES);
}

/** The uploaded files among the params, as if they were artifacts. */
export function sources(params) {
  const found = [];
  const search = (value) => {
    if (!value || typeof value !== "object") return;
    const id = storedFile(value);
    if (id) found.push({ ...value.$file, path: `/files/${encodeURIComponent(id)}/content`, metadata: {} });
    else Object.values(value).forEach(search);
  };
  search(params);
  return found.slice(0, 20);
}

/** Return `count` values from 0 to 1. */
export async function peaks(artifact, count) {
  const context = new OfflineAudioContext(1, 1, 8000);
  const decoded = await context.decodeAudioData(await (await fetch(url(artifact.path))).arrayBuffer());
  const data = decoded.getChannelData(0);
  const step = Math.max(1, data.length / count);
  const values = Array.from({ length: count }, (_, place) => {
    let high = 0;
    for (let at = Math.floor(place * step); at < Math.min(data.length, (place + 1) * step); at += 1) high = Math.max(high, Math.abs(data[at]));
    return high;
  });
  const highest = Math.max(...values, 0.01);
  return values.map((value) => Math.max(0.01, value / highest));
}

/** A path for them, `width` wide and `height` high. */
export function wavePath(values, width, height) {
  const step = width / values.length;
  return values.map((value, place) => `M${((place + 0.5) * step).toFixed(2)} ${(height / 2 - value * height * 0.46).toFixed(1)}V${(height / 2 + value * height * 0.46).toFixed(1)}`).join("");
}
