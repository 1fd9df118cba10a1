"""What becomes of an attempt: claimed, returned, completed, failed, lost, out of time, fenced.

Every function takes the row of the *current* attempt: `Draft.run` has refused any other as `stale_run` (R6).
"""

from __future__ import annotations

from typing import Any

from orpheus.core.advance import begin_job, fail_task, settle, share_of, start_deadline, to_ready
from orpheus.core.cache_key import MADE_WITH
from orpheus.core.caching import remember
from orpheus.core.closing import begin_closing, cancel_task, end_if_still, end_run, note_unknown
from orpheus.core.compensation import undo_args
from orpheus.core.decision import PublishArtifacts
from orpheus.core.draft import Draft, JobScope
from orpheus.core.errors import InvalidTransition, TaskError
from orpheus.core.facts import (
    ArtifactRef,
    RunCompleted,
    RunFailed,
    RunFenced,
    RunLost,
    RunProgressed,
    RunReturned,
    RunTimedOut,
    TaskClaimed,
)
from orpheus.core.job import JobState
from orpheus.core.pace import stagger_of
from orpheus.core.retry import next_attempt_in
from orpheus.core.spending import hold, lose, spend
from orpheus.core.task import NEVER, NODE, Task, TaskState
from orpheus.core.values import BindingError, Skipped, resolve


def claimed(draft: Draft, fact: TaskClaimed) -> None:
    """Begin an attempt and answer with its arguments; a task whose arguments cannot be made fails instead."""
    job = draft.job
    task = draft.task(fact.node, fact.index)
    undoes = task.node in draft.graph.undos
    held_back = job.paused or (job.closing is not None and not undoes)
    if task.state is not TaskState.READY or held_back or fact.generation not in (None, task.generation):
        raise InvalidTransition(f"task {fact.node!r} of job {job.job_id} cannot be claimed now")
    node = draft.node(task)
    scope = JobScope(draft, task)
    try:
        args = undo_args(draft, task) if undoes else {name: resolve(v, scope) for name, v in node.args.items()}
        if task.index != NODE:
            args |= {name: scope.item() for name in node.items}
    except (BindingError, Skipped) as error:
        message = f"task {task.node!r} cannot get its input: {error}"
        fail_task(draft, task, TaskError(code="binding_failed", message=message, task=task.node))
        return
    if node.price is not None:
        broke = hold(draft, task, node.price, args)
        if broke is not None:
            begin_closing(draft, JobState.FAILED, broke)  # the job fails, whatever the task's `on_failure` says
            return
    begin_job(draft)
    draft.move(task, TaskState.RUNNING)
    task.attempt += 1
    task.run_id = fact.run_id
    task.worker = fact.worker
    if fact.made_with != task.extra.get(MADE_WITH, ""):
        task.extra = {**task.extra, MADE_WITH: fact.made_with}
    task.started_at = draft.now
    task.wake_at = None
    task.stage = None
    job.runs_active += 1
    job.current_stage = task.node
    if task.index != NODE and task.attempt == 1 and not undoes:
        _start_stagger(draft, task)
    draft.event("task.started", task, attempt=task.attempt, worker=fact.worker_name or fact.worker)
    draft.decision.assignment = {"args": args}


def _start_stagger(draft: Draft, item: Task) -> None:
    """Let the next item of the map be released a stagger's length from now: this one has started."""
    container = draft.task(item.node)
    stagger_s = stagger_of(container, draft.node(item))
    if stagger_s <= 0:
        return
    if container.stagger_until != NEVER:
        return  # another item was released meanwhile, as this one's first grant had been taken back
    draft.change(container)
    container.stagger_until = draft.now + stagger_s
    if container.items_released < container.items_total:
        container.wake_at = container.stagger_until


def returned(draft: Draft, fact: RunReturned) -> None:
    """Take back a grant that never reached its worker: no attempt was made (R8)."""
    task = draft.run(fact)
    end_run(draft, task)
    if ends_with_job(draft, task):
        cancel_task(draft, task)
        end_if_still(draft)
        return
    draft.move(task, TaskState.READY)
    draft.event("task.ready", task, reason="grant_not_received", attempt=task.attempt - 1)
    task.attempt -= 1
    task.run_id = None
    task.worker = None
    task.started_at = None
    task.wake_at = start_deadline(task, draft.node(task))
    if task.index != NODE and task.attempt == 0:
        _undo_stagger(draft, task)


