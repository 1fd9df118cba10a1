// The HTTP API, relative to where this page is served, so that it works under any prefix.

const base = new URL(".", document.baseURI);

export function url(path) {
  return new URL(path.replace(/^\//, ""), base);
}

/** Ask for JSON. An error of the API becomes an Error with its message, hint and code. */
export async function ask(path, options = {}) {
  const response = await fetch(url(path), options);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw problem(body, response.status);
  return body;
}

export function post(path, body = {}) {
  return ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

export function problem(body, status) {
  const error = new Error([body.message ?? `the server answered ${status}`, body.hint].filter(Boolean).join(" — "));
  error.code = body.code;
  if (status === 401) dispatchEvent(new Event("signin"));
  return error;
}

/** Upload a file as a job; `onprogress` hears a fraction. */
export function upload(file, workflow, onprogress) {
  const form = new FormData();
  form.append("workflow", workflow);
  form.append("file", file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url("jobs"));
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => event.lengthComputable && onprogress(event.loaded / event.total));
    request.addEventListener("load", () =>
      request.status < 300 ? resolve(request.response) : reject(problem(request.response ?? {}, request.status)));
    request.addEventListener("error", () => reject(new Error("the upload was interrupted")));
    request.send(form);
  });
}
