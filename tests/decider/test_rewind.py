"""Retry and rewind: new generations, kept work, fenced runs (R20)."""

import pytest

from orpheus.core import facts as f
from orpheus.core.decision import ForgetRun
from orpheus.core.errors import InvalidTransition, StaleRun, UnknownTask

REF = lambda name: {"$ref": name}  # noqa: E731
ONCE = {"retry": {"max_retries": 0}}


def test_retry_runs_the_failed_task_and_what_follows(bench):
    """Finished work is kept with its result; the older rows stay; the error is gone; progress begins anew."""
    b = bench(
        [{"name": "a"}, {"name": "b", "args": {"x": REF("a")}, **ONCE}, {"name": "c", "args": {"x": REF("b")}}],
        output=REF("c"),
    )
    b.complete("a", "A")
    b.fail("b")
    assert b.job == "failed"
    b.tell(f.RetryRequested(actor="ann"))
    job = b.view.job()
    assert (b.job, job.generation, job.error, job.finished_at, job.progress_percentage) == (
        "queued",
        2,
        None,
        None,
        33.33,
    )
    assert [(b.state(n), b.task(n).generation) for n in "abc"] == [("completed", 1), ("ready", 2), ("blocked", 2)]
    b.claim("b")
    assert b.args() == {"x": "A"}
    assert b.task("b").attempt == 1
    b.complete("b", "B")
    b.complete("c", "C")
    assert (b.job, b.view.job_result) == ("completed", "C")


def test_only_what_ended_badly_can_be_retried(bench):
    """Other states refuse it and say why."""
    b = bench([{"name": "a"}])
    with pytest.raises(InvalidTransition, match="queued"):
        b.tell(f.RetryRequested())
    with pytest.raises(UnknownTask, match="has no task 'z'"):
        b.tell(f.RetryRequested(from_task="z"))
    b.complete("a")
    with pytest.raises(InvalidTransition, match="completed"):
        b.tell(f.RetryRequested())


def test_rewind_of_a_completed_job(bench):
    """The named task and all that depends on it run again, the rest is kept."""
    b = bench(
        [
            {"name": "a"},
            {"name": "b", "args": {"x": REF("a")}},
            {"name": "c"},
            {"name": "d", "args": {"x": [REF("b"), REF("c")]}},
        ],
        output=REF("d"),
    )
    for name in "acbd":
        b.complete(name, name)
    b.tell(f.RetryRequested(from_task="b"))
    assert (b.job, b.view.job_result) == ("queued", None)
    assert [b.task(n).generation for n in "abcd"] == [1, 2, 1, 2]
    b.complete("b", "B2")
    b.claim("d")
    assert b.args() == {"x": ["B2", "c"]}


def test_rewind_fences_running_attempts(bench):
    """A rewound run is stale from then on; its row ends as cancelled (R20b)."""
    b = bench([{"name": "a"}, {"name": "b", "after": ["a"]}, {"name": "side"}])
    b.complete("a", 1)
    run = b.claim("b")
    side = b.claim("side")
    b.tell(f.RetryRequested(from_task="a"))
    assert ForgetRun(run) in b.commands
    assert ForgetRun(side) not in b.commands
    assert (b.job, b.view.job().runs_active) == ("running", 1)
    with pytest.raises(StaleRun):
        b.tell(f.RunCompleted(node="b", run_id=run))
    b.complete("side")
    b.complete("a", 2)
    b.complete("b", 2)
    assert b.job == "completed"


def test_a_join_is_not_stuck_after_a_retry(bench):
    """Predecessors that had finished before the retry still count (a bug seen in others)."""
    b = bench([{"name": "l"}, {"name": "r", **ONCE}, {"name": "j", "args": {"x": [REF("l"), REF("r")]}}])
    b.complete("l", 1)
    b.fail("r")
    for _ in range(2):
        b.tell(f.RetryRequested())
        b.fail("r")
    b.tell(f.RetryRequested())
    b.complete("r", 2)
    b.claim("j")
    assert (b.args(), b.view.job().generation) == ({"x": [1, 2]}, 4)


def test_a_failed_map_keeps_its_finished_items(bench):
    """Only what failed or was stopped runs again, under the cap, with the values it had."""
    node = {"name": "m", "kind": "map", "items": {"x": {"$param": "xs"}}, "max_concurrency": 2, **ONCE}
    b = bench([node, {"name": "j", "args": {"all": REF("m")}}], params={"xs": {}}, values={"xs": list("abcde")})
    b.complete("m", "A", 0)
    b.complete("m", "C", 1)
    b.claim("m", 3)
    b.fail("m", 2)
    b.tell(f.RunFenced(node="m", index=3, run_id=b.task("m", 3).run_id))
    assert b.states("m") == ["completed", "completed", "failed", "cancelled", "cancelled"]
    b.tell(f.RetryRequested())
    assert b.states("m") == ["completed", "completed", "ready", "ready", "blocked"]
    assert [b.task("m", i).generation for i in range(5)] == [1, 1, 2, 2, 2]
    b.complete("m", "E", 3)
    assert b.states("m")[4] == "ready"
    b.claim("m", 2)
    assert b.args() == {"x": "c"}
    b.complete("m", "D", 2)
    b.complete("m", "F", 4)
    b.claim("j")
    assert b.args() == {"all": ["A", "C", "D", "E", "F"]}