def _undo_stagger(draft: Draft, item: Task) -> None:
    """Have the next item of the map wait for this one again: it has not started after all."""
    if item.node in draft.graph.undos:
        return  # of an undo there is no map
    container = draft.task(item.node)
    if stagger_of(container, draft.node(item)) > 0 and container.stagger_until != NEVER:
        draft.change(container)
        container.stagger_until = NEVER
        container.wake_at = None


def completed(draft: Draft, fact: RunCompleted) -> None:
    """Accept a result. One that arrives while the job closes is kept, but starts no successor (R18)."""
    task = draft.run(fact)
    end_run(draft, task)
    accept(draft, task, fact.result, fact.artifacts, price=fact.price)
    end_if_still(draft)


def accept(
    draft: Draft,
    task: Task,
    result: Any,
    artifacts: tuple[ArtifactRef, ...],
    *,
    price: float | None = None,
    **told: Any,
) -> None:
    """Complete a task whose run is over with what it brought, by its worker or by a callback (R10). Its price is what the
    attempt says it cost, else what its task declares."""
    assert draft.view is not None
    twice = next((ref.name for ref in artifacts if draft.view.has_artifact(ref.name)), None)
    if twice is not None:
        message = f"task {task.node!r} saved {twice!r}, which another task of this job has saved already"
        error = TaskError(
            code="artifact_conflict", message=message, hint="give one of them another name", task=task.node
        )
        note_unknown(draft, task)
        end_attempt_badly(draft, task, error, retry_after_s=None)
        return
    draft.decision.results[task.key] = result
    task.error = None
    if artifacts:
        draft.decision.artifacts.extend((task, ref) for ref in artifacts)
        draft.job.has_files = True
        draft.command(PublishArtifacts())
    if draft.node(task).cache:
        remember(draft, task, result, artifacts)
    price = task.extra.get("price") if price is None else price
    draft.move(task, TaskState.COMPLETED)
    spent = {} if price is None else spend(draft.job, task, price)
    names = [ref.name for ref in artifacts]
    draft.event("task.completed", task, attempt=task.attempt, artifacts=names, **told, **spent)
    settle(draft, task)


def failed(draft: Draft, fact: RunFailed) -> None:
    """Decide between another attempt and the end of the task (R17)."""
    task = draft.run(fact)
    if fact.cancelled or fact.error.code == "result_too_large":
        note_unknown(draft, task)
    if fact.price is not None:
        lose(draft.job, fact.price)
    _end_badly(draft, task, fact.error, retry_after_s=fact.retry_after_s)


def lost(draft: Draft, fact: RunLost) -> None:
    """Take an attempt away from a worker that was not heard of for a lease's length. It counts (R9)."""
    task = draft.run(fact)
    note_unknown(draft, task)
    worker = fact.worker_name or task.worker
    draft.event("task.rescued", task, attempt=task.attempt, worker=worker)
    error = TaskError(
        code="worker_lost",
        message=f"the worker {worker} was not heard of for a whole lease during attempt {task.attempt}",
        hint="it was killed, lost its network, or this file makes it crash; see the attempts and the worker's own log",
        retryable=True,
        task=task.node,
    )
    _end_badly(draft, task, error, retry_after_s=None)


_LIMITS = {
    "timeout_start_to_close": "start_to_close_s",
    "timeout_heartbeat": "heartbeat_s",
    "timeout_schedule_to_close": "schedule_to_close_s",
    "timeout_schedule_to_start": "schedule_to_start_s",
}


def timeout_error(draft: Draft, task: Task, code: str) -> TaskError:
    """Return the error of a passed limit. The limits that span all attempts are final."""
    option = _LIMITS[code]
    limit = getattr(draft.node(task).timeouts, option)
    return TaskError(
        code=code,
        message=f"task {task.node!r} passed its {option} of {limit:g} s",
        hint=f"raise {option}, or see in the attempt's log where the time went",
        retryable=code in ("timeout_start_to_close", "timeout_heartbeat"),
        task=task.node,
    )


