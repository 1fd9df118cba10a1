"""Who brings the result? An attempt whose handler has handed its work to another system (R22).

1. The handler gives away the token of its run and returns `wait_for_callback`. Its worker reports `waiting`, and the task
   is `waiting`: it holds no slot, no lease, no limits (R25), and its worker may go.
2. The other system brings a result or an error, named by the run. It may come before the worker's report: then it is kept
   until the report is there, as what the handler saved belongs to the result.
3. A result completes the task; an error, or the end of the wait, fails the attempt, and `retry` says whether another
   follows, with another token.

A run takes one callback; each later one gets the answer of the first. `run_id` is the fence: a callback for a run that was
rescued, cancelled or rewound is `stale_run`. A handler that returns a result itself after all needs no callback, and one
that came is not used.
"""

from __future__ import annotations

from dataclasses import asdict

from orpheus.core.advance import fail_task
from orpheus.core.attempts import accept, close_deadline, end_attempt_badly, ends_with_job, timeout_error
from orpheus.core.closing import cancel_task, end_if_still, end_run, note_unknown
from orpheus.core.decision import Callback
from orpheus.core.draft import Draft
from orpheus.core.errors import StaleRun, TaskError, UnknownTask
from orpheus.core.facts import ArtifactRef, CallbackReceived, RunWaiting
from orpheus.core.spending import tell
from orpheus.core.task import Task, TaskState


def waiting(draft: Draft, fact: RunWaiting) -> None:
    """Let go of a run whose result comes from elsewhere, or take the result that is there already."""
    task = draft.run(fact)
    assert draft.view is not None
    end_run(draft, task)
    task.extra = {**task.extra, "callback_s": fact.timeout_s, "artifacts": [asdict(ref) for ref in fact.artifacts]}
    if fact.price is not None:
        tell(draft.job, task, fact.price)
    early = draft.view.callback(fact.run_id)
    if early is not None:
        _settle(draft, task, early)
    elif ends_with_job(draft, task):
        note_unknown(draft, task)
        cancel_task(draft, task)
    else:
        limit = close_deadline(draft, task)
        until = draft.now + fact.timeout_s
        draft.move(task, TaskState.WAITING)
        task.wake_at = until if limit is None else min(until, limit)
        draft.event("task.waiting", task, reason="callback", attempt=task.attempt, until=task.wake_at)
    end_if_still(draft)


def received(draft: Draft, fact: CallbackReceived) -> None:
    """Take a callback, or keep it until its run has been reported as waiting.

    Raises:
        StaleRun: the run is over.
    """
    assert draft.view is not None
    if draft.view.callback(fact.run_id) is not None:
        return
    task = _run(draft, fact)
    callback = Callback(run_id=fact.run_id, result=fact.result, error=fact.error)
    draft.decision.callback = callback
    draft.change(task)
    draft.event("callback.received", task, outcome="result" if fact.error is None else "error")
    if task.state is TaskState.WAITING:
        _settle(draft, task, callback)


def _run(draft: Draft, fact: CallbackReceived) -> Task:
    try:
        task = draft.task(fact.node, fact.index)
    except UnknownTask:
        raise StaleRun(f"run {fact.run_id} is not known") from None
    if task.run_id != fact.run_id or task.state not in (TaskState.RUNNING, TaskState.WAITING):
        raise StaleRun(
            f"run {fact.run_id} of task {fact.node!r} is over", hint="It was cancelled, or another attempt has begun."
        )
    return task


def _settle(draft: Draft, task: Task, callback: Callback) -> None:
    if callback.error is not None:
        end_attempt_badly(draft, task, callback.error, retry_after_s=None)
        return
    refs = tuple(ArtifactRef(**ref) for ref in task.extra.get("artifacts", ()))
    accept(draft, task, callback.result, refs, callback=True)


def is_awaited(task: Task) -> bool:
    """Tell whether a task that waits was handed over by its handler."""
    return "callback_s" in task.extra


def timed_out(draft: Draft, task: Task) -> None:
    """End an attempt that nobody brought a result for; another may follow."""
    note_unknown(draft, task)
    limit = close_deadline(draft, task)
    if limit is not None and draft.now >= limit:
        fail_task(draft, task, timeout_error(draft, task, "timeout_schedule_to_close"))
        return
    error = TaskError(
        code="timeout_callback",
        message=f"no callback came for {task.node!r} within {task.extra['callback_s']:g} s",
        hint="see whether the other system got the token of this attempt, or wait longer: wait_for_callback(timeout_s=…)",
        retryable=True,
        task=task.node,
    )
    note_unknown(draft, task)
    end_attempt_badly(draft, task, error, retry_after_s=None)
