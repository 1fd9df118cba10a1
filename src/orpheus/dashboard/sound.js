// How loud is a sound, from its beginning to its end?

import { url } from "./api.js";

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
