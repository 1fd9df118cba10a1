// Orders to a selection: job by job, or to everything that the filter meets, after a look at what would come of it.

import { ofJob, post } from "./api.js";
import { button, fill, h } from "./dom.js";
import { toBulk } from "./jobs-filter.js";
import { ask, notice } from "./notices.js";

const ORDERS = [["cancel", "Cancel"], ["retry", "Retry"], ["pause", "Pause"], ["resume", "Resume"], ["approve", "Approve"], ["reject", "Reject"]];
const AT_A_TIME = 6;
const NEEDS_REASON = { reject: "rejected on the page", cancel: "cancelled on the page" };

export function bulkBar(selected, rows, filterOf, done) {
  const element = h("div", { class: "bulk", role: "toolbar", "aria-label": "Orders to the selection", hidden: true });

  function draw() {
    element.hidden = selected.size === 0;
    if (element.hidden) return;
    const whole = Object.keys(toBulk(filterOf())).length > 0;
    fill(element, h("strong", {}, `${selected.size} selected`),
      ORDERS.map(([action, title]) => button(title, () => each(action), "small")),
      whole && button("All that match …", () => all(), "small quiet"),
      h("span", { class: "spring" }),
      button("Clear", () => { selected.clear(); done(); }, "small quiet"));
  }

  async function each(action) {
    const waiting = [...selected];
    const count = waiting.length;
    if (action === "cancel" || action === "reject") {
      const sure = await ask(`${action === "cancel" ? "Cancel" : "Reject"} ${count} ${count === 1 ? "job" : "jobs"}?`, h("p", {}, "Running work is stopped. Finished jobs stay as they are."), { yes: action === "cancel" ? "Cancel them" : "Reject them", kind: "danger" });
      if (!sure) return;
    }
    const refused = [];
    await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
      while (waiting.length) {
        const jobId = waiting.shift();
        const body = action in NEEDS_REASON ? { reason: NEEDS_REASON[action] } : {};
        await post(ofJob(jobId, action), body).catch((error) => refused.push(error));
      }
    }));
    notice(`${action}: ${count - refused.length} of ${count} jobs`);
    if (refused.length) notice(`${refused.length} refused: ${refused[0].message}`, "error");
    selected.clear();
    done();
  }

  async function all() {
    const filter = toBulk(filterOf());
    const choice = h("select", { class: "input", "aria-label": "Order" }, ORDERS.map(([action, title]) => h("option", { value: action }, title)));
    const told = h("p", { class: "hint", role: "status" }, "…");
    const look = async () => {
      const answer = await post("jobs/bulk", { action: choice.value, filter, dry_run: true, limit: 10000 }).catch((error) => ({ fault: error.message }));
      told.textContent = answer.fault ?? `${answer.matched.toLocaleString()}${answer.next_cursor ? " or more" : ""} jobs match; it would be done to ${(answer.outcomes.done ?? 0).toLocaleString()} of them.`;
    };
    choice.addEventListener("change", look);
    look();
    await ask("Everything that the filter meets", h("div", {}, choice, told), { yes: "Do it", kind: "danger", submit: async () => {
      let cursor = null;
      let count = 0;
      do {
        const body = { action: choice.value, filter, limit: 5000, reason: NEEDS_REASON[choice.value] ?? "" };
        const answer = await post("jobs/bulk", cursor ? { ...body, cursor } : body);
        count += answer.outcomes.done ?? 0;
        cursor = answer.next_cursor;
      } while (cursor);
      notice(`${choice.value}: ${count.toLocaleString()} jobs`);
      selected.clear();
      done();
    } });
  }

  return { element, draw };
}
