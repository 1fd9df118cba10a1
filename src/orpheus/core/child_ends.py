"""What does the end of a child job mean to its parent? Its result is the node's value, its failure the node's failure."""

from __future__ import annotations

from typing import Any

from orpheus.core.advance import fail_task, settle
from orpheus.core.children import waits_for_child
from orpheus.core.closing import end_if_still
from orpheus.core.draft import Draft
from orpheus.core.errors import TaskError, UnknownTask
from orpheus.core.facts import ChildEnded
from orpheus.core.graph import Node
from orpheus.core.job import JobState
from orpheus.core.task import Task, TaskState


def child_ended(draft: Draft, fact: ChildEnded) -> None:
    """Settle the node that waits for the child. One that was rewound or cancelled meanwhile only counts it as ended."""
    job = draft.job
    still_open = job.extra.get("children_open", 0) - 1
    assert still_open >= 0, f"job {job.job_id} has fewer than no children"
    extra = {**job.extra, "children_open": still_open}
    if not still_open:
        del extra["children_open"]
    job.extra = extra
    task = _waiting(draft, fact)
    if task is None:
        end_if_still(draft)
        return
    if fact.state == JobState.COMPLETED:
        draft.decision.results[task.key] = fact.result
        draft.move(task, TaskState.COMPLETED)
        draft.event("task.completed", task, child_job=fact.child_job)
        settle(draft, task)
    else:
        fail_task(draft, task, child_error(fact, task, draft.node(task)))
    end_if_still(draft)


def _waiting(draft: Draft, fact: ChildEnded) -> Task | None:
    try:
        task = draft.task(fact.node, fact.index)
    except UnknownTask:  # an item of a map that was rewound
        return None
    return task if waits_for_child(task) and task.extra["child_job"] == fact.child_job else None


def child_error(fact: ChildEnded, task: Task, node: Node) -> TaskError:
    """Name the child, and say what ended it."""
    details: dict[str, Any] = {"child_job": fact.child_job, "state": fact.state}
    if fact.error is not None:
        details["error"] = {"code": fact.error.code, "message": fact.error.message, "task": fact.error.task}
    if fact.state == "refused":
        return TaskError(
            code="binding_failed",
            message=f"task {task.node!r} cannot begin its child job: {fact.error.message if fact.error else ''}",
            hint=f"compare what the node passes with the params of workflow {node.workflow!r}",
            task=task.node,
            details=details,
        )
    cause = f": {fact.error.message}" if fact.error is not None else ""
    return TaskError(
        code="child_failed",
        message=f"child job {fact.child_job} ({node.workflow}) was {fact.state}{cause}"
        if fact.state == JobState.CANCELLED
        else f"child job {fact.child_job} ({node.workflow}) {fact.state}{cause}",
        hint="see the child job; a retry of this job begins a new one",
        task=task.node,
        details=details,
    )
