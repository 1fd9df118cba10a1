"""Every field of every row comes back as it was written."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields

from orpheus.core.decision import Event
from orpheus.core.errors import TaskError
from orpheus.core.job import Job, JobState
from orpheus.core.task import SETTLED, Task, TaskState
from orpheus.store import database, rows
from orpheus.store.queries import query, with_events

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
WORD = TEXT.filter(bool)
REAL = st.floats(allow_nan=False, allow_infinity=False, width=64, min_value=0, max_value=1e12)
COUNT = st.integers(0, 1 << 40)
JSON = st.recursive(st.none() | st.booleans() | COUNT | TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
ERROR = st.builds(
    TaskError,
    code=WORD,
    message=TEXT,
    hint=TEXT,
    retryable=st.booleans(),
    task=st.none() | WORD,
    type=st.none() | WORD,
    details=OBJECT,
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


JOBS = st.builds(
    Job,
    job_id=WORD,
    tenant=WORD,
    workflow=TEXT,
    workflow_version=COUNT,
    definition_id=WORD,
    state=st.sampled_from(JobState),
    created_at=REAL,
    correlation_id=TEXT,
    priority=st.integers(1, 5),
    paused=st.booleans(),
    generation=st.integers(1, 9),
    labels=st.dictionaries(TEXT, TEXT, max_size=3),
    error=maybe(ERROR),
    last_seq=st.integers(1, 1 << 40),
    traceparent=maybe(TEXT),
    idempotency_key=maybe(TEXT),
    fingerprint=maybe(TEXT),
    webhook_url=maybe(TEXT),
    has_files=st.booleans(),
    requires_approval=st.booleans(),
    approved_at=maybe(REAL),
    unmet_jobs=COUNT,
    run_at=maybe(REAL),
    timeout_s=maybe(REAL),
    deadline_at=maybe(REAL),
    wake_at=maybe(REAL),
    cancel_requested_at=maybe(REAL),
    cancel_reason=maybe(TEXT),
    closing=maybe(st.sampled_from(JobState)),
    nodes_open=COUNT,
    runs_active=COUNT,
    counts=st.dictionaries(st.sampled_from([str(state) for state in TaskState]), COUNT, max_size=4),
    weight_total=REAL,
    weight_done=REAL,
    progress_percentage=st.floats(0, 100),
    current_stage=maybe(TEXT),
    started_at=maybe(REAL),
    finished_at=maybe(REAL),
    updated_at=REAL,
    decider_version=COUNT,
    extra=OBJECT,
)

TASKS = st.builds(
    Task,
    job_id=st.just("job"),
    node=WORD,
    index=st.integers(-1, 9_999),
    generation=st.integers(1, 9),
    state=st.sampled_from(TaskState),
    tenant=WORD,
    queue=TEXT,
    handler=WORD,
    priority=st.integers(1, 5),
    concurrency_key=maybe(WORD),
    unmet=COUNT,
    attempt=COUNT,
    run_id=WORD,
    worker=maybe(TEXT),
    ready_seq=COUNT,
    ready_at=maybe(REAL),
    first_ready_at=maybe(REAL),
    started_at=maybe(REAL),
    finished_at=maybe(REAL),
    wake_at=maybe(REAL),
    error=maybe(ERROR),
    progress=st.floats(0, 1),
    stage=maybe(TEXT),
    cached=st.booleans(),
    heartbeat=JSON,
    items_total=COUNT,
    items_released=COUNT,
    items_settled=COUNT,
    items_failed=COUNT,
    items_skipped=COUNT,
    stagger_until=maybe(REAL),
    superseded=st.booleans(),
    extra=OBJECT,
)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    path = Path(tmp_path_factory.mktemp("rows")) / "orpheus.db"
    opened = database.connect(path)
    database.migrate(opened, path, now=0.0)
    return opened


def test_the_columns_are_the_fields(connection: sqlite3.Connection) -> None:
    """Lists are put together from these, and rows are read by position."""
    assert rows.JOB_COLUMNS.split(", ") == [one.name for one in fields(Job)]
    names = [one.name for one in fields(Task)][1:]
    assert rows.TASK_COLUMNS.replace('"', "").split(", ") == names


@given(job=JOBS, later=JOBS)
@settings(max_examples=150, deadline=None)
def test_a_job_comes_back(connection: sqlite3.Connection, job: Job, later: Job) -> None:
    """Inserted, read, changed in everything that may change, read again."""
    connection.execute("BEGIN")
    try:
        connection.execute(query("insert_job"), rows.job_insert(7, job, None))
        row = connection.execute(query("job_by_id"), (job.job_id,)).fetchone()
        assert rows.job_from_row(row) == job == job.copy()
        fixed = (
            "job_id tenant workflow workflow_version definition_id created_at correlation_id traceparent idempotency_key "
            "fingerprint webhook_url requires_approval timeout_s decider_version"
        )
        for name in fixed.split():
            setattr(later, name, getattr(job, name))
        values = (later.state.value, *rows.job_update(later))
        assert connection.execute(query("update_job_result"), (*values, '{"r":1}', 7, job.last_seq)).rowcount == 1
        assert rows.job_from_row(connection.execute(query("job_by_id"), (job.job_id,)).fetchone()) == later
        assert connection.execute(query("job_result"), (7,)).fetchone() == ('{"r":1}',)
        connection.execute(query("update_job_state"), (job.state.value, *rows.job_update(job), 7, later.last_seq))
        assert rows.job_from_row(connection.execute(query("job_by_id"), (job.job_id,)).fetchone()) == job
        assert connection.execute(query("update_job"), (*rows.job_update(job), 7, job.last_seq + 1)).rowcount == 0
    finally:
        connection.execute("ROLLBACK")


@given(task=TASKS, later=TASKS)
@settings(max_examples=150, deadline=None)
def test_a_task_comes_back(connection: sqlite3.Connection, task: Task, later: Task) -> None:
    """Inserted, read, changed in everything that may change, read again; the guard refuses what has moved on."""
    for one in (task, later):
        if one.state in SETTLED:
            one.wake_at = None
    connection.execute("BEGIN")
    try:
        connection.execute(query("insert_task"), rows.task_insert(7, task, True, None))
        key = (7, task.node, task.index, task.generation)
        read = lambda: rows.task_from_row("job", connection.execute(query("task_by_key"), key).fetchone())  # noqa: E731
        assert read() == task == task.copy()
        for name in ("node", "index", "generation", "tenant", "queue", "handler"):
            setattr(later, name, getattr(task, name))
        guard = (*key, task.state.value, task.attempt)
        moved = (*key, task.state.value, task.attempt + 1)
        assert connection.execute(query("update_task"), (*rows.task_update(later, False), *moved)).rowcount == 0
        done = connection.execute(query("update_task_result"), (*rows.task_update(later, False), "[1]", *guard))
        assert done.rowcount == 1
        assert read() == later
        assert connection.execute(query("task_result"), key).fetchone() == ("[1]",)
    finally:
        connection.execute("ROLLBACK")


@given(
    event=st.builds(
        Event,
        seq=st.integers(1, 1 << 40),
        type=WORD,
        at=REAL,
        actor=TEXT,
        task=maybe(TEXT),
        index=maybe(st.integers(0, 9)),
        run_id=maybe(TEXT),
        data=OBJECT,
    )
)
@settings(max_examples=80, deadline=None)
def test_an_event_comes_back(connection: sqlite3.Connection, event: Event) -> None:
    connection.execute("BEGIN")
    try:
        connection.executemany(query("insert_events"), rows.event_rows(1, 7, [event]))
        assert rows.events_from_text(connection.execute("SELECT events FROM event_groups").fetchone()[0]) == [event]
        shown = connection.execute(with_events('SELECT seq, type, actor, task, "index", run_id FROM events')).fetchone()
        assert shown == (event.seq, event.type, event.actor, event.task, event.index, event.run_id)
    finally:
        connection.execute("ROLLBACK")


def test_many_events_of_a_decision_stand_in_several_rows(connection: sqlite3.Connection) -> None:
    """A page of events must not read those of ten thousand items; numbers and cursors are gapless across the rows."""
    events = [Event(seq, "task.ready", 1.0 + seq / 7, "engine", "item", seq) for seq in range(3, 203)]
    connection.execute("BEGIN")
    try:
        connection.executemany(query("insert_events"), rows.event_rows(1199, 7, events))
        assert connection.execute("SELECT max(length(events)) < 20000, count(*) FROM event_groups").fetchone() == (1, 4)
        found = connection.execute(
            with_events('SELECT cursor, seq, at, "index", group_cursor FROM events ORDER BY cursor')
        ).fetchall()
        assert [row[:4] for row in found] == [(997 + one.seq, one.seq, one.at, one.index) for one in events]
        assert all(0 <= row[4] - row[0] < rows.EVENTS_PER_ROW for row in found)
    finally:
        connection.execute("ROLLBACK")