def test_rewinding_a_map_expands_it_anew(bench):
    """With another list it has other items, and the old ones are gone from view."""
    nodes = [{"name": "list"}, {"name": "m", "kind": "map", "items": {"x": REF("list")}}]
    b = bench(nodes, output=REF("m"))
    b.complete("list", [1, 2, 3])
    for i in range(3):
        b.complete("m", i, i)
    assert b.view.job_result == [0, 1, 2]
    b.tell(f.RetryRequested(from_task="list"))
    assert b.states("m") == []
    b.complete("list", ["only"])
    b.complete("m", "one", 0)
    assert (b.job, b.view.job_result) == ("completed", ["one"])


def test_a_cancelled_job_can_be_retried_once_it_had_its_gates_open(bench):
    """What was cancelled runs; what had finished is kept."""
    b = bench([{"name": "a"}, {"name": "b", "after": ["a"]}], timeout_s=100)
    b.complete("a", 1)
    b.now += 50
    b.tell(f.CancelRequested())
    b.tell(f.RetryRequested())
    job = b.view.job()
    assert (b.job, b.ready(), job.cancel_requested_at, job.deadline_at) == ("queued", ["b"], None, b.now + 100)
    b.complete("b")
    assert b.job == "completed"


def test_a_retry_when_only_the_output_failed(bench):
    """Nothing is renewed, the output is made again and fails again: no job hangs."""
    b = bench([{"name": "a"}], output={"$get": [REF("a"), "x"]})
    b.complete("a", 1)
    b.tell(f.RetryRequested())
    assert (b.job, b.view.job().generation) == ("failed", 2)
    b.tell(f.RetryRequested(from_task="a"))
    b.complete("a", {"x": 9})
    assert (b.job, b.view.job_result) == ("completed", 9)


def test_progress_starts_again_from_what_is_kept(bench):
    """Within a generation it grows; a new one begins with the kept share (promise 7)."""
    node = {"name": "m", "kind": "map", "items": {"x": {"$param": "xs"}}, **ONCE}
    b = bench([node], params={"xs": {}}, values={"xs": [1, 2, 3, 4]})
    b.complete("m", 1, 0)
    b.complete("m", 1, 1)
    b.fail("m", 2)
    b.tell(f.RetryRequested())
    assert b.view.job().progress_percentage == 50
    b.complete("m", 1, 2)
    assert b.view.job().progress_percentage == 75
    b.complete("m", 1, 3)
    assert (b.job, b.view.job().progress_percentage) == ("completed", 100)


TWO = [
    {"name": "a", "args": {"x": {"$param": "x"}}},
    {"name": "b", "args": {"y": {"$param": "y"}}},
    {"name": "c", "args": {"a": {"$ref": "a"}, "b": {"$ref": "b"}}},
]


def test_changed_params_run_what_reads_them_and_all_below(bench):
    b = bench(TWO, params={"x": {}, "y": {}}, values={"x": 1, "y": 2})
    for name in "abc":
        b.complete(name, name)
    assert b.job == "completed"
    b.tell(f.RetryRequested(params={"x": 1, "y": 3}, actor="anna"))
    assert (b.view.job().generation, b.view.params()) == (2, {"x": 1, "y": 3})
    assert (b.state("a"), b.state("b"), b.state("c")) == ("completed", "ready", "blocked")
    assert b.view.events[-2].data["params"] == ["y"]
    b.claim("b")
    assert b.args() == {"y": 3}
    b.complete("b")
    b.complete("c")
    assert b.job == "completed"


def test_params_that_nothing_reads_or_that_did_not_change_begin_nothing(bench):
    b = bench(TWO, params={"x": {}, "y": {}, "z": {}}, values={"x": 1, "y": 2})
    for params in ({"x": 1, "y": 2}, {"x": 1, "y": 2, "z": 9}):
        with pytest.raises(InvalidTransition):
            b.tell(f.RetryRequested(params={**params, "x": 5}, actor="anna"))  # nothing of it has run yet
    for name in "abc":
        b.complete(name, name)
    for params in ({"x": 1, "y": 2}, {"x": 1, "y": 2, "z": 9}):
        with pytest.raises(InvalidTransition, match="reads a param that has changed"):
            b.tell(f.RetryRequested(params=params, actor="anna"))
    assert b.view.job().generation == 1 and b.view.params() == {"x": 1, "y": 2}


def test_a_failed_job_with_other_params_runs_what_failed_too(bench):
    b = bench(TWO, params={"x": {}, "y": {}}, values={"x": 1, "y": 2})
    b.complete("b")
    b.fail("a", retryable=False)
    b.tell(f.RetryRequested(params={"x": 1, "y": 3}, actor="anna"))
    assert (b.state("a"), b.state("b"), b.state("c")) == ("ready", "ready", "blocked")
