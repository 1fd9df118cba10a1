"""Most jobs of a workflow begin alike: the first rows are decided once per graph and priority, and copied from then on.

As with `usual.py` nothing is said here that `submission.submit_at_length` does not say; the tests compare the two. What makes a
beginning unusual (approval, a time, dependencies, a limit, a budget, children, a root with a condition or a key) is decided at length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from orpheus.core.decision import Decision, Event
from orpheus.core.job import Job
from orpheus.core.task import Task, TaskState

if TYPE_CHECKING:
    from orpheus.core.submission import NewJob

_READY = TaskState.READY


class Beginning(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The first rows of a job that begins like another: what differs from that one's decision."""

    like: Decision
    """Of the job that it begins like."""
    job: Job
    tasks: list[Task]
    params: dict[str, Any]
    params_text: str
    """The same as JSON."""

    @property
    def decision(self) -> Decision:
        """What would have been decided for it alone."""
        return Decision(self.job, is_new=True, new_tasks=self.tasks, params=self.params, events=self.like.events)


def is_usual(request: NewJob) -> bool:
    """Tell whether nothing holds the job back and nothing stands in its `extra`."""
    return (
        request.run_at is None
        and request.timeout_s is None
        and not request.dependencies
        and not request.requires_approval
        and not request.paused
        and not request.extra
        and not request.definitions
        and request.failed_dependency is None
        and request.max_priority <= 1
        and request.parent is None
    )


def begin_beside(
    first: Decision,
    job_id: str,
    params: dict[str, Any],
    params_text: str,
    *,
    correlation_id: str,
    labels: Mapping[str, str],
    idempotency_key: str | None,
    fingerprint: str | None,
) -> Beginning:
    """Return the first rows of a job that was submitted beside an earlier usual one, at the same instant and in the same
    words but for what is given here. What says nothing of the job itself they share: its events, the counts of its tasks.

    Args:
        params: belong to the job from here on.
    """
    job: Job = first.job.__copy__()  # type: ignore[attr-defined]  # and not `copy`: nobody changes the counts of a row
    job.job_id = job_id
    job.correlation_id = correlation_id
    job.labels = dict(labels)
    job.idempotency_key = idempotency_key
    job.fingerprint = fingerprint
    tasks = []
    for one in first.new_tasks:
        task = one.copy()
        task.job_id = job_id
        tasks.append(task)
    return Beginning(first, job, tasks, params, params_text)


def begin_like(first: Decision, request: NewJob, now: float) -> Decision:
    """Return a job's first rows, made from those of an earlier job of the same graph and priority."""
    job = first.job.copy()
    job.job_id = request.job_id
    job.tenant = request.tenant
    job.created_at = job.updated_at = now
    job.correlation_id = request.correlation_id
    job.labels = dict(request.labels)
    job.traceparent = request.traceparent
    job.idempotency_key = request.idempotency_key
    job.fingerprint = request.fingerprint
    job.webhook_url = request.webhook_url
    job.has_files = request.has_files
    tasks = []
    for one in first.new_tasks:
        task = one.copy()
        task.job_id = request.job_id
        task.tenant = request.tenant
        if task.state is _READY:
            task.ready_at = task.first_ready_at = now
        tasks.append(task)
    actor = request.actor
    events = [Event(one.seq, one.type, now, actor, one.task, one.index, one.run_id, one.data) for one in first.events]
    events[0].data = {**events[0].data, "tenant": request.tenant}
    return Decision(job, is_new=True, new_tasks=tasks, params=dict(request.params), events=events)
