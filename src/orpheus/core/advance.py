"""What may go on now? How a settled task lets others begin, until the job can end.

1. A task settles (`settle`). Items count into their map's row; nodes count down `unmet` of their dependents.
2. A node whose `unmet` reaches zero is looked at (`opening.py`): its condition, its skipped inputs (R12), its kind.
3. It becomes ready, expands into items, waits, or settles at once, which may free others (step 1).
4. When no node is open the job closes as completed (`closing.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orpheus.core.cache_key import note_key
from orpheus.core.children import MOST_AT_ONCE, open_child
from orpheus.core.closing import begin_closing
from orpheus.core.draft import Draft, JobScope
from orpheus.core.errors import TaskError
from orpheus.core.graph import Node, OnFailure
from orpheus.core.job import JobState
from orpheus.core.pace import cap_of, find_pace, stagger_of
from orpheus.core.task import NEVER, NODE, Task, TaskState
from orpheus.core.values import BindingError, Skipped, resolve, spread


def begin_job(draft: Draft) -> None:
    """Take a queued job to running: something of it has begun."""
    if draft.job.state is JobState.QUEUED:
        draft.move_job(JobState.RUNNING)
        draft.job.started_at = draft.now
        draft.event("job.started")


def skip(draft: Draft, task: Task, reason: str) -> None:
    draft.move(task, TaskState.SKIPPED)
    draft.event("task.skipped", task, reason=reason)
    settle(draft, task)


def binding_failed(task: Task, error: BindingError) -> TaskError:
    return TaskError(
        code="binding_failed",
        message=f"task {task.node!r} cannot get its input: {error}",
        hint="the task that should return this value returned something else; compare its result with the graph",
        task=task.node,
    )


# Opening a node, by kind


def to_ready(draft: Draft, task: Task) -> None:
    """Let a task be claimed, and note until when it may wait for that (R5)."""
    node = draft.node(task)
    if node.concurrency_key is not None and task.concurrency_key is None:
        try:
            task.concurrency_key = f"{task.tenant}/{resolve(node.concurrency_key, JobScope(draft, task))}"
        except (BindingError, Skipped) as error:
            fail_task(draft, task, binding_failed(task, BindingError(f"its concurrency key: {error}")))
            return
    draft.move(task, TaskState.READY)
    task.ready_at = draft.now
    task.ready_seq = None
    if task.first_ready_at is None:
        task.first_ready_at = draft.now
    task.wake_at = start_deadline(task, node)
    draft.event("task.ready", task)
    if node.cache and task.attempt == 0:
        note_key(draft, task, node)


def start_deadline(task: Task, node: Node) -> float | None:
    """Return the instant at which a ready task has waited too long, or None."""
    limits = []
    if node.timeouts.schedule_to_start_s is not None and task.ready_at is not None:
        limits.append(task.ready_at + node.timeouts.schedule_to_start_s)
    if node.timeouts.schedule_to_close_s is not None and task.first_ready_at is not None:
        limits.append(task.first_ready_at + node.timeouts.schedule_to_close_s)
    return min(limits, default=None)


def open_task(draft: Draft, task: Task, _node: Node) -> None:
    to_ready(draft, task)


def open_map(draft: Draft, task: Task, node: Node) -> None:
    """Expand a map into one row per item. Items start blocked; cap and stagger release them (R13)."""
    try:
        find_pace(draft, task, node)
    except BindingError as error:
        fail_task(draft, task, binding_failed(task, error))
        return
    if task.extra.get("expanded"):  # renewed by a retry, which kept the finished items
        begin_job(draft)
        task.started_at = draft.now
        draft.move(task, TaskState.RUNNING)
        draft.event("task.started", task, items=task.items_total, kept=task.items_settled)
        release_items(draft, task)
        _close_map_if_done(draft, task)
        return
    try:
        (name, source), *others = node.items.items()
        assert not others, "a graph is checked to map over one argument"
        values = spread(resolve(source, JobScope(draft)))
    except BindingError as error:
        fail_task(draft, task, binding_failed(task, error))
        return
    except Skipped as skipped:
        skip(draft, task, f"it needs {skipped.node!r}, which has no value")
        return
    begin_job(draft)
    task.items_total = len(values)
    task.started_at = draft.now
    draft.move(task, TaskState.RUNNING)
    draft.event("task.started", task, items=len(values), over=name)
    for index, value in enumerate(values):
        item = Task(
            job_id=task.job_id,
            node=task.node,
            index=index,
            generation=task.generation,
            state=TaskState.BLOCKED,
            tenant=task.tenant,
            queue=node.queue if node.task else "",
            handler=node.handler,
            priority=task.priority,
        )
        draft.add(item)
        draft.decision.items[item.key] = value
    release_items(draft, task)
    _close_map_if_done(draft, task)


def release_items(draft: Draft, container: Task) -> None:
    """Release the next items of a map, as far as cap and stagger allow.

    With a stagger an item is released only a stagger's length after the one before it has *started*, so starts really
    are that far apart however late a worker comes. At most one item is then released and not started.
    """
    if container.node in draft.releasing or not _takes_items(draft, container):
        return  # an item that failed while it was being released asks again: the loop below goes on by itself
    draft.releasing.append(container.node)
    draft.change(container)
    _release(draft, container, draft.node(container))
    draft.releasing.remove(container.node)


def _takes_items(draft: Draft, container: Task) -> bool:
    return container.state is TaskState.RUNNING and draft.job.closing is None


def _release(draft: Draft, container: Task, node: Node) -> None:
    opened = 0
    cap, stagger_s = cap_of(container, node), stagger_of(container, node)
    while container.items_released < container.items_total and _takes_items(draft, container):
        if cap is not None:
            active = container.items_released - container.items_settled
            if active >= cap:
                break
        if container.stagger_until is not None and draft.now < container.stagger_until:
            break
        if opened >= MOST_AT_ONCE:
            container.wake_at = draft.now
            return
        item = _next_blocked(draft, container)
        container.items_released += 1
        if node.workflow:
            opened += 1
            open_child_node(draft, item, node)
            if stagger_s > 0 and item.state is TaskState.WAITING:
                container.stagger_until = draft.now + stagger_s
            continue
        if stagger_s > 0:
            container.stagger_until = NEVER
        to_ready(draft, item)
    more = container.items_released < container.items_total
    until = container.stagger_until
    container.wake_at = until if more and until is not None and draft.now < until < NEVER else None


def _next_blocked(draft: Draft, container: Task) -> Task:
    """Return the next item to release. After a retry some items are already settled and are passed over."""
    place: int = container.extra.get("cursor", container.items_released)
    item = draft.task(container.node, place)
    if "cursor" in container.extra:
        while item.state is not TaskState.BLOCKED:
            place += 1
            item = draft.task(container.node, place)
        container.extra = {**container.extra, "cursor": place + 1}
    return item


def open_sleep(draft: Draft, task: Task, node: Node) -> None:
    try:
        wake_at = _wake_of(resolve(node.duration, JobScope(draft)), draft.now)
    except BindingError as error:
        fail_task(draft, task, binding_failed(task, error))
        return
    begin_job(draft)
    draft.move(task, TaskState.WAITING)
    task.started_at = draft.now
    task.wake_at = wake_at
    draft.event("task.waiting", task, reason="timer", until=wake_at)


def _wake_of(duration: Any, now: float) -> float:
    """Return the instant a sleep ends: `duration` is seconds, or `{"until": RFC 3339}`."""
    try:
        if isinstance(duration, dict):
            until = datetime.fromisoformat(duration["until"])
            if until.tzinfo is None:
                raise BindingError(f"{duration['until']!r} has no time zone")
            return until.timestamp()
        seconds = float(duration)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise BindingError(f"{duration!r} is not a time to sleep: {error}") from None
    if not 0 <= seconds < NEVER:
        raise BindingError(f"cannot sleep {seconds} seconds")
    return now + seconds


def open_child_node(draft: Draft, task: Task, node: Node) -> None:
    begin_job(draft)
    try:
        open_child(draft, task, node)
    except (BindingError, Skipped) as error:
        fail_task(draft, task, binding_failed(task, BindingError(str(error))))


# Settling


def settle(draft: Draft, task: Task) -> None:
    """Tell the rest that a task has reached a settled state (already moved there, its event written)."""
    if task.node in draft.graph.undos:
        draft.compensates = True
        return
    if task.index != NODE:
        _settle_item(draft, task)
        return
    _credit(draft, task, draft.node(task).weight)
    draft.job.nodes_open -= 1
    if draft.job.closing is not None:
        return
    for name in draft.graph.dependents[task.node]:
        dependent = draft.change(draft.task(name))
        dependent.unmet -= 1
        assert dependent.unmet >= 0, f"{name} of {dependent.job_id} has more predecessors settled than it has"
        if dependent.unmet == 0:
            draft.to_consider.append(name)


def share_of(draft: Draft, task: Task) -> float:
    """Return what a task contributes to `weight_total`: its node's weight, divided evenly between a map's items."""
    weight = draft.node(task).weight
    if task.index == NODE or weight == 0.0:
        return weight
    total = draft.task(task.node).items_total
    return weight / total if total else 0.0


def _credit(draft: Draft, task: Task, share: float) -> None:
    """Count what is left of a task's share; what its progress had earned is counted already."""
    draft.job.weight_done += share * (1.0 - task.progress)
    task.progress = 1.0


