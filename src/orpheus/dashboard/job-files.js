// Which files does a job have, and where are they served? Those that went in, and those that it made.

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

/** Where a file that stands in a job's params or results is served; null where it is not known. */
export function addressOf(job) {
  const named = new Map((job.artifacts ?? []).map((each) => [each.name, each]));
  return (value) => {
    const id = storedFile(value);
    if (id) return url(`files/${encodeURIComponent(id)}/content`).href;
    const artifact = named.get(value.$file.name);
    return artifact?.sha256 === value.$file.sha256 ? url(artifact.path).href : null;
  };
}
