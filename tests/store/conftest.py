"""A store in a temporary folder, and a hand that moves jobs through it by the real decider."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orpheus.core import facts as f
from orpheus.core.decider import NewJob, decide, submit
from orpheus.core.errors import TaskError
from orpheus.core.graph import Graph
from orpheus.core.validate import parse_graph
from orpheus.store import Applied, Store, Transaction, database
from orpheus.store.queries import with_events

START = 1_000.0


class EvenDraws:
    """No jitter."""

    def uniform(self) -> float:
        return 0.5


def one_task(name: str = "count", **options: Any) -> dict[str, Any]:
    """A workflow of one task."""
    node = {"name": "count", "kind": "task", "task": "count", "version": 1, "args": {}, **options}
    return {
        "format": 1,
        "name": name,
        "version": 1,
        "params": {"type": "object"},
        "nodes": [node],
        "output": {"$ref": "count"},
    }


def mapped(**options: Any) -> dict[str, Any]:
    """A workflow of a map over `xs`, joined by a last task."""
    nodes = [
        {
            "name": "each",
            "kind": "map",
            "task": "work",
            "version": 1,
            "items": {"x": {"$param": "xs"}},
            "args": {},
            **options,
        },
        {"name": "join", "kind": "task", "task": "join", "version": 1, "args": {"all": {"$ref": "each"}}},
    ]
    params = {"type": "object", "properties": {"xs": {"type": "array"}}}
    return {"format": 1, "name": "mapped", "version": 1, "params": params, "nodes": nodes, "output": {"$ref": "join"}}


class Hand:
    """Moves jobs by facts, inside whatever transaction is open."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = START
        self.tx: Transaction = store.begin()
        self._runs = 0

    def commit(self) -> Transaction:
        self.store.commit()
        self.tx = self.store.begin()
        return self.tx

    def rollback(self) -> Transaction:
        self.store.rollback()
        self.tx = self.store.begin()
        return self.tx

    def publish(self, definition: dict[str, Any]) -> Graph:
        graph = parse_graph(definition)
        self.tx.put_definition(definition, graph, self.now)
        return graph

    def submit(self, job_id: str, graph: Graph, **options: Any) -> Applied:
        new = NewJob(job_id=job_id, **{"tenant": "ada", "correlation_id": "c", **options})
        return self.tx.apply(submit(new, graph, self.now, EvenDraws()))

    def tell(self, job_id: str, fact: f.Fact) -> Applied:
        return self.tx.apply(decide(self.tx.view(job_id), fact, self.now, EvenDraws()))

    def claim(self, job_id: str, node: str = "count", index: int = -1, worker: str = "w") -> str:
        self._runs += 1
        run_id = f"{job_id}/run-{self._runs}"
        self.tell(job_id, f.TaskClaimed(node=node, index=index, run_id=run_id, worker=worker))
        return run_id

    def complete(self, job_id: str, run_id: str, node: str = "count", index: int = -1, **more: Any) -> Applied:
        return self.tell(job_id, f.RunCompleted(node=node, index=index, run_id=run_id, **more))

    def fail(
        self, job_id: str, run_id: str, node: str = "count", index: int = -1, *, retryable: bool = True
    ) -> Applied:
        error = TaskError(code="task_failed", message="no", retryable=retryable)
        return self.tell(job_id, f.RunFailed(node=node, index=index, run_id=run_id, error=error))

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        self.tx.flush()
        statement = with_events(statement) if " events" in statement else statement
        return self.store.connection.execute(statement, parameters).fetchall()


@pytest.fixture
def one_task_graph() -> Callable[..., dict[str, Any]]:
    return one_task


@pytest.fixture
def mapped_graph() -> Callable[..., dict[str, Any]]:
    return mapped


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orpheus.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store.open(path, now=START, epoch="epoch-1")
    yield opened
    opened.close()


@pytest.fixture
def hand(store: Store) -> Hand:
    return Hand(store)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    """Return the writer's connection to an empty file, for tests that look at statements alone."""
    path = tmp_path_factory.mktemp("statements") / "orpheus.db"
    opened = database.connect(path)
    database.migrate(opened, path, now=0.0)
    return opened
