"""Child jobs, the parent's and the child's side of it: R11, R18, R20, R26."""

from __future__ import annotations

from typing import Any

import pytest

from orpheus.core import facts as f
from orpheus.core.decision import StartChild, TellJob, TellParent
from orpheus.core.errors import InvalidGraph, TaskError
from orpheus.core.task import NODE

CHILD = {"name": "c", "kind": "child", "workflow": "talk", "args": {"n": {"$param": "n"}}}
MAP = {"name": "m", "kind": "map", "workflow": "talk", "items": {"n": {"$param": "ns"}}}
WITH = {"definitions": {"talk": "hash-of-talk"}}


def parent(bench: Any, *nodes: dict[str, Any], output: Any = None, **more: Any) -> Any:
    values = more.pop("values", {"n": 3})
    params = {"n": {"type": "integer"}, "ns": {"type": "array"}}
    return bench(list(nodes), output=output, params=params, values=values, **WITH, **more)


def started(b: Any) -> list[StartChild]:
    return [command for command in b.commands if isinstance(command, StartChild)]


def told(b: Any) -> list[tuple[str, f.Fact]]:
    return [(command.job_id, command.fact) for command in b.commands if isinstance(command, TellJob)]


def end(b: Any, child: StartChild, state: str = "completed", result: Any = None, error: TaskError | None = None) -> Any:
    fact = f.ChildEnded(
        node=child.node,
        index=child.index,
        generation=child.generation,
        child_job=child.job_id,
        state=state,
        result=result,
        error=error,
    )
    return b.tell(fact)


def test_a_child_node_opens_a_job_and_waits_without_a_slot(bench):
    """The job is running, the task waits, and the command holds all the engine needs."""
    b = parent(bench, CHILD, priority=2)
    [child] = started(b)
    assert (b.job, b.state("c")) == ("running", "waiting")
    assert (child.definition_id, child.params, child.priority, child.timeout_s) == ("hash-of-talk", {"n": 3}, 2, None)
    assert b.task("c").extra["child_job"] == child.job_id
    assert b.view.job().runs_active == 0


def test_the_same_decision_gives_the_same_child(bench):
    """A replay draws the same id; another generation, node or job another one."""
    one, other = parent(bench, CHILD), parent(bench, CHILD)
    assert started(one)[0].job_id == started(other)[0].job_id
    b = parent(bench, {**CHILD, "name": "d"}, CHILD)
    assert len({child.job_id for child in (*started(one), *started(b))}) == 2


def test_the_result_comes_back_as_the_nodes_value(bench):
    b = parent(bench, CHILD, {"name": "a", "args": {"x": {"$get": [{"$ref": "c"}, "page"]}}}, output={"$ref": "c"})
    end(b, started(b)[0], result={"page": "p1"})
    assert b.state("c") == "completed"
    b.claim("a")
    assert b.args() == {"x": "p1"}
    b.complete("a")
    assert (b.job, b.view.job_result) == ("completed", {"page": "p1"})


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_child_that_does_not_complete_fails_its_node(bench, state):
    """The error is typed and names the child."""
    b = parent(bench, CHILD)
    [child] = started(b)
    end(b, child, state, error=TaskError(code="task_failed", message="no light", task="shoot"))
    error = b.view.job().error
    assert (b.job, b.state("c"), error.code, error.task) == ("failed", "failed", "child_failed", "c")
    assert child.job_id in error.message and "no light" in error.message
    assert error.details["child_job"] == child.job_id and error.details["state"] == state
    assert error.details["error"]["code"] == "task_failed"


@pytest.mark.parametrize(("on_failure", "state"), [("skip", "skipped"), ("continue", "failed")])
def test_on_failure_holds_for_children_too(bench, on_failure, state):
    b = parent(bench, {**CHILD, "on_failure": on_failure}, {"name": "a", "after": ["c"]})
    end(b, started(b)[0], "failed")
    assert (b.state("c"), b.ready()) == (state, ["a"])


