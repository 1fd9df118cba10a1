"""What runs again? Retry of a job, with other params perhaps, and rewind to a task (R20).

A new generation begins. The affected tasks get new rows; older rows stay as they ended. Finished work elsewhere is kept,
in a map even item by item.
"""

from __future__ import annotations

from typing import Any

from orpheus.core import compensation
from orpheus.core.amend import priority_of
from orpheus.core.cache_key import NO_CACHE
from orpheus.core.children import stop_child
from orpheus.core.closing import end_run
from orpheus.core.draft import Draft
from orpheus.core.errors import InvalidTransition, UnknownTask
from orpheus.core.facts import RetryRequested
from orpheus.core.gates import start_clock
from orpheus.core.graph import Node, NodeKind, OnFailure
from orpheus.core.job import TERMINAL, JobState
from orpheus.core.reads import readers
from orpheus.core.spending import set_budget
from orpheus.core.task import NODE, SETTLED, Task, TaskState


def retry_requested(draft: Draft, fact: RetryRequested) -> None:
    """Begin a new generation: with the failed tasks, with what reads changed params, or with `from_task`, and all below."""
    job = draft.job
    changed = _changed(draft, fact)
    starts = [*readers(draft.graph, changed), *([fact.from_task] if fact.from_task is not None else [])]
    _check_allowed(draft, fact, starts)
    told: dict[str, Any] = set_budget(job, fact.budget)
    if changed:
        draft.decision.params = fact.params
        told |= {"params": sorted(changed)}
    if compensation.has_failed(job):
        compensation.resume(draft)
        return
    affected, whole = _affected(draft, starts, compensation.forget(draft))
    _stop_what_is_affected(draft, affected)
    job.generation += 1
    job.error = None
    job.cancel_requested_at = None
    job.cancel_reason = None
    job.closing = None
    job.finished_at = None
    draft.decision.sets_job_result = True
    renewed = _renew_rows(draft, affected, whole)
    if fact.from_task is not None and draft.graph.nodes[fact.from_task].cache:
        named = draft.task(fact.from_task)
        named.extra = {**named.extra, NO_CACHE: True}  # whoever names a task wants it to run
    if job.state in TERMINAL:
        draft.move_job(JobState.QUEUED)
    _recount(draft)
    start_clock(draft)
    told |= {"from_task": fact.from_task} if fact.from_task else {}
    draft.event("job.retried", None, generation=job.generation, state=str(job.state), renewed=renewed, **told)
    for name in affected:
        if draft.task(name).unmet == 0:
            draft.to_consider.append(name)


def _changed(draft: Draft, fact: RetryRequested) -> set[str]:
    if fact.params is None:
        return set()
    before = draft.params()
    return {name for name in {*before, *fact.params} if before.get(name, ...) != fact.params.get(name, ...)}


def _check_allowed(draft: Draft, fact: RetryRequested, starts: list[str]) -> None:
    job = draft.job
    if job.closing is not None:
        raise InvalidTransition(f"job {job.job_id} is about to end; retry it then")
    if fact.from_task is not None and fact.from_task not in draft.graph.nodes:
        raise UnknownTask(
            f"workflow {job.workflow!r} has no task {fact.from_task!r}",
            hint=f"its tasks are {', '.join(list(draft.graph.nodes)[:20])}",
        )
    if starts:
        if job.state in (JobState.PENDING, JobState.QUEUED):
            raise InvalidTransition(f"job {job.job_id} is {job.state}: nothing of it has run yet")
        if compensation.has_failed(job):
            raise InvalidTransition(
                f"job {job.job_id} is only partly undone, so it cannot be rewound yet",
                hint="retry it without from_task and params: it goes on undoing",
            )
    elif job.state not in (JobState.FAILED, JobState.CANCELLED):
        nothing = ", and nothing of it reads a param that has changed" if fact.params is not None else ""
        raise InvalidTransition(
            f"job {job.job_id} is {job.state}; only a failed or cancelled job can be retried{nothing}",
            hint="name a task with from_task to run it and what depends on it again, or give it other params",
        )
    unapproved = job.requires_approval and job.approved_at is None
    early = job.run_at is not None and draft.now < job.run_at
    broken = job.error is not None and job.error.code == "dependency_failed"
    if unapproved or early or broken or job.unmet_jobs > 0:
        raise InvalidTransition(
            f"job {job.job_id} was cancelled before it might run; a retry would pass over what it waited for",
            hint="submit it again",
        )


