"""Much at a time: a hundred thousand jobs in the list, a thousand events a second at the page."""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.browser.conftest import Hand
from tests.browser.history import lengthen
from tests.browser.profiler import held, profiled
from tests.browser.steps import show, submit, until

pytestmark = pytest.mark.timeout(240)

LONG_MS = 100
MANY = 100_000
SCROLL = """async () => {
  const list = document.querySelector("#list");
  let most = 0;
  for (let frame = 0; frame < 120; frame += 1) {
    list.scrollTop += 700;
    await new Promise(requestAnimationFrame);
    most = Math.max(most, document.querySelectorAll(".rows li").length);
  }
  return most;
}"""


def test_a_hundred_thousand_jobs_scroll(browser, restarting, tmp_path):
    """Only what is in sight is in the page, no frame is long, the end is reached, filters answer at once."""
    hand = Hand(restarting.url)
    source = {"file_id": httpx.post(f"{restarting.url}/files", content=b"x").json()["file_id"]}
    for number in range(3):
        hand.fails = {"sum_up"} if number == 2 else set()
        job = submit(restarting.url, workflow="media", params={"source": source}, labels={"number": str(number)})
        httpx.get(f"{restarting.url}/jobs/{job}?wait_s=20", timeout=40)
    hand.stop()
    restarting.stop()
    lengthen(tmp_path / "orpheus.db", MANY)
    restarting.start()

    page = browser.new_page(viewport={"width": 1360, "height": 860})
    page.goto(restarting.url)
    page.wait_for_selector(".rows li[aria-posinset='1']")
    until(page, f"document.querySelector('.chip b').textContent.replace(/\\D/g, '') === '{MANY + 3}'")
    with profiled(browser, page) as tasks:
        assert page.evaluate(SCROLL) < 60
    assert tasks[0] < LONG_MS, tasks[:5]
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/jobs?" in request.url else None)
    for share, place in ((1, MANY + 3), (0.5, MANY // 2), (0.25, MANY // 4), (1, MANY - 500)):
        page.evaluate(
            f"() => {{ const list = document.querySelector('#list'); list.scrollTop = list.scrollHeight * {share}; }}"
        )
        if place == MANY - 500:  # up again from the end, over what is not loaded there
            page.evaluate(f"() => {{ document.querySelector('#list').scrollTop = {46 * place}; }}")
        row = page.locator(f".rows li[aria-posinset='{place}'] a.job")
        row.wait_for(timeout=30_000)
        there = httpx.get(f"{restarting.url}/jobs?limit=1&skip={place - 1}").json()["items"]
        assert row.get_attribute("data-job") == there[0]["job_id"], place
    assert len(asked) < 20, "what lies between is not loaded"
    assert page.locator(".rows li").count() == page.locator(".rows li[aria-setsize='100003']").count()
    megabytes, nodes = held(page)
    assert nodes < 2500
    assert megabytes < 60
    for address, count in (("?state=failed", None), ("?q=media", None), ("?label=number:2", 1), ("", None)):
        begun = time.monotonic()
        show(page, restarting.url, f"jobs{address}")
        page.wait_for_selector(".rows .job.failed" if address else ".rows li[aria-posinset='1']")
        assert time.monotonic() - begun < 5, f"{address} took long"
        assert count is None or page.locator(".rows li").count() == count
    assert held(page)[0] < 15, "what the list has loaded is let go"
    (oldest,) = httpx.get(f"{restarting.url}/jobs?limit=1&skip={MANY + 2}").json()["items"]
    show(page, restarting.url, f"jobs?q={oldest['job_id']}")  # behind pages in which nothing fits
    page.wait_for_selector(f".rows a[data-job='{oldest['job_id']}']")
    assert page.locator(".rows li").count() == 1
    refused = {"code": "invalid_request", "message": "skip goes with one filter at most"}  # as to a key of one tenant
    page.route("**/jobs?*skip=*", lambda route: route.fulfill(status=422, json=refused))
    show(page, restarting.url, "jobs?state=failed")
    page.wait_for_selector(".rows .job.failed")
    until(
        page,
        """(() => {
          const list = document.querySelector("#list");
          list.scrollTop = list.scrollHeight;
          return [...document.querySelectorAll(".rows li")].some((each) => each.ariaPosInSet > 1200);
        })()""",
    )
    page.close()


# Places and jobs of the rows that are wholly in sight, from the top down.
IN_SIGHT = """() => {
  const { top, bottom } = document.querySelector("#list").getBoundingClientRect();
  return [...document.querySelectorAll(".rows li")]
    .map((each) => [each.getBoundingClientRect(), Number(each.ariaPosInSet), each.querySelector("a").dataset.job])
    .filter(([box]) => box.top >= top - 1 && box.bottom <= bottom + 1)
    .sort(([a], [b]) => a.top - b.top).map(([, place, job]) => [place, job]);
}"""


def test_more_jobs_than_a_browser_can_scroll_through(browser, server):
    """Three million are told of; rows stand where they belong at both ends, in the middle, and on the way down by keys."""
    job = submit(server, workflow="media", params={"source": {"url": "https://example.org/x"}}, delay_s=9999)
    one = httpx.get(f"{server}/jobs?limit=1").json()["items"][0]
    many = 3_000_000

    def some(route):
        query = {name: values[0] for name, values in parse_qs(urlsplit(route.request.url).query).items()}
        begin = int(query.get("cursor", 0)) + int(query.get("skip", 0))
        end = min(many, begin + int(query["limit"]))
        items = [{**one, "job_id": f"{job[:24]}{place:012}"} for place in range(begin, end)]
        route.fulfill(json={"items": items, "next_cursor": str(end) if end < many else None})

    page = browser.new_page(viewport={"width": 1360, "height": 860})
    page.route("**/jobs?*", some)
    page.route("**/stats", lambda route: route.fulfill(json={"jobs": {"completed": many}, "tasks": {}}))
    show(page, server, "jobs")
    page.wait_for_selector(".spark-text:text('at least')")  # only the newest are counted
    list_ = page.locator("#list")
    for share, place in ((1, many), (0.5, many // 2), (0, 1)):
        list_.evaluate(f"(list) => {{ list.scrollTop = list.scrollHeight * {share}; }}")
        near = f"Math.abs(document.querySelector('.rows li:nth-child(12)')?.ariaPosInSet - {place}) < 100"
        until(page, near)
        page.wait_for_timeout(100)
        seen = page.evaluate(IN_SIGHT)
        assert len(seen) > 10
        assert [int(job[-12:]) + 1 for _, job in seen] == [place for place, _ in seen]
        assert seen == sorted(seen), "one below the other"
    for place in range(1, 30):
        page.keyboard.press("j")
        until(page, f"document.activeElement.closest('li')?.ariaPosInSet === '{place}'")
    assert page.evaluate("document.activeElement.getBoundingClientRect().bottom <= innerHeight + 1")
    page.close()


LOOK = {"name": "look", "kind": "task", "task": "look", "version": 1}
WAIT = {"format": 1, "name": "wait", "version": 1, "params": {"type": "object"}, "nodes": [{**LOOK, "args": {}}]}
EACH = {
    "format": 1,
    "name": "each",
    "version": 1,
    "params": {"type": "object"},
    "nodes": [{**LOOK, "kind": "map", "items": {"item": {"$param": "items"}}, "args": {}}],
}


def test_a_thousand_events_a_second_neither_freeze_the_list_nor_stay_in_it(browser, server):
    """Seconds of them, then a burst of thousands; with the list at its top, where each new job has to appear."""
    httpx.post(f"{server}/workflows", json=WAIT).raise_for_status()
    page = browser.new_page(viewport={"width": 1360, "height": 860})
    page.goto(server)
    page.wait_for_selector("#live.on")

    def storm(batches: int) -> None:
        for _ in range(batches):
            begun = time.monotonic()
            jobs = [{"workflow": "wait", "delay_s": 9999}] * 250
            httpx.post(f"{server}/jobs/batch", json={"jobs": jobs}, timeout=60).raise_for_status()
            page.wait_for_timeout(max(0, 250 - (time.monotonic() - begun) * 1000))

    storm(4)
    before, _ = held(page)
    with profiled(browser, page) as tasks:
        storm(14)
        cancel = {"action": "cancel", "filter": {"workflow": "wait"}, "limit": 3000}
        httpx.post(f"{server}/jobs/bulk", json=cancel, timeout=60).raise_for_status()
        until(page, "document.querySelector('.chip.cancelled b').textContent.replace(/\\D/g, '') === '3000'")
    after, nodes = held(page)
    assert tasks[0] < LONG_MS, tasks[:5]
    assert nodes < 2500
    assert after < before + 3, f"{before:.1f} MB became {after:.1f} MB"
    page.close()


def test_a_job_of_a_thousand_items_is_watched_without_a_long_frame(browser, server):
    """Three events for each item, as fast as they are reported, on the page that draws each of them."""
    httpx.post(f"{server}/workflows", json=EACH).raise_for_status()
    job = submit(server, workflow="each", params={"items": list(range(1000))})
    page = browser.new_page(viewport={"width": 1360, "height": 860})
    show(page, server, f"jobs/{job}")
    hand = Hand(server, slots=64)
    with profiled(browser, page) as tasks:
        page.wait_for_selector(".job-head .pill.completed", timeout=90_000)
        page.wait_for_selector(".node .status:text('1000 of 1000')")
    hand.stop()
    megabytes, nodes = held(page)
    assert tasks[0] < LONG_MS, tasks[:5]
    assert nodes < 5000
    assert megabytes < 30
    page.close()
