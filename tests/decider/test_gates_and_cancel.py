"""What holds a job back and what stops it: time, approval, dependencies, pause, cancel (R15, R16, R18, R26)."""

import pytest

from orpheus.core import facts as f
from orpheus.core.decision import CancelRun, Finalise
from orpheus.core.errors import InvalidTransition

A = [{"name": "a"}]


def test_a_delayed_job_waits_for_its_time(bench):
    """Waking it early only sets the clock again."""
    b = bench(A, run_at=1060.0)
    b.tell(f.JobWoken())
    assert (b.job, b.ready(), b.view.next_wake()) == ("pending", [], 1060)
    b.sleep_until_due()
    assert (b.job, b.ready()) == ("queued", ["a"])


def test_approval_may_edit_the_params(bench):
    """A job that needs approval stays pending; approving twice changes nothing (R15)."""
    b = bench(
        [{"name": "a", "args": {"n": {"$param": "n"}}}], params={"n": {}}, values={"n": 1}, requires_approval=True
    )
    assert b.job == "pending"
    b.tell(f.JobApproved(params={"n": 2}, comment="ok", actor="ann"))
    seq = b.view.job().last_seq
    b.tell(f.JobApproved())
    b.tell(f.JobApproved(params={"n": 2}, comment="once more"))
    for other in (f.JobApproved(params={"n": 3}), f.JobApproved(budget=1.0)):
        with pytest.raises(InvalidTransition, match="already"):  # not silently dropped
            b.tell(other)
    assert (b.job, b.view.job().last_seq) == ("queued", seq)
    b.claim("a")
    assert b.args() == {"n": 2}
    assert [(e.actor, e.data["comment"]) for e in b.view.events if e.type == "job.approved"] == [("ann", "ok")]


def test_rejected_is_cancelled_with_the_reason(bench):
    """And is never revived by a retry (R15)."""
    b = bench(A, requires_approval=True)
    b.tell(f.JobRejected(reason="too dear"))
    error = b.view.job().error
    assert (b.job, error.code, error.message, b.state("a")) == ("cancelled", "rejected", "too dear", "cancelled")
    for fact in (f.JobApproved(), f.RetryRequested()):
        with pytest.raises(InvalidTransition):
            b.tell(fact)
    b.tell(f.JobRejected())  # in effect already


def test_all_gates_must_open(bench):
    """Approval, time and every dependency: in any order, the job leaves pending with the last."""
    b = bench(A, requires_approval=True, run_at=1010.0, dependencies=(("x", "success"), ("y", "end")))
    b.tell(f.DependencySettled(job_id="x", ok=True))
    b.sleep_until_due()
    b.tell(f.JobApproved())
    assert b.job == "pending"
    b.tell(f.DependencySettled(job_id="y", ok=True))
    assert b.job == "queued"


def test_a_broken_dependency_cancels(bench):
    """dependency_failed, and a retry is refused (R15, R20a)."""
    b = bench(A, dependencies=(("x", "success"),))
    b.tell(f.DependencySettled(job_id="x", ok=False))
    assert (b.job, b.view.job().error.code) == ("cancelled", "dependency_failed")
    with pytest.raises(InvalidTransition):
        b.tell(f.RetryRequested())
    late = bench(A, failed_dependency="x")
    assert (late.job, late.view.job().error.code) == ("cancelled", "dependency_failed")


def test_cancel_of_idle_work_is_immediate(bench):
    """No attempt runs, so the job is cancelled in the same transaction; again changes nothing (R18)."""
    b = bench([*A, {"name": "b", "after": ["a"]}])
    b.tell(f.CancelRequested(reason="changed my mind", actor="ann"))
    seq = b.view.job().last_seq
    assert (b.job, b.state("a"), b.state("b"), b.view.job().error.message) == (
        "cancelled",
        "cancelled",
        "cancelled",
        "changed my mind",
    )
    b.tell(f.CancelRequested())
    assert b.view.job().last_seq == seq


def test_cancel_of_running_work_is_two_facts(bench):
    """Told, given a grace, then fenced; only then is the job cancelled (R18)."""
    b = bench([*A, {"name": "b", "after": ["a"]}])
    run = b.claim("a")
    b.tell(f.CancelRequested())
    assert (b.job, b.view.job().cancel_requested_at, b.commanded(CancelRun)) == (
        "running",
        b.now,
        [CancelRun(run, "cancelled on request")],
    )
    b.tell(f.RunFenced(node="a", run_id=run))
    assert (b.job, b.state("a")) == ("cancelled", "cancelled")


@pytest.mark.parametrize("how", ["completed", "failed", "lost", "returned", "stopped"])
def test_once_a_cancel_is_committed_the_job_ends_cancelled(bench, how):
    """Whatever the run still says; a completion is accepted and starts no successor (R18)."""
    b = bench([*A, {"name": "b", "after": ["a"]}])
    run = b.claim("a")
    b.tell(f.CancelRequested())
    if how == "completed":
        b.complete("a", 1)
    elif how == "lost":
        b.tell(f.RunLost(node="a", run_id=run))
    elif how == "returned":
        b.tell(f.RunReturned(node="a", run_id=run))
    else:
        b.fail("a", cancelled=how == "stopped")
    assert (b.job, b.state("a"), b.state("b")) == (
        "cancelled",
        "completed" if how == "completed" else "cancelled",
        "cancelled",
    )


def test_a_terminal_state_stays(bench):
    """A cancel after the end is refused and changes nothing (R18)."""
    b = bench(A)
    b.complete("a")
    for fact in (
        f.CancelRequested(),
        f.PauseRequested(),
        f.ResumeRequested(),
        f.RetryRequested(),
        f.JobApproved(),
        f.JobRejected(),
    ):
        with pytest.raises(InvalidTransition):
            b.tell(fact)
    assert b.job == "completed"


def test_a_cancel_during_the_manifest_wins(bench):
    """R18a: the manifest is written anew, the older `Finalised` is ignored, the result is withdrawn."""
    b = bench(A, has_files=True)
    b.complete("a", 1)
    assert str(b.view.job().closing) == "completed"
    b.tell(f.CancelRequested())
    assert [c.outcome for c in b.commanded(Finalise)] == ["completed", "cancelled"]
    b.tell(f.Finalised(outcome="completed", generation=1))
    assert b.job == "running"
    b.tell(f.Finalised(outcome="cancelled", generation=1))
    assert (b.job, b.view.job_result) == ("cancelled", None)


def test_pause_stops_claims_only(bench):
    """Running attempts finish, successors become ready, nothing is claimed; cancel works (R26)."""
    b = bench([*A, {"name": "b", "after": ["a"]}])
    b.claim("a")
    b.tell(f.PauseRequested())
    b.tell(f.PauseRequested())
    b.complete("a")
    assert (b.view.job().paused, b.ready(), b.types.count("job.paused")) == (True, ["b"], 1)
    with pytest.raises(InvalidTransition):
        b.claim("b")
    b.tell(f.ResumeRequested())
    b.claim("b")
