"""A job in memory: the decider's `View` and a store to apply its decisions to, without a database.

For tests of the core and for running a workflow in one process. Nothing is durable; like a store, what is handed out is a
copy, so a decision that is not applied has changed nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orpheus.core.decision import Callback, Decision, Event, Signal
from orpheus.core.errors import TaskError
from orpheus.core.facts import ArtifactRef
from orpheus.core.graph import Graph, NodeKind
from orpheus.core.job import TERMINAL, Job
from orpheus.core.task import NODE, Task, TaskState
from orpheus.core.values import item_result

_Key = tuple[str, str, int, int]


class MemoryView:
    """One job as it stands. Implements `core.decision.View`; `apply` moves it on.

    Args:
        graph: the job's definition.
        decision: the one `submit` made.
    """

    def __init__(self, graph: Graph, decision: Decision) -> None:
        assert decision.is_new, "a job begins with the decision that `submit` made"
        self._graph = graph
        self._job = decision.job
        self._params: Any = None
        self._rows: dict[_Key, Task] = {}
        self._current: dict[tuple[str, int], Task] = {}
        self._items_of: dict[str, dict[int, Task]] = {}
        self._results: dict[_Key, Any] = {}
        self._item_values: dict[_Key, Any] = {}
        self._artifacts: dict[str, tuple[_Key, ArtifactRef]] = {}
        self.signals: list[Signal] = []
        """Every signal received, in order."""
        self.taken: dict[int, None] = {}
        """Numbers of those that a node has taken."""
        self._callbacks: dict[str, Callback] = {}
        self._order = {name: place for place, name in enumerate(graph.all_nodes)}
        self.ready_seq = 0
        """Last number given to a task that became ready (a store counts over all jobs)."""
        self.events: list[Event] = []
        self.job_result: Any = None
        self.apply(decision)

    # What the decider may look at

    @property
    def graph(self) -> Graph:
        return self._graph

    def job(self) -> Job:
        return self._job.copy()

    def task(self, node: str, index: int = NODE) -> Task | None:
        found = self._current.get((node, index))
        return None if found is None else found.copy()

    def tasks(self, states: Iterable[TaskState] | None = None, node: str | None = None) -> Sequence[Task]:
        wanted = None if states is None else set(states)
        nodes = self._graph.all_nodes if node is None else (node,)
        found: list[Task] = []
        for name in nodes:
            own = self._current.get((name, NODE))
            rows = [] if own is None else [own]
            items = self._items_of.get(name, {})
            rows += [items[index] for index in sorted(items)]
            found += [row.copy() for row in rows if wanted is None or row.state in wanted]
        return found

    def params(self) -> Any:
        return copy.deepcopy(self._params)

    def result(self, node: str, index: int = NODE) -> Any:
        if index == NODE and self._graph.all_nodes[node].kind is NodeKind.MAP:
            return [
                item_result(state is TaskState.COMPLETED, result, _failure(error, place, state))
                for place, (state, result, error) in enumerate(self.item_outcomes(node))
            ]
        row = self._current.get((node, index))
        return None if row is None else copy.deepcopy(self._results.get(row.key))

    def item_outcomes(self, node: str) -> Sequence[tuple[TaskState, Any, Any]]:
        items = self._items_of.get(node, {})
        rows = [items[index] for index in sorted(items)]
        return [(row.state, copy.deepcopy(self._results.get(row.key)), row.error) for row in rows]

    def item_value(self, node: str, index: int) -> Any:
        return copy.deepcopy(self._item_values.get(self._current[node, index].key))

    def has_artifact(self, name: str) -> bool:
        held = self._artifacts.get(name)
        if held is None:
            return False
        row = self._rows[held[0]]
        return not row.superseded

    def next_signal(self, name: str, after: int) -> Signal | None:
        kept = (s for s in self.signals if s.name == name and s.number > after and s.number not in self.taken)
        return copy.deepcopy(next(kept, None))

    def has_signal(self, name: str, signal_id: str) -> bool:
        return any(signal.name == name and signal.signal_id == signal_id for signal in self.signals)

    def callback(self, run_id: str) -> Callback | None:
        return copy.deepcopy(self._callbacks.get(run_id))

    # What a store does

    def apply(self, decision: Decision) -> list[Task]:
        """Write all of a decision; return copies of the tasks that it made ready, in order."""
        assert decision.job.job_id == self._job.job_id, "a decision is about one job"
        self._job = decision.job.copy()
        ready: list[Task] = []
        for task in decision.tasks:
            assert task.key in self._rows, f"{task.key} is not a row"
            self._write(task, ready)
        for task in decision.new_tasks:
            assert task.key not in self._rows, f"{task.key} exists already"
            self._write(task, ready)
        self._results |= copy.deepcopy(decision.results)
        self._item_values |= copy.deepcopy(decision.items)
        self.signals += copy.deepcopy(decision.signals)
        for signal in decision.signals_taken:
            assert signal.number not in self.taken, f"signal {signal.number} was taken twice"
            self.taken[signal.number] = None
        if decision.callback is not None:
            assert decision.callback.run_id not in self._callbacks, "a run takes one callback"
            self._callbacks[decision.callback.run_id] = copy.deepcopy(decision.callback)
        for task, reference in decision.artifacts:
            self._artifacts[reference.name] = (task.key, reference)
        if decision.params is not None:
            self._params = copy.deepcopy(decision.params)
        if decision.sets_job_result:
            self.job_result = copy.deepcopy(decision.job_result)
        for event in decision.events:
            assert event.seq == (self.events[-1].seq + 1 if self.events else 1), (
                "events are numbered without a gap (R2)"
            )
            self.events.append(event)
        return ready

    def _write(self, task: Task, ready: list[Task]) -> None:
        row = task.copy()
        if row.state is TaskState.READY and row.ready_seq is None:
            self.ready_seq += 1
            row.ready_seq = task.ready_seq = self.ready_seq
            ready.append(row.copy())
        self._rows[row.key] = row
        place = (row.node, row.index)
        shown = self._current.get(place)
        if row.superseded:
            if shown is None or shown.generation == row.generation:
                self._current.pop(place, None)
                self._items_of.get(row.node, {}).pop(row.index, None)
            return
        assert shown is None or shown.generation <= row.generation, "older rows never change again (R20)"
        self._current[place] = row
        if row.index != NODE:
            self._items_of.setdefault(row.node, {})[row.index] = row

    # For whoever looks at the outcome

    @property
    def ended(self) -> bool:
        return self._job.state in TERMINAL

    def artifacts(self) -> Mapping[str, ArtifactRef]:
        """Return the accepted artifacts by name."""
        return {name: reference for name, (key, reference) in self._artifacts.items() if not self._rows[key].superseded}

    def all_rows(self) -> list[Task]:
        """Return every row, those of older generations too."""
        return [row.copy() for row in self._rows.values()]

    def next_wake(self) -> float | None:
        """Return the earliest instant at which the job or one of its tasks wants to be looked at."""
        wakes = [row.wake_at for row in self._current.values() if row.wake_at is not None]
        if self._job.wake_at is not None:
            wakes.append(self._job.wake_at)
        return min(wakes, default=None)

    def due(self, now: float) -> list[Task]:
        """Return the tasks whose `wake_at` has come, in node and index order."""
        rows = [row for row in self._current.values() if row.wake_at is not None and row.wake_at <= now]
        return [row.copy() for row in sorted(rows, key=lambda row: (self._order[row.node], row.index))]


def _failure(error: Any, index: int, state: TaskState) -> dict[str, Any] | None:
    if state is not TaskState.FAILED or not isinstance(error, TaskError):
        return None
    return {"code": error.code, "message": error.message, "type": error.type, "index": index}
