"""Which node may begin? Its condition, its inputs, and what opening it means for its kind."""

from __future__ import annotations

from collections.abc import Callable

from orpheus.core.advance import binding_failed, fail_task, open_child_node, open_map, open_sleep, open_task, skip
from orpheus.core.approvals import open_approval, pass_through
from orpheus.core.closing import complete_job
from orpheus.core.conditions import holds
from orpheus.core.draft import Draft, JobScope
from orpheus.core.graph import Node, NodeKind
from orpheus.core.job import JobState
from orpheus.core.signals import open_wait_for
from orpheus.core.task import Task, TaskState
from orpheus.core.values import BindingError, Skipped, missing


def advance(draft: Draft) -> None:
    """Look at every node whose predecessors have all settled, then at whether the job can end."""
    while draft.to_consider and draft.job.closing is None:
        _consider(draft, draft.task(draft.to_consider.popleft()))
    job = draft.job
    if job.nodes_open == 0 and job.closing is None and job.state in (JobState.QUEUED, JobState.RUNNING):
        complete_job(draft)


def _consider(draft: Draft, task: Task) -> None:
    if task.state is not TaskState.BLOCKED or task.unmet > 0:
        return
    node = draft.node(task)
    scope = JobScope(draft)
    try:
        wanted = holds(node.when, scope)
    except Skipped as skipped:
        skip(draft, task, f"its condition needs {skipped.node!r}, which has no value")
        return
    except BindingError as error:
        fail_task(draft, task, binding_failed(task, error))
        return
    if not wanted and node.kind is not NodeKind.APPROVAL:
        skip(draft, task, "its condition is false")
        return
    # Without predecessors nothing is referred to (3 % of a one-task job).
    gap = (
        missing([node.args, node.items, node.duration, node.max_concurrency, node.stagger_s], draft.has_value)
        if draft.graph.predecessors[node.name]
        else None
    )
    if gap is not None:
        skip(draft, task, f"it needs {gap!r}, which has no value")
    elif not wanted:
        pass_through(draft, task, node)
    else:
        _OPENERS[node.kind](draft, task, node)


_OPENERS: dict[NodeKind, Callable[[Draft, Task, Node], None]] = {
    NodeKind.TASK: open_task,
    NodeKind.MAP: open_map,
    NodeKind.SLEEP: open_sleep,
    NodeKind.APPROVAL: open_approval,
    NodeKind.WAIT_FOR: open_wait_for,
    NodeKind.CHILD: open_child_node,
}
