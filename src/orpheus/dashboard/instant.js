// An instant as people say it, in their zone; pointing at it tells the exact UTC. "3 min ago" stays true while it is looked at.

import { h, say } from "./dom.js";
import { ago, exact, moment, until } from "./format.js";

const HOW = { ago, moment, until };

/** `how`: `moment` (a time of the day, with the date where it is another), `ago`, or `until`. */
export function instant(at, how = "moment") {
  return at ? h("time", { dateTime: at, title: exact(at), "data-how": how }, HOW[how](at)) : "–";
}

setInterval(() => {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("time[data-how=ago], time[data-how=until]")) say(element, HOW[element.dataset.how](element.dateTime));
}, 1000);