def _settle_item(draft: Draft, item: Task) -> None:
    container = draft.change(draft.task(item.node))
    container.items_settled += 1
    container.items_failed += item.state is TaskState.FAILED
    container.items_skipped += item.state is TaskState.SKIPPED
    share = share_of(draft, item) * (1.0 - item.progress)
    item.progress = 1.0
    draft.job.weight_done += share
    # The map's own progress is the settled part of its share, so that settling it adds just the rest.
    container.progress = min(1.0, container.items_settled / container.items_total)
    if container.stagger_until == NEVER and item.attempt == 0:
        container.stagger_until = draft.now  # it was released and will never start: do not hold the next one back
    if container.state is TaskState.RUNNING and draft.job.closing is None:
        release_items(draft, container)
        _close_map_if_done(draft, container)


def _close_map_if_done(draft: Draft, container: Task) -> None:
    if container.state is TaskState.RUNNING and container.items_settled == container.items_total:
        draft.move(container, TaskState.COMPLETED)
        draft.event(
            "task.completed",
            container,
            items=container.items_total,
            failed=container.items_failed,
            skipped=container.items_skipped,
        )
        settle(draft, container)


def fail_task(draft: Draft, task: Task, error: TaskError) -> None:
    """End a task for good, as its `on_failure` (of an approval: its `on_reject`) says (R12, R13, R14)."""
    on_failure = draft.node(task).on_failure_of(error.code)
    task.error = error
    if on_failure is OnFailure.SKIP:
        draft.move(task, TaskState.SKIPPED)
        draft.event("task.skipped", task, reason="it failed", error=_told(error))
        settle(draft, task)
        return
    draft.move(task, TaskState.FAILED)
    draft.event("task.failed", task, error=_told(error), on_failure=str(on_failure))
    settle_as_failed = settle if on_failure is not OnFailure.FAIL else _fail_with_job
    settle_as_failed(draft, task)


def _fail_with_job(draft: Draft, task: Task) -> None:
    """Count the failed task, fail the map it is an item of, then close the job."""
    assert task.error is not None
    error = task.error
    if draft.job.closing is None:
        begin_closing(draft, JobState.FAILED, error, because_of=task)
    else:
        settle(draft, task)


def _told(error: TaskError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "retryable": error.retryable, "type": error.type}
