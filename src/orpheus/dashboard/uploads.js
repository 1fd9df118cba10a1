// Files become jobs: dropped anywhere, several at a time, each with its own progress.

import { upload } from "./api.js";
import { bar, h } from "./dom.js";
import { bytes, short } from "./format.js";
import { notice } from "./notices.js";
import { address, current, go } from "./router.js";

const AT_A_TIME = 3;
const cover = document.getElementById("drop");

/** Submit a job for each file. Shows the job when there is one file only. */
export async function sendFiles(files, workflow = "media") {
  const waiting = [...files];
  const single = waiting.length === 1;
  await Promise.all(Array.from({ length: Math.min(AT_A_TIME, waiting.length) }, async () => {
    while (waiting.length > 0) await sendOne(waiting.shift(), workflow, single);
  }));
  if (!single && current().name !== "jobs") go("jobs");
}

async function sendOne(file, workflow, single) {
  const meter = bar(0, "running", `upload of ${file.name}`);
  const entry = h("p", { class: "notice upload" }, h("span", { class: "name" }, file.name), h("span", { class: "hint" }, bytes(file.size)), meter);
  document.getElementById("notices").append(entry);
  try {
    const job = await upload(file, workflow, (fraction) => {
      meter.firstChild.style.width = `${fraction * 100}%`;
      meter.setAttribute("aria-valuenow", Math.round(fraction * 100));
    });
    if (single) go("jobs", [job.job_id]);
    else notice(`${file.name} is job ${short(job.job_id)}`, "info", ["open", address("jobs", [job.job_id])]);
  } catch (error) {
    notice(`${file.name}: ${error.message}`, "error");
  } finally {
    entry.remove();
  }
}

let depth = 0;
const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
addEventListener("dragenter", (event) => { if (carriesFiles(event)) { depth += 1; cover.hidden = false; } });
addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); cover.hidden = depth === 0; });
addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
addEventListener("drop", (event) => {
  depth = 0;
  cover.hidden = true;
  if (!carriesFiles(event) || event.defaultPrevented) return;
  event.preventDefault();
  const chosen = document.querySelector("#upload-workflow");
  sendFiles(event.dataTransfer.files, chosen?.value || "media");
});
