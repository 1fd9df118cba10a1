"""Compensation, rule by rule: R18, R19, R20."""

from __future__ import annotations

from typing import Any

import pytest

from orpheus.core import facts as f
from orpheus.core.decision import CancelRun, StartChild, TellJob
from orpheus.core.errors import InvalidTransition

UNDO = {"undo": "unwork", "undo_options": {"retry": {"max_retries": 1, "jitter": 0}}}


def node(name: str, *after: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "after": list(after), "retry": {"max_retries": 0}, **UNDO, **more}


def undone(b: Any) -> list[Any]:
    """What was compensated, in order."""
    return [
        event.task if event.index is None else (event.task, event.index)
        for event in b.view.events
        if event.type == "task.compensated"
    ]


def undo_all(b: Any) -> None:
    while ready := b.ready():
        [one] = ready
        b.complete(
            *([one] if isinstance(one, str) else [one[0]]), **({} if isinstance(one, str) else {"index": one[1]})
        )


def broken(bench: Any) -> Any:
    """`a` and then `b` have completed; `c` has failed the job."""
    b = bench([node("a"), node("b", "a"), node("c", "b", undo=None, undo_options={})])
    b.complete("a", {"page": 1})
    b.complete("b")
    b.fail("c")
    return b


def test_a_job_that_fails_undoes_what_completed_in_reverse(bench):
    """One undo at a time; each gets the result of what it undoes; then the job ends as it had to."""
    b = broken(bench)
    assert (b.job, b.ready()) == ("running", ["b:undo"])
    assert b.view.job().current_stage == "b:undo"
    b.complete("b:undo")
    b.claim("a:undo")
    assert b.args() == {"result": {"page": 1}}
    assert b.task("a:undo").handler == "unwork@1"
    b.complete("a:undo")
    assert (b.job, undone(b), b.view.job().error.code) == ("failed", ["b", "a"], "task_failed")
    assert b.task("a").extra["compensated"] and b.state("a") == "completed"
    assert b.types[-2:] == ["task.compensated", "job.failed"]


def test_a_job_that_never_began_has_nothing_to_undo(bench):
    """Cancelled at its submission by a dependency that failed."""
    b = bench([node("a")], failed_dependency="job-0")
    assert (b.job, b.ready()) == ("cancelled", [])


def test_a_job_that_completes_undoes_nothing(bench):
    b = bench([node("a")])
    b.complete("a")
    assert (b.job, b.ready(), undone(b)) == ("completed", [], [])


def test_a_cancelled_job_undoes_too_once_all_runs_have_stopped(bench):
    """R18: a completion that arrives in between counts; the job ends cancelled."""
    b = bench([node("a"), node("b")])
    b.complete("a")
    b.claim("b")
    b.tell(f.CancelRequested(reason="enough"))
    assert b.ready() == []
    b.complete("b", "late")
    assert b.ready() == ["b:undo"]
    undo_all(b)
    assert (b.job, undone(b)) == ("cancelled", ["b", "a"])


def test_cancel_does_not_stop_the_compensation(bench):
    """R19: a failing job that is cancelled meanwhile goes on undoing, and ends cancelled."""
    b = broken(bench)
    run_id = b.claim("b:undo")
    b.tell(f.CancelRequested())
    assert [c for c in b.commanded(CancelRun) if c.run_id == run_id] == []
    with pytest.raises(InvalidTransition):
        b.tell(f.RunFenced(node="b:undo", run_id=run_id))
    b.complete("b:undo")
    undo_all(b)
    assert (b.job, undone(b)) == ("cancelled", ["b", "a"])


def test_an_undo_has_its_own_retries(bench):
    b = broken(bench)
    b.fail("b:undo")
    assert b.state("b:undo") == "retrying"
    b.sleep_until_due()
    b.complete("b:undo")
    assert undone(b) == ["b"]


def test_an_undo_may_be_lost_returned_and_report_progress(bench):
    b = broken(bench)
    run_id = b.claim("b:undo")
    b.tell(f.RunProgressed(node="b:undo", run_id=run_id, fraction=0.5, stage="half"))
    b.tell(f.RunReturned(node="b:undo", run_id=run_id))
    assert b.ready() == ["b:undo"]
    run_id = b.claim("b:undo")
    b.tell(f.RunLost(node="b:undo", run_id=run_id))
    b.sleep_until_due()
    undo_all(b)
    assert (b.job, undone(b)) == ("failed", ["b", "a"])


