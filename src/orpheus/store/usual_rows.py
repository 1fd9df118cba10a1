"""Most rows change in one of a few ways, and each of these has a lean statement of its own.

A new job that nothing holds back, a task that may begin, begins or completes, a job that begins, goes on or completes: of forty
columns such a change concerns a dozen, the others keep what they have, or hold what every new row holds. `jobs` and `tasks` write
the rows that changed so and return the others, which `Unit` writes column by column. Nothing is guessed from who decided: new rows
are compared with what the short INSERT leaves out (of jobs that begin alike, one is), and of changed rows `usual` says that only usual
facts have changed them since they were read (core/usual.py), which never lead back to an earlier state: so the states before and after
tell all that happened. `tests/store/test_usual_rows.py` compares with the general statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from orpheus.core.job import Job, JobState
from orpheus.core.task import NODE, Task, TaskState
from orpheus.store.cache import JobEntry, TaskEntry
from orpheus.store.rows import ABSENT, ABSENT_REAL, Row

JobMove = tuple[str, str, JobState | None, JobState | None]
"""`(tenant, workflow, state before, state after)` of one job, for `job_counts`."""
TaskMove = tuple[str, TaskState | None, TaskState | None]
"""`(queue, state before, state after)` of one task, for `task_counts`."""

_encode = msgspec.json.Encoder().encode
_QUEUED, _GOES_ON, _ENDED = JobState.QUEUED, JobState.RUNNING, JobState.COMPLETED
_BLOCKED, _READY, _RUNNING, _COMPLETED = TaskState.BLOCKED, TaskState.READY, TaskState.RUNNING, TaskState.COMPLETED


def is_plain_job(job: Job) -> bool:
    """Tell whether a new job's row holds what `insert_new_job` leaves to the statement."""
    return not (
        job.state is not _QUEUED
        or job.paused
        or job.generation != 1
        or job.labels
        or job.error is not None
        or job.webhook_url is not None
        or job.has_files
        or job.requires_approval
        or job.approved_at is not None
        or job.unmet_jobs
        or job.run_at is not None
        or job.timeout_s is not None
        or job.deadline_at is not None
        or job.wake_at is not None
        or job.cancel_requested_at is not None
        or job.cancel_reason is not None
        or job.closing is not None
        or job.runs_active
        or job.weight_done
        or job.progress_percentage
        or job.current_stage is not None
        or job.started_at is not None
        or job.finished_at is not None
        or job.extra
    )


def new_job(job_no: int, job: Job) -> Row:
    """Return the parameters of `insert_new_job`."""
    assert job.job_id and job.tenant and job.definition_id, "a job has an id, a tenant and a definition"
    assert job.last_seq >= 1 <= job.priority <= 5 and job.nodes_open >= 0, f"{job.job_id}: a bad number"
    return (
        job_no,
        job.job_id,
        job.tenant,
        job.workflow,
        job.workflow_version,
        job.definition_id,
        job.created_at,
        job.correlation_id,
        job.priority,
        job.last_seq,
        ABSENT if job.traceparent is None else job.traceparent,
        ABSENT if job.idempotency_key is None else job.idempotency_key,
        ABSENT if job.fingerprint is None else job.fingerprint,
        job.nodes_open,
        _encode(job.counts).decode(),
        job.weight_total,
        job.updated_at,
        job.decider_version,
    )


def new_jobs_alike(job_nos: Iterable[int], jobs: Sequence[Job]) -> list[tuple[Job, Row] | None]:
    """Return new jobs that differ in nothing but ids, labels and key (core/usual_jobs.py), each with what `new_job` says of it; None for
    those with labels, which `insert_new_job` is not for."""
    (
        _job_no,
        _job_id,
        tenant,
        workflow,
        workflow_version,
        definition_id,
        created_at,
        _correlation_id,
        priority,
        last_seq,
        traceparent,
        _key,
        _fingerprint,
        nodes_open,
        counts,
        weight_total,
        updated_at,
        decider_version,
    ) = new_job(0, jobs[0])
    return [
        None
        if job.labels
        else (
            job,
            (
                job_no,
                job.job_id,
                tenant,
                workflow,
                workflow_version,
                definition_id,
                created_at,
                job.correlation_id,
                priority,
                last_seq,
                traceparent,
                ABSENT if job.idempotency_key is None else job.idempotency_key,
                ABSENT if job.fingerprint is None else job.fingerprint,
                nodes_open,
                counts,
                weight_total,
                updated_at,
                decider_version,
            ),
        )
        for job_no, job in zip(job_nos, jobs, strict=True)
    ]


def is_plain_task(task: Task) -> bool:
    """Tell whether a new task's row holds what `insert_new_task` leaves to the statement, if its job is not paused."""
    return not (
        (task.state is not _READY and task.state is not _BLOCKED)
        or task.concurrency_key is not None
        or task.attempt
        or task.run_id is not None
        or task.worker is not None
        or task.started_at is not None
        or task.finished_at is not None
        or task.wake_at is not None
        or task.error is not None
        or task.progress
        or task.stage is not None
        or task.cached
        or task.heartbeat is not None
        or task.items_total
        or task.items_released
        or task.items_settled
        or task.items_failed
        or task.items_skipped
        or task.stagger_until is not None
        or task.superseded
        or task.extra
    )


def new_task(job_no: int, task: Task) -> Row:
    """Return the parameters of `insert_new_task`."""
    state = task.state
    assert task.index >= NODE and task.generation >= 1 and task.unmet >= 0, f"{task.key}: a bad number"
    assert state is _BLOCKED or (task.handler and task.ready_seq is not None), f"{task.key} has no place in the order"
    return (
        job_no,
        task.node,
        task.index,
        task.generation,
        "ready" if state is _READY else "blocked",
        task.tenant,
        task.queue,
        task.handler,
        task.priority,
        task.unmet,
        ABSENT if task.ready_seq is None else task.ready_seq,
        ABSENT_REAL if task.ready_at is None else task.ready_at,
        ABSENT_REAL if task.first_ready_at is None else task.first_ready_at,
    )


