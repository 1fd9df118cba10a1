"""The lean statements write what the general ones write (`store/usual_rows.py`), and a usual decision is applied as any other is."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import fields, replace

from orpheus.core import facts as f
from orpheus.core.decider import NewJob, decide, submit
from orpheus.core.decision import Decision, ForgetRun
from orpheus.core.errors import TaskError
from orpheus.core.graph import Graph
from orpheus.core.job import Job, JobState
from orpheus.core.task import Task, TaskState
from orpheus.core.usual_jobs import begin_beside
from orpheus.core.validate import parse_graph
from orpheus.store import Applied, Store, rows, usual_rows
from orpheus.store.cache import JobEntry, PayloadCache, RowCache, TaskEntry
from orpheus.store.payloads import Payloads
from orpheus.store.queries import query
from orpheus.store.unit import Counters, Unit
from orpheus.store.usual_changes import begin

NEW_JOB = Job(
    *("job", "ada", "count", 1, "definition", JobState.QUEUED, 5.0, "correlation", 3),
    **{"last_seq": 3, "nodes_open": 2, "counts": {"ready": 1, "blocked": 1}, "weight_total": 2.0, "updated_at": 5.0},
)
NEW_TASK = Task("job", "count", -1, 1, TaskState.READY, "ada", "default", "count@1", ready_seq=9, ready_at=5.0)
BLOCKED_TASK = Task("job", "count", -1, 1, TaskState.BLOCKED, "ada", "default", "count@1", unmet=2)


def written(connection: sqlite3.Connection, statements: dict[str, list[rows.Row]], table: str) -> list[Any]:
    """Return the table's rows as they are after these statements; all of it is undone."""
    connection.execute("BEGIN")
    try:
        for name, parameters in statements.items():
            connection.executemany(query(name), parameters)
        return connection.execute(f"SELECT * FROM {table}").fetchall()
    finally:
        connection.execute("ROLLBACK")


# One value of each column that a usual new row does not have.
ODD_JOB: dict[str, Any] = {
    **{"job_id": "k", "tenant": "bob", "workflow": "", "workflow_version": 2, "definition_id": "d"},
    **{
        "state": JobState.RUNNING,
        "created_at": 6.0,
        "correlation_id": "",
        "priority": 5,
        "paused": True,
        "generation": 2,
    },
    **{"labels": {"a": "b"}, "error": TaskError(code="c", message="m"), "last_seq": 9, "traceparent": "t"},
    **{"idempotency_key": "i", "fingerprint": "f", "webhook_url": "u", "has_files": True, "requires_approval": True},
    **{"approved_at": 1.0, "unmet_jobs": 1, "run_at": 1.0, "timeout_s": 1.0, "deadline_at": 1.0, "wake_at": 1.0},
    **{"cancel_requested_at": 1.0, "cancel_reason": "r", "closing": JobState.FAILED, "nodes_open": 0, "runs_active": 1},
    **{"counts": {}, "weight_total": 0.0, "weight_done": 1.0, "progress_percentage": 1.0, "current_stage": "s"},
    **{"started_at": 1.0, "finished_at": 1.0, "updated_at": 6.0, "decider_version": 2, "extra": {"a": 1}},
}
ODD_TASK: dict[str, Any] = {
    **{
        "job_id": "job",
        "node": "n",
        "index": 3,
        "generation": 2,
        "state": TaskState.WAITING,
        "tenant": "bob",
        "queue": "",
    },
    **{"handler": "h", "priority": 5, "concurrency_key": "k", "unmet": 1, "attempt": 1, "run_id": "r", "worker": "w"},
    **{"ready_seq": 2, "ready_at": 6.0, "first_ready_at": 6.0, "started_at": 1.0, "finished_at": 1.0, "wake_at": 1.0},
    **{"error": TaskError(code="c", message="m"), "progress": 0.5, "stage": "s", "cached": True, "heartbeat": 1},
    **{"items_total": 1, "items_released": 1, "items_settled": 1, "items_failed": 1, "items_skipped": 1},
    **{"stagger_until": 1.0, "superseded": True, "extra": {"a": 1}},
}
FREE_OF_JOBS = {
    *("job_id", "tenant", "workflow", "workflow_version", "definition_id", "created_at", "correlation_id", "priority"),
    *(
        "last_seq",
        "traceparent",
        "idempotency_key",
        "fingerprint",
        "nodes_open",
        "counts",
        "weight_total",
        "updated_at",
    ),
    "decider_version",
}
"""What the lean INSERT takes as it comes."""
FREE_OF_TASKS = {
    *(
        "job_id",
        "node",
        "index",
        "generation",
        "tenant",
        "queue",
        "handler",
        "priority",
        "unmet",
        "ready_seq",
        "ready_at",
    ),
    "first_ready_at",
}


