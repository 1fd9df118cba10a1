"""Looking into a job: its graph before and during the run, its timeline, its log."""

from __future__ import annotations

import re

import httpx
import pytest
from tests.browser.steps import show, submit, until

pytestmark = pytest.mark.timeout(120)

TASK = {"kind": "task", "version": 1}
BRANCHES = {
    "format": 1,
    "name": "branches",
    "version": 1,
    "params": {"type": "object", "properties": {"loud": {"type": "boolean", "default": False}}},
    "nodes": [
        {**TASK, "name": "look", "task": "look", "args": {"source": "the same"}, "cache": True},
        {
            **TASK,
            "name": "try_hard",
            "task": "sum_up",
            "args": {"seen": {"$ref": "look"}},
            "retry": {"max_retries": 1, "initial_s": 0.2},
        },
        {**TASK, "name": "shout", "task": "look", "args": {"source": "loud"}, "when": {"$param": "loud"}},
        {"name": "agree", "kind": "approval", "prompt": "Shall it be so?", "args": {"value": {"$ref": "try_hard"}}},
    ],
    "output": {"$ref": "agree"},
}


def test_graph_and_timeline_tell_what_ran_and_what_was_waited_for(page, hand, server):
    """Before the run; what was skipped and what was known; each attempt, and why there was a pause."""
    httpx.post(f"{server}/workflows", json=BRANCHES).raise_for_status()
    show(page, server, f"jobs/{submit(server, workflow='branches', delay_s=9999)}")
    until(page, "document.querySelectorAll('.graph .node').length === 4")
    until(page, "document.querySelectorAll('.node.completed, .node.running').length === 0")
    hand.stumbles = {"sum_up"}
    for _ in range(2):  # the second time the first node is known
        job = submit(server, workflow="branches")
        show(page, server, f"jobs/{job}")
        page.wait_for_selector(".node.waiting[data-node=agree]")
        httpx.post(f"{server}/jobs/{job}/tasks/agree/approve", json={}).raise_for_status()
        page.wait_for_selector(".job-head .pill.completed")
    page.wait_for_selector(".node.cached[data-node=look] .status:text('cached')")
    page.wait_for_selector(".node.skipped[data-node=shout] .status:text('skipped')")
    told = page.locator(".node[data-node=try_hard] .status").text_content()
    assert re.fullmatch(r"completed · [\d.]+ (ms|s)", told), told
    spans = page.locator(".gantt [data-task=try_hard] .span")
    until(page, "document.querySelectorAll('.gantt [data-task=try_hard] .span').length >= 3")
    kinds = [each.get_attribute("class").split()[1] for each in spans.all()]
    assert (kinds.count("failed"), kinds.count("completed")) == (1, 1)
    pauses = [each.get_attribute("title") for each in spans.all() if "wait" in each.get_attribute("class")]
    assert any("after attempt 1, before the next one" in each for each in pauses), pauses
    asked = page.locator(".gantt [data-task=agree] .span.wait").first.get_attribute("title")
    assert "waited for a person" in asked
    page.locator(".node[data-node=try_hard]").click()
    attempts = page.locator(".inspector .attempts > li")
    assert attempts.count() == 2
    assert re.search(r"failed\s+attempt 1\b.*it broke\s+Mend it\.", attempts.first.inner_text(), re.DOTALL)
    assert re.search(r"completed\s+attempt 2\b", attempts.last.inner_text())
    page.wait_for_selector(".inspector .waits li:has-text('after attempt 1, before the next one')")


AT_END = "(({ scrollTop, clientHeight, scrollHeight }) => scrollTop + clientHeight > scrollHeight - 3)(document.querySelector('.logs'))"


def test_a_log_is_followed_searched_and_sifted(page, hand, server):
    """At its end while somebody is there, in peace further up; words, node and level are looked for in all of it."""
    hand.go.clear()
    source = {"file_id": httpx.post(f"{server}/files", content=b"x").json()["file_id"]}
    job = submit(server, workflow="media", params={"source": source})

    def says(first: int, last: int, level: str = "info") -> None:
        lines = [{"message": f"line {number} of many", "level": level} for number in range(first, last)]
        hand.report(hand.task, kind="log", lines=lines)

    page.goto(f"{server}/#/jobs/{job}/logs?node=look")
    page.wait_for_selector(".logs .line")
    assert page.get_by_label("Node").input_value() == "look", "the address holds the node"
    says(0, 80)
    page.wait_for_selector(".logs .line:has-text('line 79 of many')")
    until(page, AT_END)
    says(80, 120)
    page.wait_for_selector(".logs .line:has-text('line 119 of many')")
    until(page, AT_END)
    page.evaluate("() => { document.querySelector('.logs').scrollTop = 0; }")
    until(page, "!document.querySelector('.check input').checked")
    says(120, 121, "error")
    page.wait_for_selector(".logs .error:has-text('line 120 of many')", state="attached")
    assert page.evaluate("document.querySelector('.logs').scrollTop") == 0, "what is read stays where it is"
    page.get_by_label("Follow").check()
    until(page, AT_END)
    page.get_by_label("Search the log").fill("line 7")
    until(page, "document.querySelectorAll('.logs .line').length === 11")
    page.get_by_label("Search the log").fill("")
    page.get_by_label("Level").select_option("error")
    until(page, "document.querySelectorAll('.logs .line').length === 1")
    page.get_by_label("Node").select_option("sum_up")
    page.wait_for_selector(".logs:has-text('No line fits')")
