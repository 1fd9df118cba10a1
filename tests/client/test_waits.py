"""Deciding, signalling, calling back: what reaches the wire, the same from both clients."""

from __future__ import annotations

from typing import Any

import pytest

from orpheus.client import Conflict

TAKEN = {"job_id": "j", "task": "ask", "index": None, "run_id": "r", "received_at": "2026-01-01T00:00:00.000Z"}


def test_a_decision_on_a_node(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """A value left out is not sent; None is a value like any other."""
    scripted.on("POST", "/jobs/j/tasks/review/approve", answer(200, job()))
    scripted.on("POST", "/jobs/j/tasks/review/reject", answer(200, job()))
    both("approve_task", "j", "review")
    both("approve_task", "j", "review", value=None, comment="none")
    both("reject_task", "j", "review", reason="no")
    assert [one.json() for one in scripted.asked] == [{}, {"value": None, "comment": "none"}, {"reason": "no"}]


def test_a_signal_has_an_id_so_that_it_may_be_sent_again(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    scripted.on("POST", "/jobs/j/signals/paid", answer(hang_up=True), answer(200, job()))
    both("signal", "j", "paid", {"amount": 3})
    first, second = (one.json() for one in scripted.asked)
    assert first == second and first["payload"] == {"amount": 3} and first["signal_id"]
    both("signal", "j", "paid", signal_id="mine")
    assert scripted.asked[-1].json()["signal_id"] == "mine"


def test_a_callback_brings_a_result_or_an_error(both: Any, scripted: Any, answer: Any) -> None:
    scripted.on(
        "POST",
        "/callbacks/r.0a",
        answer(200, TAKEN),
        answer(200, TAKEN),
        answer(409, {"code": "stale_run", "message": "over"}),
    )
    assert both("call_back", "r.0a", {"n": 1}).task == "ask"
    both("call_back", "r.0a", error="busy", final=True)
    with pytest.raises(Conflict):
        both("call_back", "r.0a", 1)
    assert [one.json() for one in scripted.asked[:2]] == [
        {"result": {"n": 1}},
        {"error": {"message": "busy", "final": True}},
    ]


def test_what_waits_for_a_decision_is_read_page_by_page(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """In the server's order, each with since when; a limit stops early."""

    def page(asked: Any) -> Any:
        if dict(asked.query).get("cursor"):
            return answer(200, {"items": [{"job": job("b"), "task": None, "since": "u"}]})
        return answer(200, {"items": [{"job": job("a"), "task": None, "since": "t"}], "next_cursor": "x"})

    scripted.on("GET", "/approvals", page)
    found = both("approvals", tenant="acme")
    assert [(one.job.job_id, one.task, one.since) for one in found] == [("a", None, "t"), ("b", None, "u")]
    assert dict(scripted.asked[0].query)["tenant"] == "acme"
    assert len(both("approvals", limit=1)) == 1