def test_every_column_has_an_odd_value() -> None:
    assert [one.name for one in fields(Job)] == list(ODD_JOB)
    assert [one.name for one in fields(Task)] == list(ODD_TASK)


@pytest.mark.parametrize("odd", [None, *ODD_JOB])
def test_a_new_job_is_written_alike(connection: sqlite3.Connection, odd: str | None) -> None:
    job = NEW_JOB if odd is None else replace(NEW_JOB, **{odd: ODD_JOB[odd]})
    gathered: dict[str, list[rows.Row]] = {}
    moves: list[usual_rows.JobMove] = []
    left = usual_rows.jobs([JobEntry(7, job)], gathered, moves)
    assert (not left) is (odd is None or odd in FREE_OF_JOBS)
    if left:
        assert not moves and not any(gathered.values())
        return
    assert moves == [(job.tenant, job.workflow, None, JobState.QUEUED)]
    whole = written(connection, {"insert_job": [rows.job_insert(7, job, None)]}, "jobs")
    assert written(connection, gathered, "jobs") == whole


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("first", [NEW_TASK, BLOCKED_TASK], ids=["ready", "blocked"])
@pytest.mark.parametrize("odd", [None, *ODD_TASK])
def test_a_new_task_is_written_alike(
    connection: sqlite3.Connection, odd: str | None, first: Task, paused: bool
) -> None:
    task = first if odd is None else replace(first, **{odd: ODD_TASK[odd]})
    known = {"job": JobEntry.stored(7, replace(NEW_JOB, paused=paused))}
    gathered: dict[str, list[rows.Row]] = {}
    moves: list[usual_rows.TaskMove] = []
    left = usual_rows.tasks([TaskEntry(7, task)], known, gathered, moves)
    held = paused and task.state is TaskState.READY
    assert (not left) is ((odd is None or odd in FREE_OF_TASKS) and not held)
    if left:
        assert not moves and not any(gathered.values())
        return
    assert moves == [(task.queue, None, task.state)]
    whole = written(connection, {"insert_task": [rows.task_insert(7, task, False, None)]}, "tasks")
    assert written(connection, gathered, "tasks") == whole


SPEC: dict[str, Any] = {
    "format": 1,
    "name": "walked",
    "version": 1,
    "params": {"type": "object"},
    "nodes": [
        {"name": "first", "kind": "task", "task": "work", "version": 1, "args": {"n": {"$param": "n"}}},
        {"name": "beside", "kind": "task", "task": "work", "version": 1, "retry": {"max_retries": 1}},
        {"name": "each", "kind": "map", "task": "work", "version": 1, "items": {"item": {"$param": "items"}}},
        {"name": "last", "kind": "task", "task": "work", "version": 1, "args": {"all": {"$ref": "each"}}},
        {"name": "after", "kind": "task", "task": "work", "version": 1, "args": {"first": {"$ref": "first"}}},
    ],
    "output": {"$ref": "last"},
}
GRAPH = parse_graph(SPEC)
TABLES = ("jobs", "tasks", "job_params", "task_items", "event_groups", "attempts", "failures")


ONE_TASK = parse_graph({**SPEC, "nodes": SPEC["nodes"][1:2], "output": None})
WITH_A_JOB = {
    "job",
    "is_new",
    "new_tasks",
    "params",
    "events",
    "commands",
    "assignment",
    "job_result",
    "result_text",
    "usual",
}
"""What `begin` writes, and what is not for the store or means nothing without another field."""


