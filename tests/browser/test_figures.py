"""What the page tells in figures and moving pictures: the sparkline, how workflows fare, a job replayed from its events."""

from __future__ import annotations

import sqlite3

import httpx
import pytest
from tests.browser.conftest import MEDIA, Hand
from tests.browser.steps import REVIEW, show, submit, until

pytestmark = pytest.mark.timeout(120)

BAR_S = 30
"""What a bar of the sparkline stands for."""
TOOK_S = 3600
"""Longer than the sparkline reaches back: jobs are counted by when they ended."""
# Of each bar: what it tells, its place from the left, its height.
BARS = """() => [...document.querySelectorAll(".spark rect")].map((each) => [each.getAttribute("class"), Math.round(each.x.baseVal.value / 4),
  Math.round(each.height.baseVal.value)])"""


def ended(server, hand, count, *, fails=()):
    """Run so many jobs of `media` to their end; those at the places in `fails` fail. Return their ids."""
    source = {"file_id": httpx.post(f"{server}/files", content=b"x").json()["file_id"]}
    jobs = []
    for place in range(count):
        hand.fails = {"sum_up"} if place in fails else set()
        jobs.append(submit(server, workflow="media", params={"source": source}))
        httpx.get(f"{server}/jobs/{jobs[-1]}?wait_s=20", timeout=40)
    return jobs


def test_the_sparkline_tells_what_came_through_and_what_failed(browser, restarting, tmp_path):
    """A bar where it belongs for what ended lately, failures above; what is older is not counted; new ones come by events."""
    hand = Hand(restarting.url)
    jobs = ended(restarting.url, hand, 5, fails={1, 3})
    hand.stop()
    restarting.stop()
    with sqlite3.connect(tmp_path / "orpheus.db") as database:
        for job, minutes in zip(jobs, (10, 10, 10, 40, 20), strict=True):
            shift = (
                "created_at = created_at - ?1 - ?2, started_at = started_at - ?1 - ?2, finished_at = finished_at - ?1"
            )
            database.execute(f"UPDATE jobs SET {shift} WHERE job_id = ?3", (minutes * 60, TOOK_S, job))
    database.close()
    restarting.start()
    page = browser.new_page()
    show(page, restarting.url, "jobs")
    page.wait_for_selector(".spark-text:text('3 completed, 1 failed in 30 min')")
    bars = page.evaluate(BARS)
    assert sorted(kind for kind, _, _ in bars) == ["bad", "good", "good"]
    for kind, minutes, share in (("good", 10, 2 / 4), ("bad", 10, 1 / 4), ("good", 20, 1 / 4)):
        due = 59 - minutes * 60 / BAR_S
        (height,) = [tall for each, place, tall in bars if each == kind and abs(place - due) <= 2]
        assert abs(height - share * 34) <= 1, (kind, height)
    hand = Hand(restarting.url)
    ended(restarting.url, hand, 2, fails={1})
    hand.stop()
    page.wait_for_selector(".spark-text:text('4 completed, 2 failed in 30 min')")
    until(page, "[...document.querySelectorAll('.spark .bad')].some((each) => each.x.baseVal.value >= 228)")
    page.close()


