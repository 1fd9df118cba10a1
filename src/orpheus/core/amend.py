"""What may be changed about a job after its creation? Its labels at any time, its priority until it ends."""

from __future__ import annotations

from orpheus.core.children import tell_children
from orpheus.core.draft import Draft
from orpheus.core.errors import InvalidRequest, InvalidTransition
from orpheus.core.facts import JobUpdated
from orpheus.core.graph import Node
from orpheus.core.job import TERMINAL, Job
from orpheus.core.task import SETTLED, TaskState

MOST_LABELS = 64
_OPEN = tuple(state for state in TaskState if state not in SETTLED)


def highest_of(job: Job) -> int:
    """Return the highest priority that the job's tenant may have; 1, the highest of all, without a cap."""
    highest: int = job.extra.get("max_priority", 1)
    return highest


def priority_of(job: Job, node: Node) -> int:
    """Return the priority of a node's tasks: its own, else the job's; never higher than the tenant may have (1 is the
    highest)."""
    wanted = job.priority if node.priority is None else node.priority
    return max(wanted, highest_of(job))


def updated(draft: Draft, fact: JobUpdated) -> None:
    """Change labels and priority; what is so already changes nothing. A new priority reorders what waits for a worker and
    leaves what runs alone; child jobs get it too (R25).

    Raises:
        InvalidTransition: the job has ended, and a priority is asked for.
        InvalidRequest: it would have too many labels.
    """
    job = draft.job
    changed = _relabel(job, fact)
    if fact.priority is not None:
        if job.state in TERMINAL:
            raise InvalidTransition(f"job {job.job_id} is {job.state}; its priority matters no more")
        priority = max(fact.priority, highest_of(job))
        if priority != job.priority:
            job.priority = changed["priority"] = priority
            _reorder(draft)
            tell_children(draft, JobUpdated(priority=priority))
    if changed:
        draft.event("job.updated", None, **changed)


def _relabel(job: Job, fact: JobUpdated) -> dict[str, object]:
    asked = {key: value for key, value in fact.labels.items() if job.labels.get(key) != value}
    if not asked:
        return {}
    labels = {key: value for key, value in {**job.labels, **asked}.items() if value is not None}
    if len(labels) > MOST_LABELS:
        raise InvalidRequest(
            f"job {job.job_id} would have {len(labels)} labels; at most {MOST_LABELS} can be kept",
            details=[{"path": "/labels", "message": "too many"}],
        )
    job.labels = labels
    return {"labels": asked}


def _reorder(draft: Draft) -> None:
    for task in draft.tasks(_OPEN):
        priority = priority_of(draft.job, draft.node(task))
        if task.priority != priority:
            task.priority = priority
            draft.change(task)
