"""Failures: retries, time limits, lost workers, what a failure means to the rest (R5, R8, R9, R12, R17)."""

import pytest

from orpheus.core import facts as f
from orpheus.core.decision import CancelRun, ForgetRun
from orpheus.core.errors import InvalidTransition, StaleRun

REF = lambda name: {"$ref": name}  # noqa: E731


def test_three_retries_are_four_attempts(bench):
    """Waits of 1, 2 and 4 s, then the end (R5, R17)."""
    b = bench([{"name": "a"}])
    waits = []
    for attempt in (1, 2, 3):
        b.fail("a")
        assert (b.state("a"), b.task("a").attempt) == ("retrying", attempt)
        waits.append(b.view.next_wake() - b.now)
        b.sleep_until_due()
    b.fail("a")
    assert waits == [1, 2, 4]
    assert (b.job, b.task("a").attempt, b.view.job().error.code) == ("failed", 4, "task_failed")
    assert b.types.count("task.retrying") == 3


def test_retry_after_sets_the_wait(bench):
    """R17."""
    b = bench([{"name": "a"}])
    b.fail("a", retry_after_s=33)
    assert b.view.next_wake() == b.now + 33


@pytest.mark.parametrize("how", ["permanent", "listed"])
def test_final_errors_do_not_retry(bench, how):
    """Permanent, and the types a task lists as final (R17)."""
    b = bench([{"name": "a", "retry": {"final_errors": ["OSError"]} if how == "listed" else {}}])
    b.fail("a", retryable=how == "listed")
    assert b.job == "failed"


def test_heartbeat_details_reach_the_next_attempt(bench):
    """R17."""
    b = bench([{"name": "a"}])
    run = b.claim("a")
    b.tell(f.RunProgressed(node="a", run_id=run, heartbeat={"page": 7}))
    b.fail("a")
    b.sleep_until_due()
    assert b.task("a").heartbeat == {"page": 7}


def test_a_lost_worker_costs_one_attempt(bench):
    """So a file that kills its worker ends as failed (R9); a late report is stale (R6)."""
    b = bench([{"name": "a", "retry": {"max_retries": 1}}])
    run = b.claim("a")
    b.tell(f.RunLost(node="a", run_id=run))
    assert (b.state("a"), b.task("a").attempt, b.task("a").error.code) == ("retrying", 1, "worker_lost")
    assert ForgetRun(run) in b.commands
    with pytest.raises(StaleRun):
        b.tell(f.RunCompleted(node="a", run_id=run))
    b.sleep_until_due()
    b.tell(f.RunLost(node="a", run_id=b.claim("a")))
    assert (b.job, b.view.job().error.code) == ("failed", "worker_lost")
    assert b.types.count("task.rescued") == 2


def test_a_grant_that_never_arrived_costs_nothing(bench):
    """Back to ready, same attempt number next time, another run_id (R8)."""
    b = bench([{"name": "a"}])
    first = b.claim("a")
    b.tell(f.RunReturned(node="a", run_id=first))
    assert (b.state("a"), b.task("a").attempt, b.view.job().runs_active) == ("ready", 0, 0)
    second = b.claim("a")
    assert (b.task("a").attempt, second != first) == (1, True)
    with pytest.raises(StaleRun):
        b.tell(f.RunCompleted(node="a", run_id=first))


def test_schedule_to_start_ends_a_task_that_no_worker_takes(bench):
    """Final: waiting longer would not be retried."""
    b = bench([{"name": "a", "timeouts": {"schedule_to_start_s": 5}}])
    b.sleep_until_due()
    assert (b.now, b.job, b.view.job().error.code) == (1005, "failed", "timeout_schedule_to_start")


