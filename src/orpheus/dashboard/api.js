// The HTTP API, relative to where this page is served, so that it works under any prefix.

const base = new URL(".", document.baseURI);

export function url(path) {
  return new URL(path.replace(/^\//, ""), base);
}

/** The path of something of a job, with what needs it escaped. */
export function ofJob(jobId, ...parts) {
  return ["jobs", jobId, ...parts].map(encodeURIComponent).join("/");
}

/** Ask for JSON. An error of the API becomes an Error with its message, hint and code. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(url(path), options);
  } catch {
    const error = new Error("the server cannot be reached");
    error.code = "unreachable";
    throw error;
  }
  const body = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) throw problem(body, response.status);
  return body;
}

/** Ask for so many jobs of a list, the newest. A page may be short, or empty, and still have a cursor: some of them are followed, as long as `wanted` says so. */
export async function jobs(query, most, { pages = 5, wanted = () => true } = {}) {
  const items = [];
  let cursor = null;
  do {
    const page = await ask(`jobs?${query}&limit=${most - items.length}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    items.push(...page.items);
    cursor = page.next_cursor;
    pages -= 1;
  } while (cursor !== null && items.length < most && pages > 0 && wanted());
  return { items, next_cursor: cursor };
}

function send(method) {
  return (path, body = {}) =>
    ask(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

export const post = send("POST");
export const patch = send("PATCH");

function problem(body, status) {
  const error = new Error([body.message ?? `the server answered ${status}`, body.hint].filter(Boolean).join(" — "));
  error.code = body.code;
  error.status = status;
  error.details = body.details ?? [];
  if (status === 401) dispatchEvent(new Event("signin"));
  return error;
}

/** The id of the uploaded file that a param stands for, null for anything else. */
export function storedFile(value) {
  return /\/\.files\/([^/]+)\/content$/.exec(value?.$file?.key ?? "")?.[1] ?? null;
}

/** Upload a file; `onprogress` hears a fraction. With a workflow it becomes a job, without it a stored file. */
export function upload(file, workflow, onprogress = () => {}) {
  const form = new FormData();
  if (workflow) form.append("workflow", workflow);
  form.append("file", file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url(workflow ? "jobs" : "files"));
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => event.lengthComputable && onprogress(event.loaded / event.total));
    request.addEventListener("load", () =>
      request.status < 300 ? resolve(request.response) : reject(problem(request.response ?? {}, request.status)));
    request.addEventListener("error", () => reject(new Error("the upload was interrupted")));
    request.send(form);
  });
}