def test_params_that_do_not_fit_are_a_binding_failure(bench):
    """The engine could not create the child: nothing is left open."""
    b = parent(bench, CHILD)
    end(b, started(b)[0], "refused", error=TaskError(code="invalid_params", message="n is no number"))
    assert (b.job, b.view.job().error.code) == ("failed", "binding_failed")
    assert "n is no number" in b.view.job().error.message
    b = parent(bench, {**CHILD, "args": {"n": {"$get": [{"$ref": "a"}, "gone"]}}}, {"name": "a"})
    b.complete("a", {"there": 1})
    assert (b.job, b.view.job().error.code, started(b)) == ("failed", "binding_failed", [])


def test_a_cancelled_parent_ends_after_its_children(bench):
    """R18: the child is told, and the parent is cancelled when it has ended."""
    b = parent(bench, CHILD)
    [child] = started(b)
    b.tell(f.CancelRequested(reason="enough"))
    [(job_id, fact)] = told(b)
    assert job_id == child.job_id and isinstance(fact, f.CancelRequested) and "job-1" in fact.reason
    assert (b.state("c"), b.job) == ("cancelled", "running")
    end(b, child, "cancelled")
    assert b.job == "cancelled"


def test_a_failed_parent_cancels_its_children(bench):
    b = parent(bench, CHILD, {"name": "a"})
    b.fail("a", retryable=False)
    assert [job_id for job_id, _ in told(b)] == [started(b)[0].job_id]
    assert b.job == "running"
    end(b, started(b)[0], "cancelled")
    assert b.job == "failed"


def test_a_rewound_node_gets_a_new_child(bench):
    """R20: the old child is cancelled; its late end only counts it as ended."""
    b = parent(bench, {"name": "a"}, {**CHILD, "after": ["a"]}, output={"$ref": "c"})
    b.complete("a")
    [old] = started(b)
    b.tell(f.RetryRequested(from_task="a"))
    assert [job_id for job_id, _ in told(b)] == [old.job_id]
    b.complete("a")
    new = started(b)[1]
    assert new.job_id != old.job_id and new.generation == 2
    end(b, old, "completed", "old")
    assert b.state("c") == "waiting"
    end(b, new, "completed", "new")
    assert (b.job, b.view.job_result) == ("completed", "new")


def test_a_job_waits_for_the_end_of_children_it_has_left(bench):
    """A rewound child is still ending when the rest is done."""
    b = parent(
        bench, {"name": "a"}, {**CHILD, "after": ["a"], "when": {"$eq": [{"$get": [{"$ref": "a"}, "go"]}, True]}}
    )
    b.complete("a", {"go": True})
    [old] = started(b)
    b.tell(f.RetryRequested(from_task="a"))
    b.complete("a", {"go": False})
    assert (b.state("c"), b.job) == ("skipped", "running")
    end(b, old, "cancelled")
    assert b.job == "completed"


def test_retry_after_a_failed_child_opens_a_new_one(bench):
    b = parent(bench, CHILD)
    end(b, started(b)[0], "failed")
    b.tell(f.RetryRequested())
    assert len(started(b)) == 2 and b.state("c") == "waiting"


def test_a_pause_reaches_the_children(bench):
    """R26, decided for jobs that have others work for them."""
    b = parent(bench, CHILD)
    b.tell(f.PauseRequested())
    b.tell(f.ResumeRequested())
    assert [type(fact) for _, fact in told(b)] == [f.PauseRequested, f.ResumeRequested]


def test_a_map_of_children_keeps_order_cap_and_failures(bench):
    """R13: results in the order of items, at most two at a time, a typed failure at its index."""
    b = parent(
        bench, {**MAP, "max_concurrency": 2, "on_failure": "continue"}, output={"$ref": "m"}, values={"ns": [1, 2, 3]}
    )
    first, second = started(b)
    assert b.states("m") == ["waiting", "waiting", "blocked"]
    assert [child.params for child in (first, second)] == [{"n": 1}, {"n": 2}]
    end(b, second, result="two")
    end(b, first, "failed", error=TaskError(code="task_failed", message="no"))
    end(b, started(b)[2], result="three")
    assert b.job == "completed"
    failed, *rest = b.view.job_result
    assert failed["$failure"]["code"] == "child_failed" and rest == ["two", "three"]


