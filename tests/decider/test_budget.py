"""Budgets: what attempts cost, and that a job never spends more than it may."""

from __future__ import annotations

import pytest

from orpheus.core import facts as f
from orpheus.core.errors import BudgetExceeded, InvalidGraph, TaskError

PARAMS = {"items": {"type": "array"}, "file": {}}
FILE = {"$file": {"name": "a", "key": "k", "size_bytes": 2_500_000, "sha256": "0" * 64, "content_type": "x/y"}}


def _extra(b):
    return {name: b.view.job().extra.get(name) for name in ("cost", "held", "budget")}


def test_completed_attempts_are_spent_others_are_given_back(bench):
    b = bench([{"name": "a", "price": 0.5}, {"name": "b", "after": ["a"]}])
    b.claim("a")
    assert _extra(b) == {"cost": None, "held": 0.5, "budget": None}
    b.fail("a")
    assert _extra(b) == {"cost": None, "held": 0.0, "budget": None}
    b.sleep_until_due()
    b.complete("a")
    assert b.view.events[-2].data["price"] == 0.5
    b.complete("b")
    assert _extra(b) == {"cost": 0.5, "held": 0.0, "budget": None}


@pytest.mark.parametrize("how", ["returned", "lost", "timed_out"])
def test_every_other_end_of_an_attempt_gives_its_price_back(bench, how):
    b = bench([{"name": "a", "price": 2, "timeouts": {"heartbeat_s": 5}}], extra={"budget": 2})
    run = b.claim("a")
    fact = {
        "returned": f.RunReturned(node="a", run_id=run),
        "lost": f.RunLost(node="a", run_id=run),
        "timed_out": f.RunTimedOut(node="a", run_id=run, code="timeout_heartbeat"),
    }[how]
    b.tell(fact)
    assert _extra(b)["held"] == 0.0
    if how != "returned":
        b.sleep_until_due()
    b.complete("a")
    assert (b.job, _extra(b)["cost"]) == ("completed", 2)


def test_a_task_that_would_pass_the_budget_is_not_started(bench):
    """The job fails, whatever the task's `on_failure` says; what ran before is spent."""
    nodes = [{"name": "a", "price": 1}, {"name": "b", "price": 1, "after": ["a"], "on_failure": "skip"}]
    b = bench(nodes, extra={"budget": 1.5})
    b.complete("a")
    b.claim("b")
    assert b.last.assignment is None
    assert (b.job, b.state("b"), b.task("b").attempt) == ("failed", "cancelled", 0)
    error = b.view.job().error
    assert (error.code, error.task) == ("budget_exceeded", "b")
    assert _extra(b) == {"cost": 1, "held": 0.0, "budget": 1.5}


def test_what_runs_at_the_same_time_counts_too(bench):
    """Three items of a map at 1 each fit into 3, the fourth does not; those that run are stopped."""
    node = {"name": "m", "kind": "map", "items": {"x": {"$param": "items"}}, "price": 1, "on_failure": "continue"}
    b = bench([node], params=PARAMS, values={"items": [1, 2, 3, 4]}, extra={"budget": 3})
    for index in range(3):
        b.claim("m", index)
    assert _extra(b)["held"] == 3
    b.claim("m", 3)
    assert b.view.job().closing == "failed"
    assert [b.state("m", index) for index in range(4)] == ["running", "running", "running", "cancelled"]
    b.complete("m", index=0)  # it arrived before the stop: accepted, and spent (R18)
    b.fail("m", 1)
    b.fail("m", 2)
    assert (b.job, _extra(b)["cost"], _extra(b)["held"]) == ("failed", 1, 0.0)


def test_a_retry_with_a_larger_budget_goes_on(bench):
    """The budget is of all generations together (R20)."""
    b = bench([{"name": "a", "price": 1}, {"name": "b", "price": 1, "after": ["a"]}], extra={"budget": 1})
    b.complete("a")
    b.claim("b")
    assert b.job == "failed"
    b.tell(f.RetryRequested(actor="anna"))
    b.claim("b")
    assert b.job == "failed"
    with pytest.raises(BudgetExceeded):
        b.tell(f.RetryRequested(budget=0.5, actor="anna"))
    b.tell(f.RetryRequested(budget=2, actor="anna"))
    assert b.view.events[-2].data["budget"] == 2
    b.complete("b")
    assert (b.job, _extra(b)["cost"]) == ("completed", 2)