def test_a_failed_undo_fails_the_job_and_a_retry_goes_on_there(bench):
    """`compensation_failed` is visible and retryable; what was undone is not undone again."""
    b = broken(bench)
    b.complete("b:undo")
    b.fail("a:undo", retryable=False)
    error = b.view.job().error
    assert (b.job, error.code, error.retryable, error.task) == ("failed", "compensation_failed", True, "a:undo")
    assert error.details["error"]["task"] == "c" and "it broke" in error.message
    with pytest.raises(InvalidTransition, match="partly undone"):
        b.tell(f.RetryRequested(from_task="a"))
    b.tell(f.RetryRequested())
    assert (b.job, b.ready(), b.view.job().generation, b.task("a:undo").generation) == ("queued", ["a:undo"], 2, 2)
    b.complete("a:undo")
    assert (b.job, undone(b), b.view.job().error.code) == ("failed", ["b", "a"], "task_failed")


def test_a_cancelled_job_whose_undo_fails_ends_failed(bench):
    """R18: cancelled, or failed with `compensation_failed`; the retry ends it as cancelled."""
    b = bench([node("a"), node("b", "a")])
    b.complete("a")
    b.tell(f.CancelRequested())
    b.fail("a:undo", retryable=False)
    assert (b.job, b.view.job().error.code) == ("failed", "compensation_failed")
    b.tell(f.RetryRequested())
    b.complete("a:undo")
    assert (b.job, b.view.job().error.code) == ("cancelled", "cancelled")


def test_a_retry_after_compensation_runs_again_what_was_undone(bench):
    """R20: its effect is gone, so it is not done; the new generation is undone anew when it fails as well."""
    b = broken(bench)
    undo_all(b)
    b.tell(f.RetryRequested())
    assert (b.ready(), b.view.task("a:undo")) == (["a"], None)
    for name in ("a", "b"):
        b.complete(name)
    b.fail("c")
    undo_all(b)
    assert (b.job, undone(b)) == ("failed", ["b", "a", "b", "a"])
    assert b.task("a:undo").generation == 2
    b.tell(f.RetryRequested())
    for name in ("a", "b", "c"):
        b.complete(name)
    assert (b.job, undone(b)) == ("completed", ["b", "a", "b", "a"])


def test_what_a_retry_keeps_is_undone_when_the_new_generation_fails(bench):
    """Finished work of an earlier generation counts, if it was not undone (a rewind of a completed job)."""
    b = bench([node("a"), node("b", undo=None, undo_options={})])
    b.complete("a")
    b.complete("b")
    b.tell(f.RetryRequested(from_task="b"))
    b.fail("b")
    undo_all(b)
    assert undone(b) == ["a"]


def test_map_items_are_undone_from_the_last(bench):
    """Each item by itself, with its own result; a retry runs again the items that were undone."""
    b = bench(
        [
            {"name": "m", "kind": "map", "items": {"x": [1, 2, 3]}, "on_failure": "continue", "retry": {"max_retries": 0}, **UNDO},
            {"name": "z", "after": ["m"], "retry": {"max_retries": 0}},
        ]
    )  # fmt: skip
    b.complete("m", "r0", index=0)
    b.fail("m", 1)
    b.complete("m", "r2", index=2)
    b.fail("z")
    assert b.ready() == [("m:undo", 2)]
    b.claim("m:undo", 2)
    assert b.args() == {"result": "r2"}
    b.complete("m:undo", index=2)
    undo_all(b)
    assert (b.job, undone(b)) == ("failed", [("m", 2), ("m", 0)])
    b.tell(f.RetryRequested())
    assert b.ready() == [("m", 0), ("m", 2)]


def test_branches_are_undone_before_what_they_share(bench):
    """Reverse order of dependency, whatever the order in which they are written."""
    b = bench(
        [node("left", "root"), node("join", "left", "right"), node("right", "root"), node("root"), node("z", "join")]
    )
    for name in ("root", "left", "right", "join"):
        b.complete(name)
    b.fail("z")
    undo_all(b)
    order = undone(b)
    assert order[0] == "join" and order[-1] == "root" and set(order) == {"join", "left", "right", "root"}


@pytest.mark.parametrize("how", ["lost", "timed_out", "fenced", "stopped"])
@pytest.mark.parametrize("unknown", [True, False])
def test_an_unknown_outcome_is_undone_if_the_task_says_so(bench, how, unknown):
    """`undo_unknown`: the undo gets null, as there is no result."""
    b = bench([node("a", undo_unknown=unknown), node("b", undo=None, undo_options={})])
    run_id = b.claim("a")
    if how == "lost":
        b.tell(f.RunLost(node="a", run_id=run_id))
    elif how == "timed_out":
        b.tell(f.RunTimedOut(node="a", run_id=run_id, code="timeout_start_to_close"))
    else:
        b.tell(f.CancelRequested())
        b.fail("a", cancelled=True) if how == "stopped" else b.tell(f.RunFenced(node="a", run_id=run_id))
    assert b.ready() == (["a:undo"] if unknown else [])
    if unknown:
        b.claim("a:undo")
        assert b.args() == {"result": None}
        b.complete("a:undo")
    assert b.job == ("cancelled" if how in ("fenced", "stopped") else "failed")


