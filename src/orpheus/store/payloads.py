"""Params, results and item values: the JSON beside the rows, read when asked for and remembered within bounds."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from orpheus.core.draft import failure_of
from orpheus.core.graph import Graph, NodeKind
from orpheus.core.task import NODE, Task, TaskState
from orpheus.core.usual_jobs import Beginning
from orpheus.core.values import item_result
from orpheus.store import rows
from orpheus.store.cache import JobEntry, PayloadCache
from orpheus.store.queries import query
from orpheus.store.unit import Unit

FORESEEN_BYTES = 64 << 10
"""Params that are read before they are asked for, of all jobs together; one more may go beyond."""

Outcome = tuple[TaskState, Any, Any]
"""`(state, result, error)` of one item of a map."""


def outcomes_of(found: Sequence[tuple[str, str | None, str | None]]) -> list[Outcome]:
    """Read the rows of `item_outcomes`."""
    return [
        (rows.TASK_STATES[state], None if result is None else rows.from_json(result), rows.read_error(error))
        for state, result, error in found
    ]


def map_result(outcomes: Sequence[Outcome]) -> list[Any]:
    """Assemble what a map's own row stands for: the items' results in order (R13)."""
    return [
        item_result(state is TaskState.COMPLETED, result, failure_of(error, index, state))
        for index, (state, result, error) in enumerate(outcomes)
    ]


class Payloads:
    """Reads payloads for one transaction; what it decodes outlives the transaction in the `PayloadCache`."""

    def __init__(self, unit: Unit, cache: PayloadCache) -> None:
        self._unit = unit
        self._cache = cache

    def params(self, job: JobEntry) -> Any:
        """Return a job's params; they are remembered under its id alone."""
        key = job.job.job_id
        known = self._cache.get(key)
        return known[0] if known is not None else self._read(key, "job_params", (job.job_no,), of="insert_params")

    def load_params(self, jobs: Sequence[JobEntry]) -> None:
        """Read by one statement the params of these jobs, of whom nothing was changed in this transaction, as far as they are small:
        whether they are wanted is not known yet."""
        ids = {job.job_no: job.job.job_id for job in jobs}
        found = self._unit.connection.execute(query("params_of_jobs"), (rows.to_json(sorted(ids)),))
        left = FORESEEN_BYTES
        for job_no, text in found:
            self._cache.put(ids[job_no], rows.from_json(text), len(text))
            left -= len(text)
            if left < 0:
                break
        found.close()

    def remember_params(self, job: JobEntry, params: Any, size: int) -> None:
        self._cache.put(job.job.job_id, params, size)

    def remember_new_params(self, begun: Iterable[Beginning]) -> None:
        """Do as `remember_params` for new jobs."""
        self._cache.put_new([(one.job.job_id, one.params, len(one.params_text)) for one in begun])

    def result(self, job: JobEntry, task: Task, graph: Graph) -> Any:
        """Return a task's result; a map's own is put together from its items."""
        if task.index == NODE and graph.all_nodes[task.node].kind is NodeKind.MAP:
            return self._map_result(job, task)
        return self._read(("result", *task.key), "task_result", (job.job_no, task.node, task.index, task.generation))

    def remember_result(self, task: Task, result: Any, size: int) -> None:
        self._cache.put(("result", *task.key), result, size)

    def _map_result(self, job: JobEntry, task: Task) -> Any:
        key = ("result", *task.key)
        known = self._cache.get(key)
        if known is not None and task.state is TaskState.COMPLETED:
            return known[0]
        found = self._unit.execute("item_outcomes", (job.job_no, task.node)).fetchall()
        value = map_result(outcomes_of(found))
        if task.state is TaskState.COMPLETED:
            self._cache.put(key, value, sum(len(result or "") + 60 for _state, result, _error in found))
        return value

    def item_outcomes(self, job: JobEntry, node: str) -> list[Outcome]:
        return outcomes_of(self._unit.execute("item_outcomes", (job.job_no, node)).fetchall())

    def item(self, job: JobEntry, task: Task) -> Any:
        place = (job.job_no, task.node, task.index, task.generation)
        return self._read(("item", *task.key), "item_value", place, of="insert_item")

    def remember_item(self, key: tuple[str, str, int, int], item: Any, size: int) -> None:
        self._cache.put(("item", *key), item, size)

    def _read(self, key: Hashable, name: str, parameters: tuple[Any, ...], *, of: str | None = None) -> Any:
        known = self._cache.get(key)
        if known is not None:
            return known[0]
        found = self._unit.execute(name, parameters) if of is None else self._unit.ask(name, parameters, of=of)
        row = found.fetchone()
        if row is None or row[0] is None:
            return None
        value = rows.from_json(row[0])
        self._cache.put(key, value, len(row[0]))
        return value
