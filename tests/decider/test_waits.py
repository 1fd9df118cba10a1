"""Approval nodes (R14), signals and callbacks (R22), rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
from tests.decider.conftest import START, Bench

from orpheus.core import facts as f
from orpheus.core.errors import InvalidParams, InvalidTransition, StaleRun, TaskError, UnknownSignal

MONTH_S = 30 * 86_400.0


def asking(**node: Any) -> list[dict[str, Any]]:
    """plan → review (an approval of its result) → cut, which needs what was approved."""
    return [
        {"name": "plan"},
        {"name": "review", "kind": "approval", "prompt": "Fine?", "args": {"value": {"$ref": "plan"}}, **node},
        {"name": "cut", "args": {"plan": {"$ref": "review"}}},
    ]


def at_review(bench: type[Bench], **node: Any) -> Bench:
    b = bench(asking(**node), output={"$optional": {"$ref": "cut"}})
    b.complete("plan", {"cuts": [1, 2]})
    return b


def approve(b: Bench, value: Any = None, *, edited: bool = False, comment: str = "") -> None:
    b.tell(f.TaskApproved(node="review", value=value, edited=edited, comment=comment, actor="ada"))


def reject(b: Bench, reason: str = "") -> None:
    b.tell(f.TaskRejected(node="review", reason=reason, actor="ada"))


# Approvals


def test_an_approval_waits_and_lets_the_value_through(bench: type[Bench]) -> None:
    b = at_review(bench)
    assert b.state("review") == "waiting"
    assert b.view.item_value("review", -1) == {"cuts": [1, 2]}
    assert b.task("review").wake_at == START + MONTH_S
    waiting = b.view.events[-1]
    assert (waiting.type, waiting.data["reason"], waiting.data["prompt"]) == ("task.waiting", "approval", "Fine?")

    approve(b, comment="go")
    b.claim("cut")
    assert b.args() == {"plan": {"cuts": [1, 2]}}
    decided = next(event for event in b.view.events if event.type == "task.completed" and event.task == "review")
    assert decided.actor == "ada"
    assert decided.data == {"decision": "approved", "edited": False, "comment": "go"}
    assert b.task("review").extra["decision"]["by"] == "ada"


def test_an_approval_alone_takes_the_job_to_running(bench: type[Bench]) -> None:
    b = bench([{"name": "review", "kind": "approval", "prompt": "Begin?"}])
    assert b.job == "running"
    approve(b)
    assert b.job == "completed"


def test_an_edited_value_goes_on(bench: type[Bench]) -> None:
    b = at_review(bench, editable=True)
    approve(b, {"cuts": [9]}, edited=True)
    b.claim("cut")
    assert b.args() == {"plan": {"cuts": [9]}}
    assert b.task("review").extra["decision"]["edited"] is True


def test_what_is_not_editable_may_be_sent_back_only_as_it_is(bench: type[Bench]) -> None:
    b = at_review(bench)
    with pytest.raises(InvalidParams) as refused:
        approve(b, {"cuts": []}, edited=True)
    assert refused.value.details[0]["path"] == "/value"
    approve(b, {"cuts": [1, 2]}, edited=True)
    assert b.task("review").extra["decision"]["edited"] is False


def test_a_decision_stands(bench: type[Bench]) -> None:
    b = at_review(bench, editable=True)
    approve(b, {"cuts": [9]}, edited=True)
    seq = b.view.job().last_seq
    approve(b)
    approve(b, {"cuts": [9]}, edited=True)
    assert b.view.job().last_seq == seq
    with pytest.raises(InvalidTransition):
        approve(b, {"cuts": [8]}, edited=True)
    with pytest.raises(InvalidTransition):
        reject(b)


def test_a_rejection_fails_the_job_and_stands(bench: type[Bench]) -> None:
    b = at_review(bench)
    reject(b, "too long")
    assert (b.state("review"), b.state("cut"), b.job) == ("failed", "cancelled", "failed")
    error = b.view.job().error
    assert error is not None
    assert (error.code, error.message, error.task) == ("rejected", "too long", "review")
    reject(b, "again")
    with pytest.raises(InvalidTransition):
        approve(b)


@pytest.mark.parametrize(("on_reject", "state"), [("skip", "skipped"), ("continue", "failed")])
@pytest.mark.parametrize("how", ["reject", "time"])
def test_on_reject_lets_the_job_go_on(bench: type[Bench], on_reject: str, state: str, how: str) -> None:
    b = at_review(bench, on_reject=on_reject, timeout_s=60)
    if how == "reject":
        reject(b)
    else:
        b.sleep_until_due()
    assert (b.state("review"), b.state("cut"), b.job) == (state, "skipped", "completed")
    error = b.task("review").error
    assert error is not None
    assert error.code == ("rejected" if how == "reject" else "timeout_approval")


def test_on_failure_still_judges_what_is_no_decision(bench: type[Bench]) -> None:
    """`on_reject` is about decisions: a value that cannot be made is a failure like any other."""
    nodes = asking(on_reject="skip")
    nodes[1]["args"] = {"value": {"$get": [{"$ref": "plan"}, "nothing"]}}
    b = bench(nodes)
    b.complete("plan", {})
    error = b.view.job().error
    assert error is not None
    assert (b.job, error.code) == ("failed", "binding_failed")


def test_silence_fails_the_node(bench: type[Bench]) -> None:
    b = at_review(bench, timeout_s=60)
    b.now += 59
    b.wake()
    assert b.state("review") == "waiting"
    b.sleep_until_due()
    error = b.view.job().error
    assert error is not None
    assert (b.job, error.code) == ("failed", "timeout_approval")
    with pytest.raises(InvalidTransition):
        approve(b)


def test_a_false_condition_lets_the_value_pass(bench: type[Bench]) -> None:
    b = at_review(bench, when={"$eq": [1, 2]})
    assert b.state("review") == "completed"
    b.claim("cut")
    assert b.args() == {"plan": {"cuts": [1, 2]}}
    with pytest.raises(InvalidTransition):
        reject(b)


def test_a_missing_value_skips_even_where_nobody_is_asked(bench: type[Bench]) -> None:
    nodes = [
        {"name": "plan", "when": {"$eq": [1, 2]}},
        {"name": "review", "kind": "approval", "args": {"value": {"$ref": "plan"}}, "when": {"$eq": [1, 2]}},
    ]
    b = bench(nodes)
    assert (b.state("review"), b.job) == ("skipped", "completed")


def test_a_rewound_approval_asks_again(bench: type[Bench]) -> None:
    b = at_review(bench)
    approve(b)
    b.tell(f.RetryRequested(from_task="plan"))
    b.complete("plan", {"cuts": [3]})
    assert (b.state("review"), b.view.item_value("review", -1)) == ("waiting", {"cuts": [3]})
    assert "decision" not in b.task("review").extra
    approve(b)
    b.complete("cut", 1)
    assert b.job == "completed"


def test_a_retry_of_a_rejected_job_asks_again(bench: type[Bench]) -> None:
    b = at_review(bench)
    reject(b)
    b.tell(f.RetryRequested())
    assert (b.state("plan"), b.state("review")) == ("completed", "waiting")
    approve(b)
    b.complete("cut", 1)
    assert b.job == "completed"


def test_a_retry_leaves_a_rejection_that_the_job_went_on_after(bench: type[Bench]) -> None:
    nodes = [*asking(on_reject="continue"), {"name": "other", "retry": {"max_retries": 0}}]
    b = bench(nodes)
    b.complete("plan", {})
    reject(b)
    b.fail("other")
    assert b.job == "failed"
    b.tell(f.RetryRequested())
    assert b.state("review") == "failed"


def test_a_pause_does_not_stop_decisions_and_a_cancel_does(bench: type[Bench]) -> None:
    b = at_review(bench)
    b.tell(f.PauseRequested())
    approve(b)
    assert b.state("review") == "completed"
    b = at_review(bench)
    b.tell(f.CancelRequested())
    assert (b.state("review"), b.job) == ("cancelled", "cancelled")
    with pytest.raises(InvalidTransition):
        approve(b)


def test_only_approvals_are_approved(bench: type[Bench]) -> None:
    b = bench([{"name": "review"}])
    with pytest.raises(InvalidTransition):
        approve(b)


# Signals


def waits(*names: str, signal: str = "go", **node: Any) -> list[dict[str, Any]]:
    return [{"name": name, "kind": "wait_for", "signal": signal, **node} for name in names]


def send(b: Bench, payload: Any = None, name: str = "go", signal_id: str | None = None) -> None:
    b.tell(f.SignalReceived(name=name, payload=payload, signal_id=signal_id, actor="ada"))


def test_a_signal_completes_the_node_that_waits(bench: type[Bench]) -> None:
    b = bench(waits("gate"), output={"$ref": "gate"})
    assert (b.state("gate"), b.job) == ("waiting", "running")
    send(b, {"price": 3})
    assert (b.job, b.view.job_result) == ("completed", {"price": 3})
    received = next(event for event in b.view.events if event.type == "signal.received")
    assert (received.actor, received.data) == ("ada", {"name": "go", "number": 1})


def test_an_early_signal_is_not_lost(bench: type[Bench]) -> None:
    b = bench([{"name": "first"}, *waits("gate", after=["first"])], output={"$ref": "gate"})
    send(b, "early")
    assert b.state("gate") == "blocked"
    b.complete("first")
    assert (b.job, b.view.job_result) == ("completed", "early")


def test_a_signal_waits_for_a_job_that_is_not_approved_yet(bench: type[Bench]) -> None:
    b = bench(waits("gate"), output={"$ref": "gate"}, requires_approval=True)
    send(b, 1)
    b.tell(f.JobApproved())
    assert (b.job, b.view.job_result) == ("completed", 1)


def test_signals_are_taken_in_order_by_the_nodes_in_order(bench: type[Bench]) -> None:
    """Also where one decision opens both nodes."""
    b = bench([{"name": "first"}, *waits("one", "two", after=["first"])], output=[{"$ref": "one"}, {"$ref": "two"}])
    for payload in ("a", "b", "c"):
        send(b, payload)
    b.complete("first")
    assert b.view.job_result == ["a", "b"]
    assert list(b.view.taken) == [1, 2]


def test_who_waits_longest_is_served_first(bench: type[Bench]) -> None:
    nodes = [{"name": "first"}, *waits("late", after=["first"]), *waits("early")]
    b = bench(nodes, output=[{"$ref": "late"}, {"$ref": "early"}])
    b.now += 1
    b.complete("first")
    send(b, 1)
    send(b, 2)
    assert b.view.job_result == [2, 1]


def test_the_same_signal_id_is_the_same_signal(bench: type[Bench]) -> None:
    b = bench([*waits("gate"), *waits("other", signal="stop")], output={"$ref": "gate"})
    send(b, 1, signal_id="s-1")
    seq = b.view.job().last_seq
    send(b, 2, signal_id="s-1")
    assert b.view.job().last_seq == seq
    send(b, 3, name="stop", signal_id="s-1")  # of another name: another signal
    assert b.job == "completed"
    send(b, 1, signal_id="s-1")  # in effect already, though the job has ended
    with pytest.raises(InvalidTransition):
        send(b, 1, signal_id="s-2")


def test_unknown_names_are_refused(bench: type[Bench]) -> None:
    b = bench(waits("gate", signal="payment"))
    with pytest.raises(UnknownSignal) as refused:
        send(b, name="paymnet")
    assert "payment" in refused.value.hint


def test_a_wait_for_ends(bench: type[Bench]) -> None:
    b = bench(waits("gate", timeout_s=5))
    b.sleep_until_due()
    error = b.view.job().error
    assert error is not None
    assert (b.job, error.code) == ("failed", "timeout_signal")


def test_what_was_taken_stays_taken_when_the_job_is_rewound(bench: type[Bench]) -> None:
    b = bench([*waits("gate"), {"name": "after", "args": {"x": {"$ref": "gate"}}}])
    send(b, 1)
    send(b, 2)
    b.tell(f.RetryRequested(from_task="gate"))
    b.claim("after")
    assert b.args() == {"x": 2}
    b.tell(f.RetryRequested(from_task="gate"))
    assert b.state("gate") == "waiting"


# Callbacks


def handed_over(bench: type[Bench], **node: Any) -> tuple[Bench, str]:
    b = bench([{"name": "ask", **node}], output={"$ref": "ask"})
    return b, b.claim("ask")


def wait(b: Bench, run_id: str, timeout_s: float = 60, **more: Any) -> None:
    b.tell(f.RunWaiting(node="ask", run_id=run_id, timeout_s=timeout_s, **more))


def call_back(b: Bench, run_id: str, result: Any = None, error: TaskError | None = None) -> None:
    b.tell(f.CallbackReceived(node="ask", run_id=run_id, result=result, error=error))


def failure(*, final: bool = False) -> TaskError:
    return TaskError(code="task_failed", message="no luck", retryable=not final)


def test_a_callback_brings_the_result(bench: type[Bench]) -> None:
    b, run_id = handed_over(bench)
    wait(b, run_id)
    assert (b.state("ask"), b.view.job().runs_active) == ("waiting", 0)
    call_back(b, run_id, {"n": 1})
    assert (b.job, b.view.job_result) == ("completed", {"n": 1})


def test_a_callback_may_be_faster_than_the_worker(bench: type[Bench]) -> None:
    b, run_id = handed_over(bench)
    call_back(b, run_id, 1)
    assert b.state("ask") == "running"
    wait(b, run_id)
    assert (b.job, b.view.job_result) == ("completed", 1)


def test_the_first_callback_counts(bench: type[Bench]) -> None:
    b, run_id = handed_over(bench)
    call_back(b, run_id, 1)
    call_back(b, run_id, 2)
    wait(b, run_id)
    call_back(b, run_id, 3)
    assert b.view.job_result == 1


def test_a_result_of_the_handler_itself_is_the_result(bench: type[Bench]) -> None:
    b, run_id = handed_over(bench)
    call_back(b, run_id, "unused")
    b.complete("ask", "own")
    assert b.view.job_result == "own"


def test_an_error_retries_with_another_run_unless_it_is_final(bench: type[Bench]) -> None:
    b, run_id = handed_over(bench)
    wait(b, run_id)
    call_back(b, run_id, error=failure())
    assert b.state("ask") == "retrying"
    b.sleep_until_due()
    second = b.claim("ask")
    with pytest.raises(StaleRun):
        b.tell(f.RunWaiting(node="ask", run_id=run_id, timeout_s=1))
    wait(b, second)
    call_back(b, second, error=failure(final=True))
    assert b.job == "failed"


def test_the_end_of_the_wait_costs_an_attempt(bench: type[Bench]) -> None:
    b, run_id = handed_over(bench, retry={"max_retries": 1})
    wait(b, run_id)
    b.sleep_until_due()
    assert b.state("ask") == "retrying"
    error = b.task("ask").error
    assert error is not None
    assert error.code == "timeout_callback"
    with pytest.raises(StaleRun):
        call_back(b, run_id, 1)


def test_schedule_to_close_spans_the_wait(bench: type[Bench]) -> None:
    b, run_id = handed_over(bench, timeouts={"schedule_to_close_s": 10})
    wait(b, run_id)
    b.sleep_until_due()
    assert b.now == START + 10
    error = b.view.job().error
    assert error is not None
    assert error.code == "timeout_schedule_to_close"


@pytest.mark.parametrize("order", ["cancel", "rewind"])
def test_cancel_and_rewind_fence_the_token(bench: type[Bench], order: str) -> None:
    b, run_id = handed_over(bench)
    wait(b, run_id)
    b.tell(f.CancelRequested() if order == "cancel" else f.RetryRequested(from_task="ask"))
    with pytest.raises(StaleRun):
        call_back(b, run_id, 1)


def test_a_cancel_that_comes_before_the_report_ends_the_run(bench: type[Bench]) -> None:
    b, run_id = handed_over(bench)
    b.tell(f.CancelRequested())
    wait(b, run_id)
    assert b.job == "cancelled"


def test_a_result_that_came_before_the_cancel_is_accepted(bench: type[Bench]) -> None:
    """As a completion that arrives while the job closes (R18)."""
    b, run_id = handed_over(bench)
    call_back(b, run_id, 1)
    b.tell(f.CancelRequested())
    wait(b, run_id)
    assert (b.state("ask"), b.job) == ("completed", "cancelled")


def test_files_saved_before_the_wait_belong_to_the_result(bench: type[Bench]) -> None:
    b, run_id = handed_over(bench)
    ref = f.ArtifactRef(name="a.txt", key="k", sha256="0" * 64, size_bytes=1, content_type="text/plain")
    wait(b, run_id, artifacts=(ref,))
    assert b.view.artifacts() == {}
    call_back(b, run_id, 1)
    assert list(b.view.artifacts()) == ["a.txt"]


def test_files_of_a_failed_wait_are_not_of_the_next_attempt(bench: type[Bench]) -> None:
    b, run_id = handed_over(bench)
    ref = f.ArtifactRef(name="a.txt", key="k", sha256="0" * 64, size_bytes=1, content_type="text/plain")
    wait(b, run_id, artifacts=(ref,))
    call_back(b, run_id, error=failure())
    b.sleep_until_due()
    second = b.claim("ask")
    wait(b, second)
    call_back(b, second, 1)
    assert b.view.artifacts() == {}


def test_items_of_a_map_wait_apart(bench: type[Bench]) -> None:
    b = bench([{"name": "ask", "kind": "map", "items": {"x": [1, 2]}}], output={"$ref": "ask"})
    first, second = b.claim("ask", 0), b.claim("ask", 1)
    b.tell(f.RunWaiting(node="ask", index=0, run_id=first, timeout_s=9))
    b.tell(f.RunWaiting(node="ask", index=1, run_id=second, timeout_s=9))
    b.tell(f.CallbackReceived(node="ask", index=1, run_id=second, result="b"))
    b.tell(f.CallbackReceived(node="ask", index=0, run_id=first, result="a"))
    assert b.view.job_result == ["a", "b"]


# With what else a job does


def test_an_undo_may_hand_over_too(bench: type[Bench]) -> None:
    """The end of the job does not end its undo (R19), also while that waits for another system."""
    b = bench([{"name": "a", "undo": "unwork"}, {"name": "c", "after": ["a"], "retry": {"max_retries": 0}}])
    b.complete("a")
    b.fail("c")
    run_id = b.claim("a:undo")
    b.tell(f.RunWaiting(node="a:undo", run_id=run_id, timeout_s=9))
    assert (b.state("a:undo"), b.job) == ("waiting", "running")
    b.tell(f.CallbackReceived(node="a:undo", run_id=run_id, result=None))
    assert (b.state("a:undo"), b.job) == ("completed", "failed")


@pytest.mark.parametrize("when", ["handed over", "cancelled before the report", "timed out"])
def test_what_was_handed_over_may_have_happened(bench: type[Bench], when: str) -> None:
    """R19: its outcome is unknown, and a task that says so is undone."""
    b = bench([{"name": "ask", "undo": "unwork", "undo_unknown": True, "retry": {"max_retries": 0}}])
    run_id = b.claim("ask")
    if when == "cancelled before the report":
        b.tell(f.CancelRequested())
        wait(b, run_id)
    else:
        wait(b, run_id)
        if when == "timed out":
            b.sleep_until_due()
        else:
            b.tell(f.CancelRequested())
    assert b.ready() == ["ask:undo"]
