"""What a job asks somebody outside, answered in a test (R14, R15, R22)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from orpheus import approval, child, sleep, task, wait_for, workflow
from orpheus.core.errors import InvalidParams, InvalidTransition, UnknownSignal
from orpheus.testing import Kit, Stuck


@dataclass
class Plan:
    cuts: int
    note: str = ""


@task
def plan(n: int) -> Plan:
    return Plan(n)


@task
def cut(plan: Plan, paid: float) -> str:
    return f"{plan.cuts} cuts {plan.note} {paid}"


@workflow
def talk(n: int) -> str:
    reviewed = approval("Review the cuts", plan(n), editable=True, timeout_s=86_400, name="review")
    paid = wait_for("payment", float, timeout_s=3600, after=sleep(600))
    return cut(reviewed, paid)


@workflow
def series(n: int) -> str:
    return child(talk, n)


@pytest.fixture
def kit() -> Iterator[Kit]:
    with Kit() as made:
        yield made


def test_an_approval_and_an_early_signal(kit: Kit) -> None:
    """The signal comes before the node asks, and over a restart; the value is edited."""
    job = kit.submit(talk, n=2)
    job.signal("payment", 12.5, signal_id="a").signal("payment", 12.5, signal_id="a")
    kit.restart()
    assert [one.reason for one in job.run_until_waiting()] == ["approval"]
    (question,) = job.questions
    assert (question.text, question.value, question.editable) == ("Review the cuts", {"cuts": 2, "note": ""}, True)
    with pytest.raises(InvalidParams):
        job.approve("Review the cuts", value={"cuts": "many"})
    with pytest.raises(LookupError, match="Review the cuts"):
        job.approve("Review the cats")
    job.approve("Review the cuts", value=Plan(3, "x"), comment="fine").run()
    assert job.result == "3 cuts x 12.5"


def test_questions_are_not_skipped_and_their_timeouts_pass_by_hand(kit: Kit) -> None:
    job = kit.submit(talk, n=2)
    with pytest.raises(Stuck, match="Review the cuts"):
        job.run()
    assert kit.now - kit.START <= timedelta(minutes=10)
    job.approve()
    assert [one.reason for one in job.run_until_waiting()] == ["event"]
    with pytest.raises(UnknownSignal):
        job.signal("paymnt")
    kit.advance(hours=1)
    assert job.state == "failed" and job.error is not None and job.error.task == "payment"


def test_a_rejection(kit: Kit) -> None:
    job = kit.submit(talk, n=2)
    job.run_until_waiting()
    assert job.reject("review", reason="not like this").run().state == "failed"
    assert job.error is not None and (job.error.code, job.error.message) == ("rejected", "not like this")
    with pytest.raises(InvalidTransition):
        job.approve()


def test_a_child_asks(kit: Kit) -> None:
    """The parent is stuck as long as its child is."""
    job = kit.submit(series, n=1)
    assert [one.reason for one in job.run_until_waiting()] == ["child"]
    (inner,) = job.children
    inner.approve().signal("payment", 1.0)
    assert job.run().result == "1 cuts  1.0"
