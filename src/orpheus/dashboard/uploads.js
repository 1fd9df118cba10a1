// Files become jobs: by the button, or dropped anywhere.

import { ask, upload } from "./api.js";
import { fill, h, notice } from "./dom.js";
import { bytes } from "./format.js";

const chooser = document.getElementById("workflow");
const input = document.getElementById("file");
const cover = document.getElementById("drop");
const notices = document.getElementById("notices");

function takesFile(schema) {
  return JSON.stringify(schema ?? {}).includes('"x-orpheus":"file"');
}

/** Offer the workflows that take a file. */
export async function offer() {
  const { items } = await ask("workflows");
  const before = chooser.value;
  const names = items.filter((each) => takesFile(each.params)).map((each) => each.name);
  if (!names.includes("media")) names.unshift("media");
  fill(chooser, names.map((name) => h("option", { value: name }, name)));
  chooser.value = names.includes(before) ? before : "media";
}

async function send(files) {
  for (const file of files) {
    const meter = h("span", { class: "fill" });
    const entry = h("p", { class: "notice upload" }, h("span", {}, file.name), h("span", {}, bytes(file.size)), h("span", { class: "bar running" }, meter));
    notices.append(entry);
    try {
      const job = await upload(file, chooser.value, (fraction) => { meter.style.width = `${fraction * 100}%`; });
      location.hash = `#/jobs/${job.job_id}`;
    } catch (error) {
      notice(`${file.name}: ${error.message}`, "error");
    } finally {
      entry.remove();
    }
  }
}

input.addEventListener("change", () => { send([...input.files]); input.value = ""; });

let depth = 0;
const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
addEventListener("dragenter", (event) => { if (carriesFiles(event)) { depth += 1; cover.hidden = false; } });
addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); cover.hidden = depth === 0; });
addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
addEventListener("drop", (event) => {
  depth = 0;
  cover.hidden = true;
  if (!carriesFiles(event)) return;
  event.preventDefault();
  send([...event.dataTransfer.files]);
});