def around_place(task: Task) -> tuple[Row, Row]:
    """Return what `new_task` says of a task before and after its place in the order, but for the job's number: the same of all tasks
    that differ in nothing but job and place."""
    row = new_task(0, task)
    return row[1:10], row[11:]


def jobs(entries: Iterable[JobEntry], gathered: dict[str, list[Row]], moves: list[JobMove]) -> list[JobEntry]:
    """Gather the rows of jobs that began or changed as most do, as parameters of their statements.

    Returns:
        The entries that are left. The others are noted as written.
    """
    new, begun, going, ended, others = [], [], [], [], []
    for entry in entries:
        job, before = entry.job, entry.stored_state
        state = job.state
        if before is None:
            as_begun, entry.begun = entry.begun, None
            if as_begun is not None and as_begun[0] is job:
                new.append(as_begun[1])
            elif entry.new_result is None and is_plain_job(job):
                new.append(new_job(entry.job_no, job))
            else:
                others.append(entry)
                continue
            moves.append((job.tenant, job.workflow, None, state))
            entry.usual = True
        elif not entry.usual:
            others.append(entry)
            continue
        else:
            assert job.runs_active >= 0 <= job.nodes_open, f"{job.job_id}: negative counters"
            assert 0.0 <= job.progress_percentage <= 100.0, f"{job.job_id}: progress {job.progress_percentage}"
            if state is _ENDED and before is _GOES_ON and entry.new_result is not None:
                assert job.wake_at is None and not job.paused, f"{job.job_id} has ended and wants to be woken"
                ended.append(
                    (
                        job.last_seq,
                        job.nodes_open,
                        job.runs_active,
                        _encode(job.counts).decode(),
                        job.weight_done,
                        job.progress_percentage,
                        job.current_stage,
                        job.finished_at,
                        job.updated_at,
                        entry.new_result,
                        entry.job_no,
                        entry.stored_seq,
                    )
                )
                entry.new_result = None
            elif state is _GOES_ON and (before is _GOES_ON or before is _QUEUED):
                row = (
                    job.last_seq,
                    job.nodes_open,
                    job.runs_active,
                    _encode(job.counts).decode(),
                    job.weight_done,
                    job.progress_percentage,
                    job.current_stage,
                    job.updated_at,
                    entry.job_no,
                    entry.stored_seq,
                )
                if before is _QUEUED:
                    begun.append((job.started_at, *row))
                else:
                    going.append(row)
            else:
                others.append(entry)
                continue
            if state is not before:
                moves.append((job.tenant, job.workflow, before, state))
        entry.stored_state = state
        entry.stored_seq = job.last_seq
        entry.dirty = False
    gathered.update(insert_new_job=new, begin_job=begun, move_job_on=going, complete_job=ended)
    return others


def tasks(
    entries: Iterable[TaskEntry],
    known_jobs: Mapping[str, JobEntry],
    gathered: dict[str, list[Row]],
    moves: list[TaskMove],
) -> list[TaskEntry]:
    """Do for tasks as `jobs` does.

    Args:
        known_jobs: tells of a ready task whether its job is paused.
    """
    new, opened, begun, completed, others = [], [], [], [], []
    for entry in entries:
        task, before = entry.task, entry.stored_state
        state = task.state
        if before is None:
            if state is _READY and known_jobs[task.job_id].job.paused:
                others.append(entry)
                continue
            as_begun, entry.begun = entry.begun, None
            if as_begun is not None and as_begun[0] is task:
                new.append(as_begun[1])
            elif entry.new_result is None and is_plain_task(task):
                new.append(new_task(entry.job_no, task))
            else:
                others.append(entry)
                continue
            entry.usual = True
        elif not entry.usual:
            others.append(entry)
            continue
        elif state is _RUNNING and before is _READY:
            assert task.run_id is not None and task.wake_at is None and task.stage is None, f"{task.key} runs unfenced"
            begun.append(
                (
                    task.attempt,
                    task.run_id,
                    task.worker,
                    task.started_at,
                    entry.job_no,
                    task.node,
                    task.index,
                    task.generation,
                    entry.stored_attempt,
                )
            )
        elif before is _BLOCKED and state is _READY and not known_jobs[task.job_id].job.paused:
            assert task.ready_seq is not None and task.unmet >= 0, f"{task.key} has no place in the order"
            opened.append(
                (
                    task.unmet,
                    task.ready_seq,
                    task.ready_at,
                    task.first_ready_at,
                    ABSENT_REAL if task.wake_at is None else task.wake_at,
                    entry.job_no,
                    task.node,
                    task.index,
                    task.generation,
                    entry.stored_attempt,
                )
            )
        elif state is _COMPLETED and before is _RUNNING and entry.new_result is not None:
            assert task.wake_at is None and task.error is None, f"{task.key} is completed and wants more"
            completed.append(
                (
                    task.finished_at,
                    task.progress,
                    entry.new_result,
                    entry.job_no,
                    task.node,
                    task.index,
                    task.generation,
                    entry.stored_attempt,
                )
            )
            entry.new_result = None
        else:
            others.append(entry)
            continue
        moves.append((task.queue, before, state))
        entry.counted_as = entry.stored_state = state
        entry.stored_attempt = task.attempt
        entry.dirty = False
    gathered.update(insert_new_task=new, open_task=opened, begin_task=begun, complete_task=completed)
    return others
