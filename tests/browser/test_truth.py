"""Live means live: what is committed is on the page at once, and nothing is missed while the server is away."""

from __future__ import annotations

import time
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx
import pytest
from tests.browser.profiler import crowding
from tests.browser.steps import show, submit, until

pytestmark = pytest.mark.timeout(240)

P95_MS = 150
WAIT = {
    "format": 1,
    "name": "wait",
    "version": 1,
    "params": {"type": "object"},
    "nodes": [{"name": "look", "kind": "task", "task": "look", "version": 1, "args": {}}],
}
# Notes when each job was first seen in each state, by the clock of this machine.
OBSERVE = """() => {
  window.seen = {};
  const look = () => {
    const now = performance.timeOrigin + performance.now();
    for (const row of document.querySelectorAll(".rows a.job")) seen[`${row.dataset.job} ${row.className.split(" ")[1]}`] ??= now;
    const pill = document.querySelector(".job-head .pill");
    if (pill) seen[`${document.querySelector(".job-head .id").textContent} ${pill.textContent}`] ??= now;
  };
  new MutationObserver(look).observe(document.querySelector("main"), { subtree: true, childList: true, attributes: true, characterData: true });
}"""


def late_ms(page, key: str, since: float) -> float:
    """How long after `since` (before the request that committed it) something was on the page."""
    until(page, f"window.seen[{key!r}] !== undefined", 20)
    return float(page.evaluate(f"window.seen[{key!r}]")) - since * 1000


def p95(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95) - 1]


@pytest.mark.parametrize("view", ["jobs", "jobs?state=pending&state=cancelled", "job"])
def test_a_change_is_on_the_page_within_150_ms(browser, server, view):
    """p95 from before the request that commits it to the DOM; the best of four rounds on a shared machine."""
    httpx.post(f"{server}/workflows", json=WAIT).raise_for_status()
    page = browser.new_page()
    page.goto(server)
    page.wait_for_selector("#live.on")
    rounds: list[float] = []
    with httpx.Client(base_url=server) as http:
        while len(rounds) < 4 and (not rounds or min(rounds) >= P95_MS):
            times = []
            for _ in range(9):
                begun = time.time()
                job = http.post("/jobs", json={"workflow": "wait", "delay_s": 9999}).json()["job_id"]
                if view == "job":
                    show(page, server, f"jobs/{job}")
                    page.wait_for_selector(".job-head .pill.pending")
                    page.evaluate(OBSERVE)
                    page.wait_for_timeout(300)
                elif page.evaluate("window.seen === undefined"):
                    show(page, server, view)
                    page.wait_for_selector(".rows .job")
                    page.evaluate(OBSERVE)
                else:
                    times.append(late_ms(page, f"{job} pending", begun))
                    page.wait_for_timeout(250)
                begun = time.time()
                http.post(f"/jobs/{job}/cancel", json={"reason": "seen"}).raise_for_status()
                times.append(late_ms(page, f"{job} cancelled", begun))
                page.wait_for_timeout(250)
            rounds.append(p95(times) / crowding())
    page.close()
    assert min(rounds) < P95_MS, rounds


def test_nothing_is_missed_while_the_server_is_away(browser, restarting):
    """Jobs that moved while the page could not hear are right when it is back, by the last cursor and without a reload."""
    httpx.post(f"{restarting.url}/workflows", json=WAIT).raise_for_status()
    page = browser.new_page()  # not `page`, to which it is a fault that the browser could not connect
    page.goto(restarting.url)
    page.wait_for_selector("#live.on")
    page.evaluate("window.here = true")
    heard = []

    def hear(frame: str) -> None:
        heard.append(frame)

    page.on("websocket", lambda socket: socket.on("framesent", hear))
    jobs = [submit(restarting.url, workflow="wait", delay_s=9999) for _ in range(3)]
    page.wait_for_selector(f".rows [data-job='{jobs[2]}']")
    for turn in range(2):
        restarting.stop()
        page.wait_for_selector("#banner:has-text('The server is out of reach')")
        assert page.locator(".rows .job").count() == 3 + turn, "what was known stays on the page"
        restarting.start()
        httpx.post(f"{restarting.url}/jobs/{jobs[turn]}/cancel", json={}).raise_for_status()
        last = submit(restarting.url, workflow="wait", delay_s=9999)
        page.wait_for_selector("#live.on")
        page.wait_for_selector(f".rows .cancelled[data-job='{jobs[turn]}']")
        page.wait_for_selector(f".rows .pending[data-job='{last}']")
        page.wait_for_selector("#banner", state="hidden")
        assert '"after"' in heard[-1]
    assert page.evaluate("window.here"), "the page was not loaded anew"
    page.close()


def test_times_are_in_the_readers_zone(browser, server):
    """Nine hours ahead in Tokyo; the hour after midnight is 0."""
    httpx.post(f"{server}/workflows", json=WAIT).raise_for_status()
    job = submit(server, workflow="wait", delay_s=9999)
    created = datetime.fromisoformat(httpx.get(f"{server}/jobs/{job}").json()["created_at"])
    context = browser.new_context(timezone_id="Asia/Tokyo")
    page = context.new_page()
    show(page, server, f"jobs/{job}")
    there = created.astimezone(ZoneInfo("Asia/Tokyo"))
    assert page.locator(".facts time").first.inner_text() == there.strftime("%H:%M:%S")
    midnight = page.evaluate(
        """async () => {
          const { clock, moment } = await import("./static/format.js");
          const at = new Date().setHours(0, 5, 0, 0);
          return [clock(at), moment(at)];
        }"""
    )
    assert midnight == ["00:05:00.000", "00:05:00"]
    context.close()


def test_times_stay_true_and_tell_utc(page, server):
    """Words like "now" grow old on the page; pointing at a time tells the exact one."""
    httpx.post(f"{server}/workflows", json=WAIT).raise_for_status()
    job = submit(server, workflow="wait", requires_approval=True)
    show(page, server, "approvals")
    page.wait_for_selector(f".tile[data-job='{job}'] time:has-text('now')")
    created = httpx.get(f"{server}/jobs/{job}").json()["created_at"]
    title = page.locator(f".tile[data-job='{job}'] time").first.get_attribute("title")
    assert title.replace(" ", "T", 1).removesuffix(" UTC") == created.removesuffix("Z")[: len(title) - 4]
    page.wait_for_selector(f".tile[data-job='{job}'] time:has-text('s ago')")
