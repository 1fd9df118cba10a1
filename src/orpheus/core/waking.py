"""Whose time has come? `wake_at` of a job or task was reached (design.md, promise 8: the core says when to wake it)."""

from __future__ import annotations

from orpheus.core import approvals, callbacks, signals
from orpheus.core.advance import release_items, settle
from orpheus.core.attempts import woken_ready, woken_retrying
from orpheus.core.closing import begin_closing
from orpheus.core.draft import Draft
from orpheus.core.errors import TaskError
from orpheus.core.facts import JobWoken, TaskWoken
from orpheus.core.gates import leave_pending
from orpheus.core.graph import NodeKind
from orpheus.core.job import JobState
from orpheus.core.task import NODE, Task, TaskState


def job_woken(draft: Draft, _fact: JobWoken) -> None:
    """Start a delayed job, or end one that ran out of time (R5). Waking too early only sets the clock again."""
    job = draft.job
    if job.state is JobState.PENDING:
        leave_pending(draft)
    elif job.closing is not None or job.deadline_at is None:
        job.wake_at = None
    elif draft.now >= job.deadline_at:
        begin_closing(
            draft,
            JobState.FAILED,
            TaskError(
                code="job_timeout",
                message=f"the job passed its timeout_s of {job.timeout_s:g} s",
                hint="raise timeout_s, or retry the job: finished tasks are kept",
            ),
        )
    else:
        job.wake_at = job.deadline_at


def task_woken(draft: Draft, fact: TaskWoken) -> None:
    """Go on with a task whose backoff, stagger, sleep or limit is over."""
    task = draft.task(fact.node, fact.index)
    if task.wake_at is None or draft.now < task.wake_at:
        return
    if task.state is TaskState.RETRYING:
        woken_retrying(draft, task)
    elif task.state is TaskState.READY:
        woken_ready(draft, task)
    elif task.state is TaskState.RUNNING and task.index == NODE:
        release_items(draft, task)
    elif task.state is TaskState.WAITING:
        _waited(draft, task)
    else:
        task.wake_at = None
        draft.change(task)


def _waited(draft: Draft, task: Task) -> None:
    """End a sleep, or a wait that nothing came of."""
    node = draft.node(task)
    if node.kind is NodeKind.SLEEP:
        draft.decision.results[task.key] = None
        draft.move(task, TaskState.COMPLETED)
        draft.event("task.completed", task)
        settle(draft, task)
    elif node.kind is NodeKind.APPROVAL:
        approvals.timed_out(draft, task, node)
    elif node.kind is NodeKind.WAIT_FOR:
        signals.timed_out(draft, task, node)
    elif callbacks.is_awaited(task):
        callbacks.timed_out(draft, task)
    else:
        task.wake_at = None
        draft.change(task)
