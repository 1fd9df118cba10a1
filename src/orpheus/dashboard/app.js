// The page put together: the address says what is shown, the socket says what has changed.

import * as detail from "./detail.js";
import { fill, notice } from "./dom.js";
import * as list from "./list.js";
import { connect, listen } from "./live.js";
import { signIn } from "./signin.js";
import { offer } from "./uploads.js";

const live = document.getElementById("live");

function route() {
  const found = /^#\/jobs\/([^/]+)/.exec(location.hash);
  const jobId = found ? decodeURIComponent(found[1]) : null;
  list.select(jobId);
  detail.show(jobId);
  document.body.classList.toggle("reading", jobId !== null);
}

listen((message) => {
  if (message.type === "state") {
    fill(live, message.live ? "live" : "reconnecting");
    live.classList.toggle("on", message.live);
    return;
  }
  list.changed(message);
  detail.changed(message);
});

addEventListener("signin", signIn);
addEventListener("hashchange", route);
route();
connect();
list.refresh();
offer().catch((error) => notice(error.message, "error"));