def test_a_map_of_children_is_staggered(bench):
    """A child starts when it is opened."""
    b = parent(bench, {**MAP, "stagger_s": 5}, values={"ns": [1, 2, 3]})
    assert len(started(b)) == 1
    b.sleep_until_due()
    assert (len(started(b)), b.now) == (2, 1005.0)
    end(b, started(b)[0])
    assert len(started(b)) == 2
    b.sleep_until_due()
    assert (len(started(b)), b.now) == (3, 1010.0)


def test_a_large_map_opens_its_children_bit_by_bit(bench):
    """One decision is short: others want the writer too."""
    b = parent(bench, MAP, values={"ns": list(range(250))})
    assert len(started(b)) == 100
    b.sleep_until_due()
    b.sleep_until_due()
    assert (len(started(b)), b.now) == (250, 1000.0)
    for child in started(b):
        end(b, child, result=child.index)
    assert b.job == "completed"


def test_a_failed_item_cancels_the_other_children(bench):
    b = parent(bench, MAP, values={"ns": [1, 2, 3]})
    first, second, third = started(b)
    end(b, second, "failed")
    assert [job_id for job_id, _ in told(b)] == [first.job_id, third.job_id]
    end(b, first, "completed", 1)
    end(b, third, "cancelled")
    assert (b.job, b.states("m")) == ("failed", ["cancelled", "failed", "cancelled"])


def test_retry_keeps_the_items_whose_children_completed(bench):
    b = parent(bench, MAP, output={"$ref": "m"}, values={"ns": [1, 2]})
    first, second = started(b)
    end(b, first, result="one")
    end(b, second, "failed")
    b.tell(f.RetryRequested())
    third = started(b)[2]
    assert (len(started(b)), third.index, third.generation) == (3, 1, 2)
    end(b, third, result="two")
    assert b.view.job_result == ["one", "two"]


def test_a_child_tells_its_parent_of_its_first_end_only(bench):
    """A child that somebody retries by itself has no parent that waits for it."""
    above = {"job": "job-0", "task": "c", "index": NODE, "generation": 1}
    b = bench([{"name": "a"}], parent=above)
    b.fail("a", retryable=False)
    [said] = [command for command in b.commands if isinstance(command, TellParent)]
    assert (said.job_id, said.node, said.state, said.error.code) == ("job-0", "c", "failed", "task_failed")
    b.tell(f.RetryRequested())
    b.complete("a")
    assert b.job == "completed"
    assert len([command for command in b.commands if isinstance(command, TellParent)]) == 1


def test_a_child_of_a_paused_job_begins_paused(bench):
    b = bench([{"name": "a"}], paused=True)
    assert b.view.job().paused and "job.paused" in b.types


@pytest.mark.parametrize(
    ("node", "hint"),
    [
        ({"kind": "child", "workflow": "bench"}, "bench → bench"),
        ({"kind": "child", "workflow": "bench", "workflow_version": 1}, "bench → bench"),
        ({"kind": "child", "workflow": "talk", "retry": {"max_retries": 1}}, "retry"),
        ({"kind": "map", "workflow": "talk", "items": {"n": [1]}, "queue": "gpu"}, "queue"),
        ({"kind": "map", "items": {"n": [1]}, "timeout_s": 5}, "timeout_s"),
    ],
)
def test_what_a_child_node_cannot_have_is_refused(bench, node, hint):
    with pytest.raises(InvalidGraph) as caught:
        bench([{"name": "a", **node}])
    assert hint in str(caught.value)


def test_another_version_of_itself_is_no_circle(bench):
    assert bench(
        [{"name": "a", "kind": "child", "workflow": "bench", "workflow_version": 2}], definitions={"bench@2": "h"}
    )
