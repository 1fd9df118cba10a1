"""How does a child job begin, and how is it stopped? The parent's side; what its end means is in `child_ends.py`.

1. `open_child` makes the node (or the item of a map) wait and commands `StartChild`. The engine creates the job in the same
   transaction (`submission.child_job`), with the id the core gave it: the same decision gives the same child.
2. The child tells its parent of its first end (`tell_parent`), and of no later one: a child that somebody retries by itself
   does not revive a parent that has gone on without it.
3. A parent that closes, or rewinds the node, cancels the child (`stop_child`). It ends after its children have.

What a parent keeps: `task.extra["child_job"]`; `job.extra["children_open"]`, a count, so that a fact about one of thousands
of children costs O(1) (R4); `job.extra["definitions"]`, the definitions its children run, fixed at submission (R11, R24).
What a child keeps: `job.extra["parent"]`.
"""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from orpheus.core.decision import StartChild, TellJob, TellParent
from orpheus.core.draft import Draft, JobScope
from orpheus.core.facts import CancelRequested, Fact
from orpheus.core.graph import Node
from orpheus.core.ids import uuid7
from orpheus.core.task import NODE, Task, TaskState
from orpheus.core.values import resolve

MOST_AT_ONCE = 100
"""Children that one decision opens of a map; the map wakes itself for the rest. Each is a job of its own, some 0.3 ms of the
writer, and others want their turn in between."""


def open_child(draft: Draft, task: Task, node: Node) -> None:
    """Have the node (or item) wait for a job of its own. It takes no slot.

    Raises:
        BindingError, Skipped: its params cannot be made; nothing was changed.
    """
    scope = JobScope(draft, task)
    params = {name: resolve(value, scope) for name, value in node.args.items()}
    if task.index != NODE:
        params |= {name: scope.item() for name in node.items}
    job = draft.job
    child_id = child_id_of(task, draft.now)
    draft.move(task, TaskState.WAITING)
    task.started_at = draft.now
    task.extra = {**task.extra, "child_job": child_id}
    job.extra = {**job.extra, "children_open": job.extra.get("children_open", 0) + 1}
    job.current_stage = task.node
    draft.event("task.waiting", task, reason="child", child_job=child_id)
    draft.command(
        StartChild(
            job_id=child_id,
            node=task.node,
            index=task.index,
            generation=task.generation,
            definition_id=job.extra["definitions"][definition_key(node.workflow, node.workflow_version)],
            params=params,
            priority=task.priority,
            timeout_s=node.timeout_s,
        )
    )


def child_id_of(task: Task, now: float) -> str:
    """Return the id of the job that a task opens: sorted by its time as every id, and the same when decided again."""
    place = f"{task.job_id}/{task.node}/{task.index}/{task.generation}"
    return uuid7(now, int.from_bytes(hashlib.sha256(place.encode()).digest()[:10], "big"))


def definition_key(workflow: str, version: int | None) -> str:
    """Return the name under which a job keeps the definition of a child: without a version, what was newest then."""
    return workflow if version is None else f"{workflow}@{version}"


def waits_for_child(task: Task) -> bool:
    """Tell whether the task waits for a child job to end."""
    return task.state is TaskState.WAITING and "child_job" in task.extra


def stop_child(draft: Draft, task: Task, reason: str) -> None:
    """Cancel the child job of a task that is about to end without it; of any other task nothing."""
    if waits_for_child(task):
        draft.command(TellJob(task.extra["child_job"], CancelRequested(reason=reason)))


def tell_children(draft: Draft, fact: Fact) -> None:
    """Bring a fact to every child that the job waits for."""
    if not draft.job.extra.get("children_open"):
        return
    for task in draft.tasks((TaskState.WAITING,)):
        if waits_for_child(task):
            draft.command(TellJob(task.extra["child_job"], replace(fact, actor="engine")))


def tell_parent(draft: Draft) -> None:
    """Tell the parent of the first end of a child."""
    job = draft.job
    parent = job.extra.get("parent")
    if parent is None or parent.get("told"):
        return
    job.extra = {**job.extra, "parent": {**parent, "told": True}}
    draft.command(
        TellParent(
            job_id=parent["job"],
            node=parent["task"],
            index=parent["index"],
            generation=parent["generation"],
            state=str(job.state),
            error=job.error,
        )
    )
