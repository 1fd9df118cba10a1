"""Rows of SQLite and the core's dataclasses: the one place where one becomes the other.

A row is checked as it is written and as it is read; an assert that fails here is our bug, never a user's input. JSON is
TEXT, read with a type wherever it has one. The order of the tuples is the order of parameters in `queries/jobs.sql` and
`queries/tasks.sql`; the tests write and read back every field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from orpheus.core.decision import Event
from orpheus.core.errors import TaskError
from orpheus.core.job import Job, JobState
from orpheus.core.task import NODE, SETTLED, Task, TaskState

ABSENT = -1
"""Stands for NULL in parameters of TEXT and INTEGER columns: the statements say `nullif(?, -1)`. Binding None takes the slow path
of the sqlite3 module, 0.45 µs against 0.05, and most columns of a row are NULL."""
ABSENT_REAL = -1e300

Row = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode
_labels = msgspec.json.Decoder(dict[str, str]).decode
_counts = msgspec.json.Decoder(dict[str, int]).decode
_extra = msgspec.json.Decoder(dict[str, Any]).decode
_error = msgspec.json.Decoder(TaskError).decode
_any = msgspec.json.Decoder().decode
_events = msgspec.json.Decoder(list[Event]).decode
# Calling the enum takes ten times as long.
_JOB_STATES: dict[str, JobState] = {state.value: state for state in JobState}
TASK_STATES: dict[str, TaskState] = {state.value: state for state in TaskState}


def to_json(value: Any) -> str:
    """Write a payload (result, params, item …) as it is stored."""
    return _encode(value).decode()


def from_json(text: str) -> Any:
    """Read a payload back."""
    return _any(text)


def read_error(text: str | None) -> TaskError | None:
    return None if text is None else _error(text)


def read_mapping(text: str | None) -> dict[str, Any]:
    return {} if text is None else _extra(text)


def _error_json(error: TaskError | None) -> str | int:
    return ABSENT if error is None else _encode(error).decode()


def check_job(job: Job) -> None:
    """Assert what holds for every row of a job, whoever wrote it."""
    assert job.job_id and job.tenant and job.definition_id, "a job has an id, a tenant and a definition"
    assert job.runs_active >= 0 and job.nodes_open >= 0 and job.unmet_jobs >= 0, f"{job.job_id}: negative counters"
    assert job.last_seq >= 1, f"{job.job_id} was created without an event"
    assert 0.0 <= job.progress_percentage <= 100.0, f"{job.job_id}: progress {job.progress_percentage}"
    assert 1 <= job.priority <= 5, f"{job.job_id}: priority {job.priority}"


def check_task(task: Task) -> None:
    """Assert what holds for every row of a task."""
    state = task.state
    assert task.index >= NODE and task.generation >= 1, f"{task.key}: bad identity"
    assert task.unmet >= 0 and task.attempt >= 0, f"{task.key}: negative counters"
    if state is TaskState.READY:
        assert task.handler and task.ready_seq is not None, (
            f"{task.key} is ready without a handler or a place in the order"
        )
    elif state is TaskState.RUNNING:
        assert task.run_id is not None or task.handler == "" or task.index == NODE, f"{task.key} runs without a fence"
    elif state in SETTLED:
        assert task.wake_at is None, f"{task.key} is settled and wants to be woken"


# Jobs


def job_insert(job_no: int, job: Job, result: str | int | None) -> Row:
    """Return the parameters of `insert_job`."""
    check_job(job)
    return (
        job_no,
        job.job_id,
        job.tenant,
        job.workflow,
        job.workflow_version,
        job.definition_id,
        job.state._value_,
        job.created_at,
        job.correlation_id,
        job.priority,
        1 if job.paused else 0,
        job.generation,
        _encode(job.labels).decode() if job.labels else ABSENT,
        ABSENT if job.error is None else _encode(job.error).decode(),
        job.last_seq,
        ABSENT if job.traceparent is None else job.traceparent,
        ABSENT if job.idempotency_key is None else job.idempotency_key,
        ABSENT if job.fingerprint is None else job.fingerprint,
        ABSENT if job.webhook_url is None else job.webhook_url,
        1 if job.has_files else 0,
        1 if job.requires_approval else 0,
        ABSENT_REAL if job.approved_at is None else job.approved_at,
        job.unmet_jobs,
        ABSENT_REAL if job.run_at is None else job.run_at,
        ABSENT_REAL if job.timeout_s is None else job.timeout_s,
        ABSENT_REAL if job.deadline_at is None else job.deadline_at,
        ABSENT_REAL if job.wake_at is None else job.wake_at,
        ABSENT_REAL if job.cancel_requested_at is None else job.cancel_requested_at,
        ABSENT if job.cancel_reason is None else job.cancel_reason,
        ABSENT if job.closing is None else job.closing._value_,
        job.nodes_open,
        job.runs_active,
        _encode(job.counts).decode() if job.counts else ABSENT,
        job.weight_total,
        job.weight_done,
        job.progress_percentage,
        ABSENT if job.current_stage is None else job.current_stage,
        ABSENT_REAL if job.started_at is None else job.started_at,
        ABSENT_REAL if job.finished_at is None else job.finished_at,
        job.updated_at,
        job.decider_version,
        _encode(job.extra).decode() if job.extra else ABSENT,
        ABSENT if result is None else result,
    )


def job_update(job: Job) -> Row:
    """Return the changeable columns, for `update_job` (and, after the state, `update_job_state`)."""
    check_job(job)
    return (
        job.priority,
        1 if job.paused else 0,
        job.generation,
        _encode(job.labels).decode() if job.labels else ABSENT,
        ABSENT if job.error is None else _encode(job.error).decode(),
        job.last_seq,
        1 if job.has_files else 0,
        ABSENT_REAL if job.approved_at is None else job.approved_at,
        job.unmet_jobs,
        ABSENT_REAL if job.run_at is None else job.run_at,
        ABSENT_REAL if job.deadline_at is None else job.deadline_at,
        ABSENT_REAL if job.wake_at is None else job.wake_at,
        ABSENT_REAL if job.cancel_requested_at is None else job.cancel_requested_at,
        ABSENT if job.cancel_reason is None else job.cancel_reason,
        ABSENT if job.closing is None else job.closing._value_,
        job.nodes_open,
        job.runs_active,
        _encode(job.counts).decode() if job.counts else ABSENT,
        job.weight_total,
        job.weight_done,
        job.progress_percentage,
        ABSENT if job.current_stage is None else job.current_stage,
        ABSENT_REAL if job.started_at is None else job.started_at,
        ABSENT_REAL if job.finished_at is None else job.finished_at,
        job.updated_at,
        _encode(job.extra).decode() if job.extra else ABSENT,
    )


def job_usual_update(job: Job) -> Row:
    """Return what usual facts change (core/usual.py, JOB_CHANGES), after the state: half the columns, and half the cost."""
    check_job(job)
    return (
        job.last_seq,
        1 if job.paused else 0,
        ABSENT_REAL if job.wake_at is None else job.wake_at,
        job.nodes_open,
        job.runs_active,
        _encode(job.counts).decode() if job.counts else ABSENT,
        job.weight_done,
        job.progress_percentage,
        ABSENT if job.current_stage is None else job.current_stage,
        ABSENT_REAL if job.started_at is None else job.started_at,
        ABSENT_REAL if job.finished_at is None else job.finished_at,
        job.updated_at,
    )


JOB_COLUMNS = (
    "job_id, tenant, workflow, workflow_version, definition_id, state, created_at, correlation_id, priority, paused, generation, "
    "labels, error, last_seq, traceparent, idempotency_key, fingerprint, webhook_url, has_files, requires_approval, "
    "approved_at, unmet_jobs, run_at, timeout_s, deadline_at, wake_at, cancel_requested_at, cancel_reason, closing, nodes_open, "
    "runs_active, counts, weight_total, weight_done, progress_percentage, current_stage, started_at, finished_at, updated_at, "
    "decider_version, extra"
)
"""Columns of `jobs` in the order of the fields of `Job`, for statements that are put together (lists)."""


def job_from_row(row: Row) -> Job:
    """Read a job; `row` begins with job_no, the rest as in `JOB_COLUMNS`."""
    job = Job(*row[1:])
    job.state = _JOB_STATES[job.state]
    job.paused = bool(job.paused)
    job.has_files = bool(job.has_files)
    job.requires_approval = bool(job.requires_approval)
    # The columns below hold text until here.
    job.labels = {} if row[12] is None else _labels(row[12])
    job.error = read_error(row[13])
    job.closing = None if row[29] is None else _JOB_STATES[row[29]]
    job.counts = {} if row[32] is None else _counts(row[32])
    job.extra = read_mapping(row[41])
    check_job(job)
    return job


def plain_job(row: Row) -> Job:
    """Do as `job_from_row` for a row of `plain_jobs_by_no`: half of the work, for what a backlog mostly consists of."""
    assert row[9] >= 1 <= row[8] <= 5 and row[13] >= 0, f"{row[1]}: a bad number"
    return Job(
        job_id=row[1],
        tenant=row[2],
        workflow=row[3],
        workflow_version=row[4],
        definition_id=row[5],
        state=JobState.QUEUED,
        created_at=row[6],
        correlation_id=row[7],
        priority=row[8],
        last_seq=row[9],
        traceparent=row[10],
        idempotency_key=row[11],
        fingerprint=row[12],
        nodes_open=row[13],
        counts={} if row[14] is None else _counts(row[14]),
        weight_total=row[15],
        updated_at=row[16],
        decider_version=row[17],
    )


# Tasks


def task_insert(job_no: int, task: Task, held: bool, result: str | None) -> Row:
    """Return the parameters of `insert_task`."""
    check_task(task)
    return (
        job_no,
        task.node,
        task.index,
        task.generation,
        task.state._value_,
        task.tenant,
        task.queue,
        task.handler,
        task.priority,
        ABSENT if task.concurrency_key is None else task.concurrency_key,
        task.unmet,
        task.attempt,
        ABSENT if task.run_id is None else task.run_id,
        ABSENT if task.worker is None else task.worker,
        ABSENT if task.ready_seq is None else task.ready_seq,
        ABSENT_REAL if task.ready_at is None else task.ready_at,
        ABSENT_REAL if task.first_ready_at is None else task.first_ready_at,
        ABSENT_REAL if task.started_at is None else task.started_at,
        ABSENT_REAL if task.finished_at is None else task.finished_at,
        ABSENT_REAL if task.wake_at is None else task.wake_at,
        ABSENT if task.error is None else _encode(task.error).decode(),
        task.progress,
        ABSENT if task.stage is None else task.stage,
        1 if task.cached else 0,
        ABSENT if task.heartbeat is None else to_json(task.heartbeat),
        task.items_total,
        task.items_released,
        task.items_settled,
        task.items_failed,
        task.items_skipped,
        ABSENT_REAL if task.stagger_until is None else task.stagger_until,
        1 if task.superseded else 0,
        _encode(task.extra).decode() if task.extra else ABSENT,
        1 if held else 0,
        ABSENT if result is None else result,
    )


def task_update(task: Task, held: bool) -> Row:
    """Return the changeable columns, for `update_task` and `update_task_result`."""
    check_task(task)
    return (
        task.state._value_,
        task.priority,
        ABSENT if task.concurrency_key is None else task.concurrency_key,
        task.unmet,
        task.attempt,
        ABSENT if task.run_id is None else task.run_id,
        ABSENT if task.worker is None else task.worker,
        ABSENT if task.ready_seq is None else task.ready_seq,
        ABSENT_REAL if task.ready_at is None else task.ready_at,
        ABSENT_REAL if task.first_ready_at is None else task.first_ready_at,
        ABSENT_REAL if task.started_at is None else task.started_at,
        ABSENT_REAL if task.finished_at is None else task.finished_at,
        ABSENT_REAL if task.wake_at is None else task.wake_at,
        ABSENT if task.error is None else _encode(task.error).decode(),
        task.progress,
        ABSENT if task.stage is None else task.stage,
        1 if task.cached else 0,
        ABSENT if task.heartbeat is None else to_json(task.heartbeat),
        task.items_total,
        task.items_released,
        task.items_settled,
        task.items_failed,
        task.items_skipped,
        ABSENT_REAL if task.stagger_until is None else task.stagger_until,
        1 if task.superseded else 0,
        _encode(task.extra).decode() if task.extra else ABSENT,
        1 if held else 0,
    )


def task_usual_update(task: Task, held: bool) -> Row:
    """Return what usual facts change (core/usual.py, TASK_CHANGES)."""
    check_task(task)
    return (
        task.state._value_,
        task.unmet,
        task.attempt,
        ABSENT if task.run_id is None else task.run_id,
        ABSENT if task.worker is None else task.worker,
        ABSENT if task.ready_seq is None else task.ready_seq,
        ABSENT_REAL if task.ready_at is None else task.ready_at,
        ABSENT_REAL if task.first_ready_at is None else task.first_ready_at,
        ABSENT_REAL if task.started_at is None else task.started_at,
        ABSENT_REAL if task.finished_at is None else task.finished_at,
        ABSENT_REAL if task.wake_at is None else task.wake_at,
        ABSENT if task.error is None else _encode(task.error).decode(),
        task.progress,
        ABSENT if task.stage is None else task.stage,
        task.items_settled,
        1 if held else 0,
    )


TASK_COLUMNS = (
    'node, "index", generation, state, tenant, queue, handler, priority, concurrency_key, unmet, attempt, run_id, worker, '
    "ready_seq, ready_at, first_ready_at, started_at, finished_at, wake_at, error, progress, stage, cached, heartbeat, "
    "items_total, items_released, items_settled, items_failed, items_skipped, stagger_until, superseded, extra"
)
"""Columns of `tasks` in the order of the fields of `Task` after `job_id`."""


def task_from_row(job_id: str, row: Row) -> Task:
    """Read a task; the first column of `row` (job_no or job_id) is passed over, the rest is as in `TASK_COLUMNS`."""
    task = Task(job_id, *row[1:])
    task.state = TASK_STATES[task.state]
    task.cached = bool(task.cached)
    task.superseded = bool(task.superseded)
    # The columns below hold text until here.
    task.error = read_error(row[20])
    task.heartbeat = None if row[24] is None else _any(row[24])
    task.extra = read_mapping(row[32])
    check_task(task)
    return task


def plain_ready_task(row: Row, source: Row) -> Task:
    """Do as `task_from_row` for a plain row of `ready_window`, whose other columns are the same for all of a source."""
    job_id, node, index, generation, ready_seq, _definition_id, _job_no, unmet, ready_at, first_ready_at, _is_plain = (
        row
    )
    queue, priority, tenant, handler, key = source
    assert handler and generation >= 1 and unmet >= 0, f"{job_id}/{node}/{index}: a bad row"
    place = (job_id, node, index, generation, TaskState.READY, tenant, queue, handler, priority, key)
    return Task(*place, unmet, 0, None, None, ready_seq, ready_at, first_ready_at)


# Events


EVENTS_PER_ROW = 64
"""A decision may have thousands of events (a map's items); a page of some should not read them all."""


def event_row(cursor: int, job_no: int, events: Sequence[Event]) -> Row:
    """Return the parameters of `insert_events` for events that fit into one row; `cursor` is the last one's."""
    last = events[-1]
    assert last.seq >= len(events) and last.type, "an event has a number, from 1 on, and a type"
    return (cursor, job_no, last.seq, _encode(events).decode())


def event_rows(cursor: int, job_no: int, events: Sequence[Event]) -> list[Row]:
    """Return the parameters of `insert_events` for the events of a decision; `cursor` is the last one's."""
    first = cursor - events[-1].seq
    groups = (events[begin : begin + EVENTS_PER_ROW] for begin in range(0, len(events), EVENTS_PER_ROW))
    return [event_row(first + group[-1].seq, job_no, group) for group in groups]


def events_from_text(text: str) -> list[Event]:
    """Read the events of a row."""
    return _events(text)


def attempt_insert(job_no: int, task: Task, *, outcome: str, error: TaskError | None, finished_at: float) -> Row:
    """Return the parameters of `insert_attempt` for the attempt that `task` (as it ran) stands for."""
    assert task.run_id is not None
    return (
        job_no,
        task.node,
        task.index,
        task.generation,
        task.attempt,
        task.run_id,
        ABSENT if task.worker is None else task.worker,
        ABSENT_REAL if task.started_at is None else task.started_at,
        finished_at,
        outcome,
        _error_json(error),
    )
