// How much came through lately: completed and failed jobs of the last half hour, a bar per half minute.

import { jobs } from "./api.js";
import { fill, h, s, say } from "./dom.js";

const BARS = 60;
const SPAN_S = 30;
const MOST = 500;
const LONGEST_MS = 86_400_000; // jobs that took longer than this are not looked for
const [W, H] = [240, 36];

export function sparkline() {
  const buckets = new Map(); // number of the half minute -> [completed, failed]
  const told = new Set();
  let more = false; // whether others ended before those that were fetched
  const text = h("span", { class: "spark-text" });
  const drawing = s("svg", { viewBox: `0 0 ${W} ${H}`, width: W, height: H, "aria-hidden": "true" });
  const element = h("div", { class: "spark", title: "Jobs that ended in the last 30 minutes" }, drawing, text);

  function count(jobId, at, failed) {
    const key = `${jobId} ${at}`;
    if (told.has(key)) return;
    if (told.size > 20000) told.clear();
    told.add(key);
    const number = Math.floor(Date.parse(at) / 1000 / SPAN_S);
    const bucket = buckets.get(number) ?? [0, 0];
    bucket[failed ? 1 : 0] += 1;
    buckets.set(number, bucket);
  }

  function draw() {
    const now = Math.floor(Date.now() / 1000 / SPAN_S);
    for (const number of buckets.keys()) if (number <= now - BARS) buckets.delete(number);
    const highest = Math.max(4, ...[...buckets.values()].map(([good, bad]) => good + bad));
    const step = W / BARS;
    const bars = [];
    let [good, bad] = [0, 0];
    for (const [number, [completed, failed]] of buckets) {
      good += completed;
      bad += failed;
      const x = (BARS - 1 - (now - number)) * step;
      const up = (completed / highest) * (H - 2);
      const over = (failed / highest) * (H - 2);
      if (completed) bars.push(s("rect", { class: "good", x, y: H - up, width: step - 1, height: up, rx: 1 }));
      if (failed) bars.push(s("rect", { class: "bad", x, y: H - up - over, width: step - 1, height: over, rx: 1 }));
    }
    fill(drawing, s("line", { class: "base", x1: 0, x2: W, y1: H - 0.5, y2: H - 0.5 }), bars);
    say(text, `${more ? "at least " : ""}${good.toLocaleString()} completed, ${bad.toLocaleString()} failed in 30 min`);
  }

  async function seed() {
    const now = Date.now();
    const page = await jobs(`state=completed&state=failed&created_after=${new Date(now - LONGEST_MS).toISOString()}`, MOST).catch(() => ({ items: [] }));
    for (const job of page.items) if (job.finished_at) count(job.job_id, job.finished_at, job.state === "failed");
    more = page.next_cursor && (page.items.length < MOST || Date.parse(page.items.at(-1)?.created_at) > now - BARS * SPAN_S * 1000);
    draw();
  }

  draw();
  setTimeout(seed, 300); // after the list, which is what people came for
  return {
    element,
    draw,
    heard(event) {
      if (event.type === "job.completed" || event.type === "job.failed") count(event.job_id, event.at, event.type === "job.failed");
    },
  };
}