def timed_out(draft: Draft, fact: RunTimedOut) -> None:
    """End an attempt that passed a limit; whether another follows is for the policy to say."""
    task = draft.run(fact)
    note_unknown(draft, task)
    _end_badly(draft, task, timeout_error(draft, task, fact.code), retry_after_s=None)


def fenced(draft: Draft, fact: RunFenced) -> None:
    """Stop waiting for a run that was told to stop and did not within its grace (R18)."""
    task = draft.run(fact)
    if not ends_with_job(draft, task):
        raise InvalidTransition(f"run {fact.run_id} was not told to stop")
    note_unknown(draft, task)
    end_run(draft, task)
    cancel_task(draft, task)
    end_if_still(draft)


def progressed(draft: Draft, fact: RunProgressed) -> None:
    """Remember how far a run is. Progress only grows, over all attempts of a generation (promise 7)."""
    task = draft.change(draft.run(fact))
    if fact.fraction is not None:
        fraction = min(1.0, max(0.0, fact.fraction))
        if fraction > task.progress:
            draft.job.weight_done += share_of(draft, task) * (fraction - task.progress)
            task.progress = fraction
    if fact.stage is not None:
        task.stage = fact.stage
        draft.job.current_stage = fact.stage
    if fact.heartbeat is not None:
        task.heartbeat = fact.heartbeat


def ends_with_job(draft: Draft, task: Task) -> bool:
    """Tell whether the job's end ends the task: that of an undo does not (R19)."""
    return draft.job.closing is not None and task.node not in draft.graph.undos


def _end_badly(draft: Draft, task: Task, error: TaskError, *, retry_after_s: float | None) -> None:
    end_run(draft, task)
    end_attempt_badly(draft, task, error, retry_after_s=retry_after_s)


def end_attempt_badly(draft: Draft, task: Task, error: TaskError, *, retry_after_s: float | None) -> None:
    """Retry or fail a task whose attempt no worker holds any more (R17)."""
    if ends_with_job(draft, task):
        cancel_task(draft, task, error)
        end_if_still(draft)
        return
    wait_s = next_attempt_in(
        draft.node(task).retry,
        attempt=task.attempt,
        retryable=error.retryable,
        error_type=error.type,
        retry_after_s=retry_after_s,
        draw=draft.draws.uniform(),
    )
    if wait_s is None:
        fail_task(draft, task, error)
        return
    due = draft.now + wait_s
    task.error = error
    draft.move(task, TaskState.RETRYING)
    limit = close_deadline(draft, task)
    task.wake_at = due if limit is None else min(due, limit)
    told = {"code": error.code, "message": error.message, "type": error.type}
    draft.event("task.retrying", task, attempt=task.attempt, wait_s=wait_s, error=told)


def close_deadline(draft: Draft, task: Task) -> float | None:
    """Return the end of `schedule_to_close_s`, which spans all attempts (R5)."""
    limit = draft.node(task).timeouts.schedule_to_close_s
    return None if limit is None or task.first_ready_at is None else task.first_ready_at + limit


def woken_retrying(draft: Draft, task: Task) -> None:
    """Begin the next attempt's wait for a worker, or end the task when its time is over."""
    limit = close_deadline(draft, task)
    if limit is not None and draft.now >= limit:
        fail_task(draft, task, timeout_error(draft, task, "timeout_schedule_to_close"))
    else:
        to_ready(draft, task)


def woken_ready(draft: Draft, task: Task) -> None:
    """End a task that waited too long for a worker."""
    limit = close_deadline(draft, task)
    node = draft.node(task)
    if limit is not None and draft.now >= limit:
        fail_task(draft, task, timeout_error(draft, task, "timeout_schedule_to_close"))
        return
    start = node.timeouts.schedule_to_start_s
    if start is not None and task.ready_at is not None and draft.now >= task.ready_at + start:
        fail_task(draft, task, timeout_error(draft, task, "timeout_schedule_to_start"))
        return
    task.wake_at = start_deadline(task, node)
    draft.change(task)