@pytest.mark.parametrize("field", [one.name for one in fields(Decision) if one.name not in WITH_A_JOB])
def test_a_new_job_with_more_to_it_is_left_to_the_long_way(field: str, tmp_path: Path) -> None:
    """Whatever else a decision may hold, now or later."""
    store = Store.open(tmp_path / "orpheus.db", now=0.0, epoch="e")
    unit = Unit(store.connection, RowCache(), Counters(job_no=0, cursor=0, log_no=0, ready_seq=0, ready_seq_end=9))
    payloads = Payloads(unit, PayloadCache())
    decision = submit(NewJob(job_id="job", tenant="ada", correlation_id="c", params={"n": 1}), ONE_TASK, 1.0, Draws())
    assert begin(unit, payloads, replace(decision, **{field: (object(),)})) is None
    assert unit.is_flushed
    assert begin(unit, payloads, decision) is not None
    store.close()


SEVERAL = parse_graph({**SPEC, "nodes": [*SPEC["nodes"][:2], SPEC["nodes"][4]], "output": {"$ref": "after"}})
MANY_ROOTS = parse_graph({**SPEC, "nodes": [{**SPEC["nodes"][1], "name": f"n{n}"} for n in range(70)], "output": None})


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("graph", [ONE_TASK, SEVERAL, MANY_ROOTS], ids=["one", "several", "many"])
def test_jobs_that_begin_alike_are_written_as_each_alone(graph: Graph, seed: int, tmp_path: Path) -> None:
    """Also where some of them are changed before anything is written."""
    together, alone = walks = [Walk(tmp_path / f"{name}.db", general=False) for name in ("together", "alone")]
    labels: list[dict[str, str]] = [{}, {}, {"kind": "test"}]
    for walk in walks:
        walk.tx.put_definition(dict(SPEC), graph, 0.0)
        dice = Random(seed)
        mark = dice.choice(labels)
        new = NewJob(
            job_id="first",
            tenant="ada",
            correlation_id="c",
            params={"n": 1, "items": [1]},
            labels=mark,
            traceparent="t",
        )
        first = submit(new, graph, 1.0, Draws())
        walk.apply(first)
        alike = [
            begin_beside(
                first,
                name := f"job-{number}",
                {"n": number},
                f'{{"n":{number}}}',
                correlation_id=dice.choice(["c", name]),
                labels=dice.choice(labels) if seed % 2 else {},
                idempotency_key=f"key-{number}" if number % 2 else None,
                fingerprint="f",
            )
            for number in range(6)
        ]
        if walk is together:
            found = walk.tx.begin_alike(alike)
            assert found is not None
            released, cursor = found
            first_alike = alike
        else:
            applied = [walk.apply(one.decision) for one in alike]
            assert [task for each in applied for task in each.released] == released
            assert applied[-1].cursor == cursor
            assert [one.decision for one in alike] == [each.decision for each in first_alike]
        for one in alike:  # something happens to some of them in the same transaction
            root = one.tasks[0].node
            claim = f.TaskClaimed(node=root, index=-1, generation=1, run_id=one.job.job_id, worker="s", worker_name="w")
            fact = dice.choice([None, None, claim, f.PauseRequested(actor="ada"), f.JobUpdated(labels={"new": "one"})])
            if fact is not None:
                walk.apply(decide(walk.tx.view(one.job.job_id), fact, 2.0, Draws()))
        assert walk.tx.params("job-3") == {"n": 3} and walk.tx.any_idempotent("ada", ["key-3"])
    assert together.contents() == alone.contents()
    for walk in walks:
        walk.commit(forget=True)
    assert together.contents() == alone.contents()
    assert together.tx._unit.counters.ready_seq == alone.tx._unit.counters.ready_seq
    for walk in walks:
        walk.store.close()


@pytest.mark.parametrize("more", ["published", "commands", "job", "task"])
def test_a_beginning_with_more_to_it_is_left_to_the_long_way(more: str, tmp_path: Path) -> None:
    walk = Walk(tmp_path / "orpheus.db", general=False)
    first = submit(NewJob(job_id="first", tenant="ada", correlation_id="c", params={"n": 1}), ONE_TASK, 1.0, Draws())
    odd: dict[str, Any] = {
        "published": {"published": ("file",)},
        "commands": {"commands": [ForgetRun("run")]},
        "job": {"job": replace(first.job, wake_at=5.0)},
        "task": {"new_tasks": [replace(first.new_tasks[0], wake_at=5.0)]},
    }
    said = {"correlation_id": "c", "labels": {}, "idempotency_key": None, "fingerprint": None}
    for like, taken in ((replace(first, **odd[more]), False), (first, True)):
        walk.apply(replace(like, job=replace(like.job, job_id=f"like-{taken}"), published=(), commands=[]))
        found = walk.tx.begin_alike([begin_beside(like, f"second-{taken}", {}, "{}", **said)])
        assert (found is not None) is taken
        assert (walk.tx.job(f"second-{taken}") is not None) is taken
    walk.store.close()