def test_an_approval_may_set_the_budget(bench):
    b = bench([{"name": "a", "price": 1}], requires_approval=True)
    b.tell(f.JobApproved(budget=0.5, actor="anna"))
    b.claim("a")
    assert b.view.job().error.code == "budget_exceeded"


def test_a_price_per_megabyte_looks_at_the_files_of_the_run(bench):
    node = {"name": "a", "price": {"per_run": 1, "per_mb": 2}, "args": {"x": [{"$param": "file"}]}}
    b = bench([node], params=PARAMS, values={"file": FILE})
    b.complete("a")
    assert _extra(b)["cost"] == 6


def test_tenths_add_up(bench):
    """Ten times 0.1 is 1, not 0.9999999999999999."""
    node = {"name": "m", "kind": "map", "items": {"x": {"$param": "items"}}, "price": 0.1}
    b = bench([node], params=PARAMS, values={"items": list(range(10))}, extra={"budget": 1})
    for index in range(10):
        b.complete("m", index=index)
    assert (b.job, _extra(b)["cost"]) == ("completed", 1.0)


@pytest.mark.parametrize("price", [-1, "much", {"per_hour": 1}, {"per_mb": -2}])
def test_prices_that_cannot_be_are_refused(bench, price):
    with pytest.raises(InvalidGraph, match=r"price|per_hour|per_mb"):
        bench([{"name": "a", "price": price}])


def test_what_an_attempt_says_it_cost_counts_in_place_of_its_price(bench):
    """Also that of one that failed: whoever was paid keeps it. Nothing is held any more, and nothing begins beyond the budget."""
    b = bench(
        [{"name": "a", "price": 1}, {"name": "b", "after": ["a"]}, {"name": "c", "price": 1, "after": ["b"]}],
        extra={"budget": 3},
    )
    b.fail("a", price=0.5)
    b.sleep_until_due()
    b.complete("a", price=0.25)
    assert (b.view.job().extra["cost"], b.view.job().extra["held"]) == (0.75, 0)
    b.complete("b", price=2)
    assert [event.data["price"] for event in b.view.events if event.type == "task.completed"] == [0.25, 2]
    b.claim("c")
    assert b.view.job().error.code == "budget_exceeded"


HANDED_OVER = [{"name": "a", "price": 1}]


def _hands_over(bench, node=None, **more):
    b = bench([{**HANDED_OVER[0], **(node or {})}], extra={"budget": 3})
    run_id = b.claim("a")
    b.tell(f.RunWaiting(node="a", run_id=run_id, timeout_s=60, **more))
    return b, run_id


def _money(b):
    extra = b.view.job().extra
    return extra.get("cost", 0.0), extra.get("held", 0.0)


def test_what_was_spent_before_a_wait_is_the_price_when_the_callback_comes(bench):
    b, run_id = _hands_over(bench, price=0.4)
    assert _money(b) == (0, 0.4)
    b.tell(f.CallbackReceived(node="a", run_id=run_id, result=1))
    assert (b.job, _money(b)) == ("completed", (0.4, 0))
    assert next(event.data["price"] for event in b.view.events if event.type == "task.completed") == 0.4


def test_also_when_the_callback_was_faster(bench):
    b = bench(HANDED_OVER)
    run_id = b.claim("a")
    b.tell(f.CallbackReceived(node="a", run_id=run_id, result=1))
    b.tell(f.RunWaiting(node="a", run_id=run_id, timeout_s=60, price=0.4))
    assert (b.job, _money(b)) == ("completed", (0.4, 0))


def test_an_attempt_that_told_nothing_before_its_wait_costs_its_price(bench):
    b, run_id = _hands_over(bench)
    assert _money(b) == (0, 1)
    b.tell(f.CallbackReceived(node="a", run_id=run_id, result=1))
    assert _money(b) == (1, 0)


@pytest.mark.parametrize("end", ["error", "timeout", "cancel"])
def test_what_was_spent_before_a_wait_stays_spent_however_it_ends(bench, end):
    b, run_id = _hands_over(bench, {"retry": {"max_retries": 0}}, price=0.4)
    if end == "error":
        error = TaskError(code="task_failed", message="no luck")
        b.tell(f.CallbackReceived(node="a", run_id=run_id, error=error))
    elif end == "timeout":
        b.sleep_until_due()
    else:
        b.tell(f.CancelRequested(reason="enough"))
    assert (b.job, _money(b)) == ("cancelled" if end == "cancel" else "failed", (0.4, 0))