def test_a_workflow_tells_how_often_it_fails_and_how_long_its_nodes_take(page, hand, server):
    """The share of its last jobs; p50 and p95 of each node as the estimate has them, in the table and on the graph."""
    ended(server, hand, 5, fails={2})
    show(page, server, "workflows/media")
    page.wait_for_selector(".about:has-text('Of the last 5 that ended, 1 failed (20 %). A job takes')")
    page.wait_for_selector("td[data-name=p50]")
    params = {"source": {"file_id": httpx.post(f"{server}/files", content=b"x").json()["file_id"]}}
    estimate = httpx.post(f"{server}/estimate", json={"workflow": "media", "params": params}).json()
    for node in estimate["nodes"]:
        assert node["samples"] >= 4
        words = page.evaluate(
            "async (times) => { const { duration } = await import('./static/format.js'); return times.map(duration); }",
            [node["duration_s"]["p50"], node["duration_s"]["p95"]],
        )
        row = page.locator("tr", has=page.locator(f"td[data-name=node] b:text-is('{node['node']}')"))
        assert [row.locator(f"td[data-name={share}]").inner_text() for share in ("p50", "p95")] == words
        assert row.locator("td[data-name='runs recorded']").inner_text() == str(node["samples"])
        page.wait_for_selector(f".node[data-node={node['node']}] .status:has-text('{words[0]}')")
    ended(server, hand, 1, fails={0})
    page.wait_for_selector(".about:has-text('Of the last 6 that ended, 2 failed (33 %).')")  # by itself
    page.get_by_role("link", name="Try it").click()
    page.wait_for_selector("form.sheet")
    assert page.locator("#workflow").input_value() == "media"
    httpx.post(
        f"{server}/workflows", json={**MEDIA, "version": 2, "nodes": MEDIA["nodes"][:1], "output": {"$ref": "look"}}
    )
    show(page, server, "workflows/media")
    page.wait_for_selector("h1:has-text('v2')")
    page.wait_for_selector(".panel:has(h2:text('Params')) .tree:has-text('source')")
    assert page.locator(".graph .node").count() == 1
    page.get_by_role("link", name="1", exact=True).click()
    page.wait_for_selector("h1:has-text('v1')")
    assert page.locator(".graph .node").count() == 2
    show(page, server, "workflows")
    httpx.post(f"{server}/workflows", json=REVIEW).raise_for_status()
    page.wait_for_selector(".tile h2:has-text('review')")  # of a worker that has just come


def test_a_job_is_replayed_from_its_events(page, hand, server):
    """At each place of the scrubber the graph is as it was then; it runs by itself; what happens meanwhile waits until "now"."""
    (job,) = ended(server, hand, 1, fails={0})
    hand.fails.clear()
    httpx.post(f"{server}/jobs/{job}/retry", json={}).raise_for_status()
    httpx.get(f"{server}/jobs/{job}?wait_s=20", timeout=40)
    events = [
        (each["type"], each.get("task")) for each in httpx.get(f"{server}/jobs/{job}/events?limit=200").json()["items"]
    ]
    show(page, server, f"jobs/{job}")
    page.wait_for_selector(".job-head .pill.completed")
    page.get_by_role("button", name="Replay").click()
    scrubber = page.get_by_role("slider", name="Event")
    until(page, f"document.activeElement.max === '{len(events)}'")

    def states() -> list[str]:
        return [
            page.locator(f".node[data-node={name}]").get_attribute("class").split()[2] for name in ("look", "sum_up")
        ]

    seen = {0: states()}
    for place in range(1, len(events) + 1):
        page.keyboard.press("ArrowRight")
        assert scrubber.input_value() == str(place)
        kind, task = events[place - 1]
        told = page.locator(".replay output").inner_text()
        assert told.startswith(f"{place} of {len(events)} · ")
        assert told.endswith(f"{kind} {task}" if task else kind)
        seen[place] = states()
    done, failed, retried = (
        1 + events.index(each)
        for each in (("task.completed", "look"), ("task.failed", "sum_up"), ("job.retried", None))
    )
    assert seen[0] == ["blocked", "blocked"]
    assert seen[done][0] == "completed"
    assert seen[done][1] not in ("completed", "failed")
    assert seen[failed] == ["completed", "failed"]
    assert seen[len(events)] == ["completed", "completed"]
    assert any(seen[place][1] == "running" for place in range(retried + 1, len(events))), "it runs again"
    page.keyboard.press("Home")
    assert states() == ["blocked", "blocked"]
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_selector(".replay button:text('Pause')")
    until(page, f"document.querySelector('.replay input').value === '{len(events)}'")
    page.wait_for_selector(".replay button:text('Play')")
    assert states() == ["completed", "completed"]
    scrubber.focus()
    page.keyboard.press("Home")
    page.get_by_role("button", name="Back to now").click()
    page.wait_for_selector(".replay", state="hidden")
    assert states() == ["completed", "completed"]
