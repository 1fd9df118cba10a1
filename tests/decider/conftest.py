"""A job on a bench: the real decider over a job in memory, one fact at a time, under a clock the test moves."""

from __future__ import annotations

from typing import Any

import pytest

from orpheus.core import facts as f
from orpheus.core.decider import NewJob, decide, submit
from orpheus.core.decision import Command, Decision
from orpheus.core.errors import TaskError
from orpheus.core.task import NODE, SETTLED, Task, TaskState
from orpheus.core.validate import parse_graph
from orpheus.testing.memory_view import MemoryView

START = 1_000.0


class EvenDraws:
    """Randomness without surprise: the middle of every interval, so jitter is nothing."""

    def uniform(self) -> float:
        return 0.5


def graph_json(
    nodes: list[dict[str, Any]], *, output: Any = None, params: dict[str, Any] | None = None
) -> dict[str, Any]:
    properties = dict(params or {})
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    full = [{"kind": "task", **({"task": "work", "version": 1} if _is_of_tasks(n) else {}), **n} for n in nodes]
    return {"format": 1, "name": "bench", "version": 1, "params": schema, "nodes": full, "output": output}


def _is_of_tasks(node: dict[str, Any]) -> bool:
    return node.get("kind", "task") in ("task", "map") and "workflow" not in node


class Bench:
    """Drives one job. Methods named after facts return the decision, already applied."""

    def __init__(
        self, nodes: list[dict[str, Any]], *, output: Any = None, params: dict[str, Any] | None = None, **job: Any
    ):
        self.now = START
        values = job.pop("values", {})
        self.graph = parse_graph(graph_json(nodes, output=output, params=params))
        request = NewJob(job_id="job-1", tenant="t", correlation_id="c", params=values, **job)
        self.last: Decision = submit(request, self.graph, self.now, EvenDraws())
        self.view = MemoryView(self.graph, self.last)
        self.runs = 0
        self.commands: list[Command] = list(self.last.commands)

    def tell(self, fact: f.Fact) -> Decision:
        self.last = decide(self.view, fact, self.now, EvenDraws())
        self.view.apply(self.last)
        self.commands += self.last.commands
        self.check()
        return self.last

    def check(self) -> None:
        """What must hold after every fact."""
        job = self.view.job()
        rows = self.view.tasks()
        counts: dict[str, int] = {}
        for row in rows:
            counts[row.state] = counts.get(row.state, 0) + 1
        assert {state: n for state, n in job.counts.items() if n} == counts
        assert job.nodes_open == sum(
            1 for row in rows if row.index == NODE and row.node in self.graph.nodes and row.state not in SETTLED
        )
        assert job.runs_active == sum(
            1 for row in rows if row.state is TaskState.RUNNING and row.run_id and row.finished_at is None
        )
        assert 0 <= job.progress_percentage <= 100
        assert [event.seq for event in self.view.events] == list(range(1, job.last_seq + 1))

    # Facts

    def claim(self, node: str, index: int = NODE) -> str:
        self.runs += 1
        run_id = f"run-{self.runs}"
        self.tell(f.TaskClaimed(node=node, index=index, run_id=run_id, worker="w"))
        return run_id

    def args(self) -> Any:
        assert self.last.assignment is not None
        return self.last.assignment["args"]

    def complete(self, node: str, result: Any = None, index: int = NODE, **more: Any) -> Decision:
        """Finish a task: claims it first when it is ready."""
        if self.task(node, index).state is TaskState.READY:
            self.claim(node, index)
        run_id = self.task(node, index).run_id
        assert run_id is not None
        return self.tell(f.RunCompleted(node=node, index=index, run_id=run_id, result=result, **more))

    def fail(self, node: str, index: int = NODE, *, retryable: bool = True, **more: Any) -> Decision:
        if self.task(node, index).state is TaskState.READY:
            self.claim(node, index)
        run_id = self.task(node, index).run_id
        assert run_id is not None
        error = TaskError(code="task_failed", message="it broke", retryable=retryable, type="OSError", task=node)
        return self.tell(f.RunFailed(node=node, index=index, run_id=run_id, error=error, **more))

    def sleep_until_due(self) -> None:
        """Move the clock to the next wake-up and wake everything that is due."""
        due = self.view.next_wake()
        assert due is not None, "nothing wants to be woken"
        self.now = max(self.now, due)
        self.wake()

    def wake(self) -> None:
        job = self.view.job()
        if job.wake_at is not None and job.wake_at <= self.now:
            self.tell(f.JobWoken())
        for row in self.view.due(self.now):
            self.tell(f.TaskWoken(node=row.node, index=row.index))

    # Looking

    def task(self, node: str, index: int = NODE) -> Task:
        found = self.view.task(node, index)
        assert found is not None
        return found

    def state(self, node: str, index: int = NODE) -> str:
        return str(self.task(node, index).state)

    def states(self, node: str) -> list[str]:
        """Return the states of a map's items."""
        return [str(row.state) for row in self.view.tasks(None, node) if row.index != NODE]

    def ready(self) -> list[Any]:
        return [row.node if row.index == NODE else (row.node, row.index) for row in self.view.tasks((TaskState.READY,))]

    @property
    def job(self) -> str:
        return str(self.view.job().state)

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.view.events]

    def commanded(self, kind: type[Command]) -> list[Command]:
        return [command for command in self.commands if isinstance(command, kind)]


@pytest.fixture
def bench() -> type[Bench]:
    return Bench
