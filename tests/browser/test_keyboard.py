"""Without a mouse: submit, filter, open, approve, cancel, go anywhere; the focus is always seen, named and kept."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.browser.steps import show, submit, until, upload

pytestmark = pytest.mark.timeout(120)

REVIEW = {
    "format": 1,
    "name": "review",
    "version": 1,
    "params": {"type": "object", "properties": {"title": {"type": "string", "default": "Night"}}},
    "nodes": [{"name": "look", "kind": "task", "task": "look", "version": 1, "args": {"source": {"$param": "title"}}}],
}
# The name of what has the focus, and whether one sees that it has it.
FOCUS = """() => {
  const active = document.activeElement;
  const style = getComputedStyle(active.matches("g.node") ? active.querySelector(".box") : active);
  const seen = active.matches("g.node, [role=tabpanel], main, .hidden-input") || (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0);
  const label = [...(active.labels ?? [])].map((each) => each.textContent).join(" ");
  return [(active.getAttribute("aria-label") || label || active.textContent || active.getAttribute("placeholder") || active.tagName).trim(), seen];
}"""


def go_to(page: Any, name: str, key: str = "Tab") -> None:
    """Press Tab until something of this name has the focus; everything on the way is named and seen."""
    for _ in range(80):
        page.keyboard.press(key)
        now, seen = page.evaluate(FOCUS)
        assert now, "the focus is on something without a name"
        assert seen, f"one does not see that {now!r} has the focus"
        if now.startswith(name):
            return
    pytest.fail(f"no way to {name!r} by {key}")


def focused(page: Any) -> str:
    return str(page.evaluate(FOCUS)[0])


def test_a_job_is_submitted_approved_and_cancelled_by_keys(page, server):
    """From the skip link to the end of a job, through forms and dialogs."""
    httpx.post(f"{server}/workflows", json=REVIEW).raise_for_status()
    page.wait_for_selector("#live.on")
    go_to(page, "Skip to content")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "view"
    page.keyboard.press("n")
    page.wait_for_selector("#workflow option[value=review]", state="attached")
    go_to(page, "Workflow")
    while focused(page).startswith("Workflow for files"):
        go_to(page, "Workflow")
    page.keyboard.type("review")
    go_to(page, "title")
    page.keyboard.press("Control+a")
    page.keyboard.type("By keys")
    go_to(page, "Labels, priority")
    page.keyboard.press("Enter")
    go_to(page, "Somebody has to approve")
    page.keyboard.press("Space")
    go_to(page, "Submit")
    page.keyboard.press("Enter")
    page.wait_for_selector(".box.ask")
    go_to(page, "Approve …")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] [name], dialog[open] input")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert focused(page) == "Approve …", "a dialog gives the focus back"
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] input")
    go_to(page, "Approve")
    page.keyboard.press("Enter")
    page.wait_for_selector(".job-head .pill.queued")
    go_to(page, "Cancel …", "Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    page.keyboard.type("no longer wanted")
    go_to(page, "Cancel the job")
    page.keyboard.press("Enter")
    page.wait_for_selector(".job-head .pill.cancelled")
    job = httpx.get(f"{server}/jobs").json()["items"][0]
    assert httpx.get(f"{server}/jobs/{job['job_id']}").json()["params"] == {"title": "By keys"}


def test_the_list_and_the_palette_by_keys(page, hand, server):
    """Filter by a state, move, select, open, walk the tabs, go back through the palette."""
    upload(page)
    page.wait_for_selector(".job-head .pill.completed")
    page.keyboard.press("Control+k")
    page.keyboard.type("Jobs")
    page.keyboard.press("Enter")
    page.wait_for_selector(".rows .job")
    go_to(page, "completed")
    page.keyboard.press("Enter")
    until(page, "location.hash === '#/jobs?state=completed'")
    assert focused(page).startswith("completed"), "a filter keeps the focus"
    page.wait_for_selector(".rows .job")
    page.keyboard.press("j")
    until(page, "document.activeElement.matches('a.job')")
    page.keyboard.press("x")
    page.wait_for_selector(".bulk:has-text('1 selected')")
    page.keyboard.press("Enter")
    page.wait_for_selector(".job-head")
    assert page.evaluate("document.activeElement.id") == "view", "the row has gone with its list"
    page.locator("[role=tab][aria-selected=true]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#tab-files[aria-selected=true]")
    page.keyboard.press("Control+k")
    page.wait_for_selector("dialog[open]")
    page.keyboard.type("any words")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert page.evaluate("document.activeElement.id") == "tab-files"


def test_what_has_the_focus_keeps_it_while_the_page_moves(page, hand, server):
    """Jobs come, end and are cancelled under it: in the list, at a job's orders, in the table of queues."""
    httpx.post(f"{server}/workflows", json=REVIEW).raise_for_status()
    jobs = [submit(server, workflow="review", delay_s=9999) for _ in range(2)]
    show(page, server, "jobs")
    page.locator(f"a.job[data-job='{jobs[0]}']").focus()
    newer = submit(server, workflow="review", delay_s=9999)
    page.wait_for_selector(f".rows [data-job='{newer}']")
    httpx.post(f"{server}/jobs/{jobs[0]}/cancel", json={})
    page.wait_for_selector(f".rows .cancelled[data-job='{jobs[0]}']")
    assert page.evaluate("document.activeElement.dataset.job") == jobs[0]
    show(page, server, f"jobs/{newer}")
    page.get_by_role("button", name="Run again …").focus()
    httpx.post(f"{server}/jobs/{newer}/pause", json={}).raise_for_status()
    page.wait_for_selector(".job-head .pill:has-text('paused')")
    assert focused(page) == "Run again …"
    hand.go.clear()
    upload(page)
    page.wait_for_selector(".job-head .pill.running")
    show(page, server, "queues")
    page.get_by_role("button", name="Limits of queue default").focus()
    hand.go.set()
    page.wait_for_selector("td .pill:has-text('idle')")
    assert focused(page) == "Limits of queue default"
