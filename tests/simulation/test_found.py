"""What the simulator has found, each in its smallest form: seeds drift when the simulator grows, these do not."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from orpheus.core import facts as f
from orpheus.core.decider import NewJob, decide, submit
from orpheus.core.errors import TaskError
from orpheus.core.job import JobState
from orpheus.core.task import NODE, TaskState
from orpheus.core.validate import parse_graph
from orpheus.testing.memory_view import MemoryView


class Draws:
    def uniform(self) -> float:
        return Random(1).random()


class Life:
    """One job in memory, told facts at instants of the test's choosing."""

    def __init__(self, *nodes: dict[str, Any], output: Any = None, **new: Any) -> None:
        params = {"type": "object", "properties": {"items": {"type": "array"}}}
        graph = parse_graph({"name": "w", "params": params, "nodes": list(nodes), "output": output})
        request = NewJob(job_id="job", tenant="ada", correlation_id="c", params={"items": new.pop("items", [])}, **new)
        self.now = 100.0
        self.view = MemoryView(graph, submit(request, graph, self.now, Draws()))
        self.runs = 0

    def tell(self, fact: f.Fact) -> None:
        self.view.apply(decide(self.view, fact, self.now, Draws()))

    def claim(self, node: str, index: int = NODE) -> str:
        self.runs += 1
        self.tell(f.TaskClaimed(node=node, index=index, run_id=f"run-{self.runs}", worker="w"))
        return f"run-{self.runs}"

    def complete(self, node: str, index: int = NODE, result: Any = None) -> None:
        self.tell(f.RunCompleted(node=node, index=index, run_id=self.claim(node, index), result=result))

    def state(self, node: str, index: int = NODE) -> TaskState:
        task = self.view.task(node, index)
        assert task is not None
        return task.state


def task(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "kind": "task", "task": "do", **options}


def fan(**options: Any) -> dict[str, Any]:
    return {"name": "fan", "kind": "map", "task": "do", "items": {"x": {"$param": "items"}}, **options}


def test_rewind_waits_for_a_predecessor_it_leaves_alone() -> None:
    """In a job that runs, a rewind to a node whose predecessor has not settled does not let it begin early (R20)."""
    life = Life(task("slow"), task("quick"), task("last", after=["slow", "quick"]))
    life.complete("quick")
    run = life.claim("slow")
    life.tell(f.RetryRequested(from_task="last"))
    assert life.state("last") is TaskState.BLOCKED
    assert life.view.job().nodes_open == 2
    life.tell(f.RunCompleted(node="slow", index=NODE, run_id=run))
    assert life.state("last") is TaskState.READY


def test_empty_map_is_a_list_from_its_first_instant() -> None:
    """A map that is empty at submission is `[]` to what reads it in the same decision, not null (R13)."""
    life = Life(fan(), task("if_null", when={"$is_none": {"$ref": "fan"}}), output={"$ref": "fan"})
    assert life.state("if_null") is TaskState.SKIPPED
    assert life.view.job_result == []


def test_second_attempt_of_an_item_starts_no_stagger() -> None:
    """Only first starts are staggered: a retry of item 0 must not let item 2 out before item 1 has started."""
    life = Life(fan(stagger_s=5.0, retry={"max_retries": 3, "initial_s": 0.0}), items=[1, 2, 3])
    error = TaskError(code="task_failed", message="no", retryable=True)
    life.tell(f.RunFailed(node="fan", index=0, run_id=life.claim("fan", 0), error=error))
    life.now += 5.0
    life.tell(f.TaskWoken(node="fan"))
    life.tell(f.TaskWoken(node="fan", index=0))
    assert life.state("fan", 1) is TaskState.READY
    life.claim("fan", 0)
    life.now += 20.0
    life.tell(f.TaskWoken(node="fan"))
    assert life.state("fan", 2) is TaskState.BLOCKED


def test_a_grant_taken_back_takes_its_stagger_back() -> None:
    """An item whose grant never arrived has not started: the next waits a stagger's length from its real start (R8)."""
    life = Life(fan(stagger_s=5.0), items=[1, 2])
    life.tell(f.RunReturned(node="fan", index=0, run_id=life.claim("fan", 0)))
    life.now += 20.0
    life.tell(f.TaskWoken(node="fan"))
    assert life.state("fan", 1) is TaskState.BLOCKED
    life.claim("fan", 0)
    life.now += 4.9
    life.tell(f.TaskWoken(node="fan"))
    assert life.state("fan", 1) is TaskState.BLOCKED
    life.now += 0.1
    life.tell(f.TaskWoken(node="fan"))
    assert life.state("fan", 1) is TaskState.READY


@pytest.mark.parametrize("times", [1, 3])
def test_a_dependency_counts_once(times: int) -> None:
    """A job that is retried ends again and again; who waits for it and for another still waits for the other (R16)."""
    life = Life(task("only"), dependencies=(("one", "success"), ("two", "end")))
    for _ in range(times):
        life.tell(f.DependencySettled(job_id="one", ok=True))
    assert life.view.job().state is JobState.PENDING
    life.tell(f.DependencySettled(job_id="two", ok=True))
    assert life.view.job().state is JobState.QUEUED
