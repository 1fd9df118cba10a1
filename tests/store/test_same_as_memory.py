"""The store against the core's own job in memory: random lives of random workflows, read for read the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from orpheus.core.decider import NewJob, submit
from orpheus.core.decision import Decision
from orpheus.core.graph import Graph
from orpheus.core.job import Job
from orpheus.core.task import NODE, Task, TaskState
from orpheus.core.validate import parse_graph
from orpheus.store import Store, StoreView
from orpheus.store.rows import TASK_COLUMNS, events_from_text, from_json, task_from_row
from orpheus.testing.memory_view import MemoryView
from orpheus.testing.simulation import core_walk


class Twin(MemoryView):
    """A job in memory whose every read is also asked of a store, and must be answered alike.

    Commits come at random, and after some the store forgets what it remembers, so rows come from memory as well as from SQL.
    """

    store: Store
    dice: Random
    last: Twin

    def __init__(self, graph: Graph, decision: Decision) -> None:
        self.tx = self.store.begin()
        nodes = [{"name": "a", "kind": "task", "task": "a", "version": 1}]
        other = {"format": 1, "name": "other", "version": 1, "nodes": nodes, "output": None}
        for definition in (other, core_walk_definition):
            self.tx.put_definition(definition, parse_graph(definition), 0.0)
        if self.tx.job("other") is None:
            new = NewJob(job_id="other", tenant="ada", correlation_id="c")
            self.tx.apply(submit(new, parse_graph(other), 0.0, NoDraws()))
        Twin.last = self
        super().__init__(graph, decision)

    @property
    def twin(self) -> StoreView:
        return self.tx.view(self._job.job_id)

    def job(self) -> Job:
        mine = super().job()
        theirs = self.twin.job()
        assert theirs == mine
        return theirs

    def task(self, node: str, index: int = NODE) -> Task | None:
        theirs = self.twin.task(node, index)
        assert theirs == super().task(node, index)
        return theirs

    def tasks(self, states: Iterable[TaskState] | None = None, node: str | None = None) -> Sequence[Task]:
        wanted = None if states is None else tuple(states)
        theirs = self.twin.tasks(wanted, node)
        assert list(theirs) == list(super().tasks(wanted, node))
        return theirs

    def params(self) -> Any:
        assert self.twin.params() == super().params()
        return self.twin.params()

    def result(self, node: str, index: int = NODE) -> Any:
        theirs = self.twin.result(node, index)
        assert theirs == super().result(node, index)
        return theirs

    def item_outcomes(self, node: str) -> Sequence[tuple[TaskState, Any, Any]]:
        theirs = self.twin.item_outcomes(node)
        assert list(theirs) == list(super().item_outcomes(node))
        return theirs

    def item_value(self, node: str, index: int) -> Any:
        theirs = self.twin.item_value(node, index)
        assert theirs == super().item_value(node, index)
        return theirs

    def has_artifact(self, name: str) -> bool:
        theirs = self.twin.has_artifact(name)
        assert theirs == super().has_artifact(name)
        return theirs

    def apply(self, decision: Decision) -> list[Task]:
        applied = self.tx.apply(decision)
        super().apply(decision)
        assert list(applied.events) == decision.events
        if self.dice.random() < 0.3:
            self.store.commit()
            if self.dice.random() < 0.5:
                self.store.rollback()  # nothing is open: only the memory is emptied
            self.tx = self.store.begin()
        return applied.released


class NoDraws:
    def uniform(self) -> float:
        return 0.5


core_walk_definition: dict[str, Any] = {}


@pytest.mark.parametrize("seed", range(60))
def test_a_random_life_reads_the_same_from_the_store(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every read of the decider, and at the end every row, event, counter and payload."""

    def parse(definition: dict[str, Any]) -> Graph:
        core_walk_definition.clear()
        core_walk_definition.update(definition)
        return parse_graph(definition)

    monkeypatch.setattr(core_walk, "MemoryView", Twin)
    monkeypatch.setattr(core_walk, "parse_graph", parse)
    store = Twin.store = Store.open(tmp_path / "orpheus.db", now=0.0, epoch="e")
    Twin.dice = Random(seed)
    core_walk.walk(seed, steps=80)
    twin = Twin.last
    twin.tx.flush()
    sql = store.connection.execute
    job_no = sql("SELECT job_no FROM jobs WHERE job_id = ?", (f"job-{seed}",)).fetchone()[0]

    found = [
        task_from_row(f"job-{seed}", row)
        for row in sql(f"SELECT job_no, {TASK_COLUMNS} FROM tasks WHERE job_no = ?", (job_no,))
    ]
    assert sorted(found, key=lambda task: task.key) == sorted(twin.all_rows(), key=lambda task: task.key)
    groups = sql("SELECT events FROM event_groups WHERE job_no = ? ORDER BY seq", (job_no,))
    assert [event for row in groups for event in events_from_text(row[0])] == twin.events
    result = sql("SELECT result FROM jobs WHERE job_no = ?", (job_no,)).fetchone()[0]
    assert (None if result is None else from_json(result)) == twin.job_result
    artifacts = {row[0] for row in sql("SELECT name FROM artifacts WHERE job_no = ? AND superseded = 0", (job_no,))}
    assert artifacts == set(twin.artifacts())

    counted = {(row[0], row[1]): row[2] for row in sql("SELECT queue, state, count FROM task_counts") if row[2]}
    assert counted == Counter(
        (row[0], row[1]) for row in sql("SELECT queue, state FROM tasks WHERE superseded = 0").fetchall()
    )
    jobs = {tuple(row[:3]): row[3] for row in sql("SELECT tenant, workflow, state, count FROM job_counts") if row[3]}
    assert jobs == Counter(tuple(row) for row in sql("SELECT tenant, workflow, state FROM jobs").fetchall())
    store.close()
