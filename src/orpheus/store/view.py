"""One job as the decider sees it (`core.decision.View`), read piece by piece (R4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from orpheus.core.decision import Callback, Signal
from orpheus.core.graph import Graph
from orpheus.core.job import Job
from orpheus.core.task import NODE, Task, TaskState
from orpheus.store.cache import JobEntry, TaskEntry
from orpheus.store.outside import Outside
from orpheus.store.payloads import Outcome, Payloads
from orpheus.store.unit import Unit


class StoreView(msgspec.Struct, eq=False, gc=False):
    """Reads within one transaction, so everything decided in it before is seen. A fact about one of 10,000 items costs a
    few rows by key; only `tasks` and `item_outcomes` read many.

    Rows handed out are copies. Payloads (params, results, items) are shared: whoever wants to change one copies it.
    """

    _unit: Unit
    _payloads: Payloads
    _job: JobEntry
    graph: Graph

    def job(self) -> Job:
        return self._job.job.copy()

    def task(self, node: str, index: int = NODE) -> Task | None:
        entry = self._unit.current.get((self._job.job.job_id, node, index))
        if entry is None or entry.task.superseded:
            entry = self._unit.task(self._job, node, index)
        return None if entry is None else entry.task.copy()

    def tasks(self, states: Iterable[TaskState] | None = None, node: str | None = None) -> Sequence[Task]:
        wanted = None if states is None else frozenset(states)
        order = {name: place for place, name in enumerate(self.graph.all_nodes)}
        found = [
            entry.task
            for entry in self._unit.current_tasks(self._job, node)
            if wanted is None or entry.task.state in wanted
        ]
        found.sort(key=lambda task: (order[task.node], task.index))
        return [task.copy() for task in found]

    def params(self) -> Any:
        return self._payloads.params(self._job)

    def result(self, node: str, index: int = NODE) -> Any:
        entry = self._settled(node, index)
        return self._payloads.result(self._job, entry.task, self.graph)

    def item_outcomes(self, node: str) -> Sequence[Outcome]:
        return self._payloads.item_outcomes(self._job, node)

    def item_value(self, node: str, index: int) -> Any:
        return self._payloads.item(self._job, self._settled(node, index).task)

    def has_artifact(self, name: str) -> bool:
        if not self._job.job.has_files:
            return False
        return self._unit.ask("has_artifact", (self._job.job_no, name), of="insert_artifact").fetchone() is not None

    def next_signal(self, name: str, after: int) -> Signal | None:
        return self._outside.next_signal(name, after)

    def has_signal(self, name: str, signal_id: str) -> bool:
        return self._outside.has_signal(name, signal_id)

    def callback(self, run_id: str) -> Callback | None:
        return self._outside.callback(run_id)

    @property
    def _outside(self) -> Outside:
        return Outside(self._unit, self._job.job_no)

    def _settled(self, node: str, index: int) -> TaskEntry:
        entry = self._unit.task(self._job, node, index)
        assert entry is not None, f"job {self._job.job.job_id} has no task {node}[{index}]"
        return entry