@pytest.mark.parametrize("how", ["cancelled", "timed_out"])
def test_what_was_handed_to_another_system_is_of_unknown_outcome(bench, how):
    """R22: no callback came; whatever waits for one is undone like a lost attempt. An undo may wait for one too."""
    b = bench([node("a", undo_unknown=True)])
    run_id = b.claim("a")
    b.tell(f.RunWaiting(node="a", run_id=run_id, timeout_s=60))
    b.tell(f.CancelRequested()) if how == "cancelled" else b.sleep_until_due()
    assert b.ready() == ["a:undo"]
    run_id = b.claim("a:undo")
    b.tell(f.RunWaiting(node="a:undo", run_id=run_id, timeout_s=60))
    assert b.state("a:undo") == "waiting"
    b.tell(f.CallbackReceived(node="a:undo", run_id=run_id))
    assert (b.job, undone(b)) == ("cancelled" if how == "cancelled" else "failed", ["a"])


def test_a_known_failure_is_not_undone(bench):
    b = bench([node("a", undo_unknown=True)])
    b.fail("a")
    assert (b.job, undone(b)) == ("failed", [])


def test_the_argument_is_named_by_the_graph(bench):
    b = bench([node("a", undo_argument=None), node("b", "a", undo_argument="page"), node("c", "b")])
    b.complete("a")
    b.complete("b", 7)
    b.fail("c")
    b.claim("b:undo")
    assert b.args() == {"page": 7}
    b.complete("b:undo")
    b.claim("a:undo")
    assert b.args() == {}


def test_a_paused_job_that_is_cancelled_still_undoes(bench):
    """R19, R26: cancel works on a paused job, and what it undoes is not held."""
    b = bench([node("a"), node("b", "a")])
    b.complete("a")
    b.tell(f.PauseRequested())
    b.tell(f.CancelRequested())
    assert not b.view.job().paused
    undo_all(b)
    assert (b.job, undone(b)) == ("cancelled", ["a"])


def test_the_time_limit_of_the_job_does_not_bound_its_compensation(bench):
    b = bench([node("a"), node("b", "a")], timeout_s=10)
    b.complete("a")
    b.sleep_until_due()
    b.now += 100
    undo_all(b)
    assert (b.job, b.view.job().error.code, undone(b)) == ("failed", "job_timeout", ["a"])


def test_a_child_that_completed_is_undone_with_its_result_after_open_children_ended(bench):
    """The parent compensates last; a child that ends badly has compensated by itself."""
    child = {"kind": "child", "workflow": "talk", **UNDO}
    b = bench(
        [{"name": "c", **child}, {"name": "d", **child}, node("z", undo=None, undo_options={})],
        definitions={"talk": "h"},
    )
    c, d = (command for command in b.commands if isinstance(command, StartChild))

    def end(child: StartChild, state: str, result: Any = None) -> None:
        b.tell(
            f.ChildEnded(
                node=child.node, generation=1, child_job=child.job_id, state=state, result=result, index=child.index
            )
        )

    end(c, "completed", "page")
    b.fail("z")
    assert b.ready() == [] and [command.job_id for command in b.commanded(TellJob)] == [d.job_id]
    end(d, "cancelled")
    b.claim("c:undo")
    assert b.args() == {"result": "page"}
    b.complete("c:undo")
    assert (b.job, undone(b)) == ("failed", ["c"])


def test_a_manifest_is_final_after_the_compensation(bench):
    """A `Finalised` that comes while something is undone is of no use; a cancel of a job that gave up is refused."""
    b = bench([node("a"), node("b", "a")], has_files=True)
    b.complete("a")
    b.fail("b")
    b.tell(f.Finalised(outcome="failed", generation=1))
    assert b.job == "running"
    b.fail("a:undo", retryable=False)
    with pytest.raises(InvalidTransition, match="about to end"):
        b.tell(f.CancelRequested())
    b.tell(f.Finalised(outcome="failed", generation=1))
    assert (b.job, b.view.job().error.code) == ("failed", "compensation_failed")


def test_a_job_cancelled_while_its_completed_end_is_published_undoes(bench):
    """R18a: the cancel wins, and then what completed has to go."""
    b = bench([node("a")], has_files=True)
    b.complete("a")
    b.tell(f.CancelRequested())
    assert b.ready() == ["a:undo"]
    b.complete("a:undo")
    b.tell(f.Finalised(outcome="completed", generation=1))
    b.tell(f.Finalised(outcome="cancelled", generation=1))
    assert (b.job, undone(b)) == ("cancelled", ["a"])