class Draws:
    def uniform(self) -> float:
        return 0.5


class Walk:
    """Some jobs in one store. `general` has every decision applied at length."""

    def __init__(self, path: Path, *, general: bool) -> None:
        self.store = Store.open(path, now=0.0, epoch="e")
        self.tx = self.store.begin()
        self._general = general

    def apply(self, decision: Decision) -> Applied:
        return self.tx.apply(replace(decision, usual=False) if self._general else decision)

    def commit(self, *, forget: bool) -> None:
        self.store.commit()
        if forget:
            self.store.rollback()
        self.tx = self.store.begin()

    def contents(self) -> dict[str, list[Any]]:
        self.tx.flush()
        sql = self.store.connection.execute
        found = {name: sql(f"SELECT * FROM {name}").fetchall() for name in TABLES}
        # A state that nothing is in may have a row or not: whether moves through it cancelled out depends on the flushes alone.
        for name in ("job_counts", "task_counts"):
            found[name] = sql(f"SELECT * FROM {name} WHERE count <> 0").fetchall()
        return found


def next_fact(walk: Walk, job_id: str, number: int, dice: Random) -> f.Fact | None:
    """Return something that may happen to the job. Reads all tasks, so it flushes: ask the store whose flushes matter less."""
    view = walk.tx.view(job_id)
    choices: list[f.Fact] = []
    for task in view.tasks([TaskState.READY, TaskState.RUNNING]):
        where: dict[str, Any] = {"node": task.node, "index": task.index}
        if task.state is TaskState.READY:
            claim = f.TaskClaimed(**where, generation=task.generation, run_id=f"r{number}", worker="s", worker_name="w")
            choices += [claim] * 2
        elif task.run_id is not None:
            choices += [f.RunCompleted(**where, run_id=task.run_id, result={"n": number})] * 4
            error = TaskError(code="task_failed", message="no", retryable=True)
            choices.append(f.RunFailed(**where, run_id=task.run_id, error=error))
            choices.append(f.RunProgressed(**where, run_id=task.run_id, fraction=0.5, stage="half"))
            choices.append(f.RunReturned(**where, run_id=task.run_id))
    if view.job().state in ("queued", "running") and dice.random() < 0.02:
        return f.PauseRequested(actor="ada")
    if view.job().paused:
        return f.ResumeRequested(actor="ada")
    return dice.choice(choices) if choices else None


@pytest.mark.parametrize("seed", range(12))
def test_a_usual_decision_leaves_the_file_that_any_other_would(seed: int, tmp_path: Path) -> None:
    """Random lives of several jobs, flushed and forgotten at random: the same rows, counters and news either way."""
    dice = Random(seed)
    walks = [Walk(tmp_path / "usual.db", general=False), Walk(tmp_path / "general.db", general=True)]
    names = [f"job-{number}" for number in range(4)]
    for name in names:
        params = {"n": 1, "items": list(range(dice.randrange(4)))}
        labels = dice.choice([{}, {"kind": "test"}])
        new = NewJob(job_id=name, tenant="ada", correlation_id="c", params=params, labels=labels)
        for walk in walks:
            if name == names[0]:
                walk.tx.put_definition(dict(SPEC), GRAPH, 0.0)
            walk.apply(submit(new, GRAPH, 1.0, Draws()))
    usual = 0
    for number in range(200):
        name = dice.choice(names)
        fact = next_fact(walks[1], name, number, dice)
        if fact is None:
            continue
        decisions = [decide(walk.tx.view(name), fact, 2.0 + number, Draws()) for walk in walks]
        assert decisions[0] == decisions[1]
        usual += decisions[0].usual
        applied = [walk.apply(decision) for walk, decision in zip(walks, decisions, strict=True)]
        assert applied[0] == applied[1]
        if dice.random() < 0.2:
            forget = dice.random() < 0.5
            for walk in walks:
                walk.commit(forget=forget)
            assert walks[0].contents() == walks[1].contents()
    assert usual > 10
    assert walks[0].contents() == walks[1].contents()
    for walk in walks:
        walk.store.close()