def _affected(draft: Draft, named: list[str], undone: list[str]) -> tuple[list[str], dict[str, bool]]:
    """Return affected nodes in node order, and for each whether all of it runs again (a map may keep finished items).

    What was undone counts as not done: its effect is gone (R19).
    """
    graph = draft.graph
    broken = [
        task.node
        for task in draft.tasks((TaskState.FAILED, TaskState.CANCELLED))
        if task.index == NODE and not _failed_and_went_on(task, graph.nodes[task.node])
    ]
    broken += [name for name in undone if name not in broken]
    starts = [*named, *broken]
    below: dict[str, bool] = {}
    waiting = [name for start in starts for name in graph.dependents[start]]
    while waiting:
        name = waiting.pop()
        if name not in below:
            below[name] = True
            waiting.extend(graph.dependents[name])
    whole = dict.fromkeys(broken, False) | below | dict.fromkeys(named, True)
    return [name for name in graph.nodes if name in whole], whole


def _failed_and_went_on(task: Task, node: Node) -> bool:
    if task.state is not TaskState.FAILED:
        return False
    return node.on_failure_of(task.error.code if task.error is not None else "") is OnFailure.CONTINUE


def _stop_what_is_affected(draft: Draft, affected: list[str]) -> None:
    """Fence the running attempts among the affected tasks, and end the idle ones: their rows never move again."""
    if draft.job.state in TERMINAL:
        return
    for name in affected:
        for task in draft.tasks([state for state in TaskState if state not in SETTLED], name):
            if task.state is TaskState.RUNNING and task.run_id is not None:
                end_run(draft, task)
            stop_child(draft, task, f"its parent job {task.job_id} was rewound")
            draft.move(task, TaskState.CANCELLED)
            draft.event("task.cancelled", task, reason="rewound")


def _renew_rows(draft: Draft, affected: list[str], whole: dict[str, bool]) -> dict[str, list[int] | None]:
    """Give each affected node (and item) a new row; return the nodes, with the items renewed in kept maps."""
    fresh = dict.fromkeys(affected, True)
    renewed: dict[str, list[int] | None] = {}
    for name in affected:
        node = draft.graph.nodes[name]
        old = draft.task(name)
        unmet = sum(
            # In a job that still runs, a predecessor may be untouched by the rewind and not settled yet.
            1
            for before in draft.graph.predecessors[name]
            if before in fresh or draft.task(before).state not in SETTLED
        )
        keeps_items = node.kind is NodeKind.MAP and not whole[name] and unmet == 0 and old.items_total > 0
        items = draft.tasks(list(TaskState), name) if node.kind is NodeKind.MAP else []
        items = [item for item in items if item.index != NODE]
        draft.supersede(old)
        new = draft.add(_new_row(draft, old, node, unmet))
        renewed[name] = None
        if keeps_items:
            renewed[name] = _renew_items(draft, new, node, items)
        else:
            for item in items:
                draft.supersede(item)
    return renewed


def _new_row(draft: Draft, old: Task, node: Node, unmet: int) -> Task:
    return Task(
        job_id=old.job_id,
        node=old.node,
        index=old.index,
        generation=draft.job.generation,
        state=TaskState.BLOCKED,
        tenant=old.tenant,
        queue=old.queue,
        handler=old.handler,
        priority=priority_of(draft.job, node),
        unmet=unmet,
    )


def _renew_items(draft: Draft, container: Task, node: Node, items: list[Task]) -> list[int]:
    """Go on with a map where it failed: its finished items stay, the others get new rows with the values they had."""
    assert draft.view is not None
    renewed = []
    settled = 0
    for item in items:
        broken = item.state in (TaskState.FAILED, TaskState.CANCELLED) and not _failed_and_went_on(item, node)
        if broken or item.extra.get("compensated"):
            value = draft.view.item_value(item.node, item.index)
            draft.supersede(item)
            new = draft.add(_new_row(draft, item, node, 0))
            draft.decision.items[new.key] = value
            renewed.append(item.index)
        else:
            settled += 1
            container.items_failed += item.state is TaskState.FAILED
            container.items_skipped += item.state is TaskState.SKIPPED
    container.items_total = len(items)
    container.items_settled = container.items_released = settled
    container.progress = settled / len(items)
    container.extra = {**container.extra, "cursor": 0, "expanded": True}
    return renewed


def _recount(draft: Draft) -> None:
    """Start the new generation's progress, and the number of open nodes, from what is kept."""
    job = draft.job
    job.progress_percentage = 0.0
    job.weight_done = 0.0
    job.nodes_open = 0
    for name, node in draft.graph.nodes.items():
        task = draft.task(name)
        settled = task.state in SETTLED
        job.nodes_open += not settled
        job.weight_done += node.weight * (1.0 if settled else task.progress)