def test_schedule_to_close_spans_all_attempts(bench):
    """It begins at the first ready and a retry does not renew it (R5)."""
    b = bench([{"name": "a", "timeouts": {"schedule_to_close_s": 2.5}}])
    b.fail("a")
    b.sleep_until_due()
    assert b.now == 1001
    b.fail("a")  # the next attempt would be due at 1003, the limit is 1002.5
    b.sleep_until_due()
    assert (b.now, b.view.job().error.code) == (1002.5, "timeout_schedule_to_close")


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("timeout_start_to_close", "retrying"),
        ("timeout_heartbeat", "retrying"),
        ("timeout_schedule_to_close", "failed"),
    ],
)
def test_limits_of_an_attempt(bench, code, state):
    """The two limits of one attempt are retried, the one of all attempts is not."""
    b = bench([{"name": "a", "timeouts": {"start_to_close_s": 1, "heartbeat_s": 1, "schedule_to_close_s": 9}}])
    run = b.claim("a")
    b.tell(f.RunTimedOut(node="a", run_id=run, code=code))
    assert (b.state("a"), b.task("a").error.code) == (state, code)
    assert ForgetRun(run) in b.commands


def test_the_jobs_own_limit(bench):
    """timeout_s starts when the job leaves pending; the job is failed with job_timeout (R5)."""
    b = bench([{"name": "a"}], timeout_s=10, run_at=1100.0)
    assert (b.job, b.view.next_wake()) == ("pending", 1100)
    b.sleep_until_due()
    run = b.claim("a")
    b.sleep_until_due()
    assert (b.now, b.job, str(b.view.job().closing)) == (1110, "running", "failed")
    assert [c.run_id for c in b.commanded(CancelRun)] == [run]
    b.tell(f.RunFailed(node="a", run_id=run, error=b.view.job().error, cancelled=True))
    assert (b.job, b.view.job().error.code, b.state("a")) == ("failed", "job_timeout", "cancelled")


def test_a_failure_stops_the_other_branches(bench):
    """The first final failure decides the end; what runs is told, what is idle ends at once (R3a)."""
    b = bench([{"name": "a", "retry": {"max_retries": 0}}, {"name": "b"}, {"name": "c"}, {"name": "d", "after": ["c"]}])
    run = b.claim("b")
    b.fail("a")
    assert (b.job, b.state("c"), b.state("d"), b.state("b")) == ("running", "cancelled", "cancelled", "running")
    b.complete("b", 5)  # accepted, starts nothing (R18)
    assert (b.job, b.state("b"), b.view.result("b")) == ("failed", "completed", 5)
    with pytest.raises(StaleRun):
        b.tell(f.RunFenced(node="b", run_id=run))


def test_on_failure_skip_and_continue(bench):
    """skip counts as skipped; continue leaves the task failed; in both what needs the value is skipped (R12a)."""
    b = bench(
        [
            {"name": "a", "retry": {"max_retries": 0}, "on_failure": "skip"},
            {"name": "b", "retry": {"max_retries": 0}, "on_failure": "continue"},
            {"name": "needs_a", "args": {"x": REF("a")}},
            {"name": "needs_b", "args": {"x": REF("b")}},
            {
                "name": "either",
                "args": {"x": {"$optional": REF("a")}, "y": {"$optional": REF("b")}},
                "after": ["a", "b"],
            },
        ]
    )
    b.fail("a")
    b.fail("b")
    assert [b.state(n) for n in ("a", "b", "needs_a", "needs_b", "either")] == [
        "skipped",
        "failed",
        "skipped",
        "skipped",
        "ready",
    ]
    b.complete("either")
    assert b.job == "completed"


def test_a_fence_needs_a_cancel(bench):
    """Nobody may fence a run of a job that goes on."""
    b = bench([{"name": "a"}])
    run = b.claim("a")
    with pytest.raises(InvalidTransition):
        b.tell(f.RunFenced(node="a", run_id=run))


def test_a_concurrency_key_is_bound_when_the_task_is_ready(bench):
    """It may hold references, and belongs to the tenant."""
    b = bench([{"name": "a"}, {"name": "b", "args": {}, "concurrency_key": REF("a"), "after": ["a"]}])
    b.complete("a", "gpu-1")
    assert b.task("b").concurrency_key == "t/gpu-1"
