"""The usual facts, decided straight away: an attempt begins, an attempt completes, and nothing about it is special.

This is the decider's short way for the two facts that every attempt of every task brings. It says nothing of its own: wherever it
answers, `decide` without it answers the same, which `testing/simulation/core_walk.py` compares at every step of every walk, and
`tests/property/test_usual.py` on graphs of all kinds. Where anything is unusual (a price, a cache, an undo, a stagger, a pause, a closing
job, files, a parent, a condition to look at …) it returns None before it has done anything, and the long way is taken.

It is there for its speed alone: with it the engine spends a third less on a one-task job (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orpheus.core.advance import start_deadline
from orpheus.core.cache_key import MADE_WITH
from orpheus.core.decision import Decision, Event, ForgetRun, TellDependents, View
from orpheus.core.draft import show_progress
from orpheus.core.facts import RunCompleted, TaskClaimed
from orpheus.core.graph import Graph, Node
from orpheus.core.job import Job, JobState
from orpheus.core.task import NODE, Task, TaskState
from orpheus.core.usual_nodes import UsualNode

_READY, _RUNNING, _COMPLETED, _BLOCKED = TaskState.READY, TaskState.RUNNING, TaskState.COMPLETED, TaskState.BLOCKED
_QUEUED, _JOB_RUNNING, _JOB_COMPLETED = JobState.QUEUED, JobState.RUNNING, JobState.COMPLETED
_TELL_DEPENDENTS = TellDependents("completed")

JOB_CHANGES = (
    *("state", "last_seq", "paused", "wake_at", "nodes_open", "runs_active", "counts", "weight_done"),
    *("progress_percentage", "current_stage", "started_at", "finished_at", "updated_at"),
)
"""What these facts change of a job's row; the store writes no more of it (store/rows.py)."""
TASK_CHANGES = (
    *("state", "unmet", "attempt", "run_id", "worker", "ready_seq", "ready_at", "first_ready_at", "started_at"),
    *("finished_at", "wake_at", "error", "progress", "stage", "items_settled"),
)


def claimed(view: View, fact: TaskClaimed, now: float) -> Decision | None:
    """Begin an attempt."""
    usual = view.graph.usual.get(fact.node)
    if usual is None:
        return None
    job = view.job()
    task = view.task(fact.node, fact.index)
    if task is None or fact.generation not in (None, task.generation):
        return None
    if fact.made_with != task.extra.get(MADE_WITH, ""):
        return None
    args = args_of(view, usual, task)
    if args is None:
        return None
    worker_name = fact.worker_name or fact.worker
    events = begin(job, task, now, run_id=fact.run_id, worker=fact.worker, worker_name=worker_name, actor=fact.actor)
    if events is None:
        return None
    return Decision(job, tasks=[task], events=events, assignment={"args": args}, usual=True)


def begin(
    job: Job, task: Task, now: float, *, run_id: str, worker: str, worker_name: str, actor: str
) -> list[Event] | None:
    """Begin an attempt in the caller's own rows; return its events. None where that is not usual: then nothing has changed."""
    if task.state is not _READY or job.paused or job.closing is not None:
        return None
    seq = job.last_seq + 1
    attempt = task.attempt + 1
    data = {"attempt": attempt, "worker": worker_name}
    index = None if task.index == NODE else task.index
    if job.state is _JOB_RUNNING:
        events = [Event(seq, "task.started", now, actor, task.node, index, run_id, data)]
    elif job.state is _QUEUED:
        job.state = _JOB_RUNNING
        job.started_at = now
        started = Event(seq, "job.started", now, actor)
        seq += 1
        events = [started, Event(seq, "task.started", now, actor, task.node, index, run_id, data)]
    else:
        return None
    counts = job.counts
    counts[_READY] -= 1
    counts[_RUNNING] = counts.get(_RUNNING, 0) + 1
    task.state = _RUNNING
    task.attempt = attempt
    task.run_id = run_id
    task.worker = worker
    task.started_at = now
    task.wake_at = None
    task.stage = None
    job.runs_active += 1
    job.current_stage = task.node
    job.last_seq = seq
    job.updated_at = now
    # The progress that is shown follows from weights, of which a claim changes none.
    return events


def args_of(view: View, usual: UsualNode, task: Task) -> dict[str, Any] | None:
    """Return what the task is called with; None where a value is not usual."""
    args: dict[str, Any] = {}
    for name, kind, what in usual.args:
        if kind == "param":
            params = view.params()
            if what not in params:
                return None
            args[name] = params[what]
        elif kind == "ref":
            source = view.task(what)
            if (
                source is None
                or source.state is not _COMPLETED
                or (source.items_total == 0 and view.graph.nodes[what].kind == "map")
            ):
                return None
            args[name] = view.result(what)
        elif kind == "as_is":
            args[name] = what
        elif task.index == NODE:
            return None
        else:
            args[name] = view.item_value(task.node, task.index)
    return args


def completed(view: View, fact: RunCompleted, now: float) -> Decision | None:
    """Accept a result without files, let what follows begin, and end the job after its last node."""
    graph = view.graph
    usual = graph.usual.get(fact.node)
    if usual is None or fact.artifacts:
        return None
    job = view.job()
    task = view.task(fact.node, fact.index)
    if task is None:
        return None
    if task.index != NODE:
        return _item_completed(view, fact, now, job, task)
    opened = opened_by(view, usual)
    if opened is None:
        return None
    events = complete(graph, usual, job, task, opened, now=now, run_id=fact.run_id, actor=fact.actor)
    if events is None:
        return None
    decision = Decision(
        job,
        tasks=[task, *opened],
        results={task.key: fact.result},
        result_text=fact.result_text,
        events=events,
        commands=[ForgetRun(fact.run_id)],
        usual=True,
    )
    if job.state is _JOB_COMPLETED:
        if graph.output is not None:
            decision.job_result = fact.result
        decision.sets_job_result = True
        decision.commands.append(_TELL_DEPENDENTS)
    return decision


def opened_by(view: View, usual: UsualNode) -> Sequence[Task] | None:
    """Return the rows of what becomes ready when the node completes, each of which waits for it alone; None where that is not usual."""
    follows = usual.follows
    if follows is None:
        return None
    rows: list[Task] = []
    for after in follows:
        row = view.task(after.node.name)
        if row is None or row.state is not _BLOCKED or row.unmet != 1:
            return None
        rows.append(row)
    return rows


def complete(
    graph: Graph,
    usual: UsualNode,
    job: Job,
    task: Task,
    opened: Sequence[Task],
    *,
    now: float,
    run_id: str,
    actor: str,
) -> list[Event] | None:
    """Complete a node in the caller's own rows, let what follows begin, and end the job after its last; return the events. None
    where that is not usual: then nothing has changed.

    Args:
        opened: what `opened_by` returns.
    """
    still_open = job.nodes_open - 1
    if not _may_complete(job, task, usual, run_id) or (
        not still_open and (not usual.completes or job.has_files or graph.undos or job.extra)
    ):
        return None
    events = [_complete(job, task, now, run_id, actor)]
    job.weight_done += usual.node.weight * (1.0 - task.progress)
    task.progress = 1.0
    job.nodes_open = still_open
    job.updated_at = now
    if opened:
        events += [_open(job, row, graph.nodes[row.node], now, actor) for row in opened]
    if still_open:
        show_progress(job)
        return events
    job.state = _JOB_COMPLETED
    job.finished_at = now
    job.wake_at = None
    job.paused = False
    job.progress_percentage = 100.0  # what `show_progress` comes to at the end
    job.last_seq = seq = job.last_seq + 1
    events.append(Event(seq, "job.completed", now, actor))
    return events


def _may_complete(job: Job, task: Task, usual: UsualNode, run_id: str) -> bool:
    return task.state is _RUNNING and task.run_id == run_id and job.closing is None and not usual.node.cache


def _complete(job: Job, task: Task, now: float, run_id: str, actor: str) -> Event:
    runs_active = job.runs_active - 1
    assert runs_active >= 0, f"job {task.job_id} has fewer than no runs"
    job.runs_active = runs_active
    counts = job.counts
    counts[_RUNNING] -= 1
    counts[_COMPLETED] = counts.get(_COMPLETED, 0) + 1
    task.state = _COMPLETED
    task.error = None
    task.finished_at = now
    task.wake_at = None
    job.last_seq = seq = job.last_seq + 1
    index = None if task.index == NODE else task.index
    data = {"attempt": task.attempt, "artifacts": []}
    return Event(seq, "task.completed", now, actor, task.node, index, run_id, data)


def _open(job: Job, task: Task, node: Node, now: float, actor: str) -> Event:
    """Let a node begin whose only predecessor has completed."""
    counts = job.counts
    counts[_BLOCKED] -= 1
    counts[_READY] = counts.get(_READY, 0) + 1
    task.unmet = 0
    task.state = _READY
    task.ready_at = now
    task.ready_seq = None
    if task.first_ready_at is None:
        task.first_ready_at = now
    task.wake_at = start_deadline(task, node)
    job.last_seq += 1
    return Event(job.last_seq, "task.ready", now, actor, task.node, None, task.run_id)


def _item_completed(view: View, fact: RunCompleted, now: float, job: Job, item: Task) -> Decision | None:
    usual, container = view.graph.usual[item.node], view.task(item.node)
    if container is None:
        return None
    events = complete_item(usual, job, item, container, now=now, run_id=fact.run_id, actor=fact.actor)
    if events is None:
        return None
    return Decision(
        job,
        tasks=[item, container],
        results={item.key: fact.result},
        result_text=fact.result_text,
        events=events,
        commands=[ForgetRun(fact.run_id)],
        usual=True,
    )


def complete_item(
    usual: UsualNode, job: Job, item: Task, container: Task, *, now: float, run_id: str, actor: str
) -> list[Event] | None:
    """Complete a map's item that is neither its last nor lets another one go, in the caller's own rows, and count it in the map's;
    return the events. None where that is not usual: then nothing has changed."""
    if (
        not _may_complete(job, item, usual, run_id)
        or container.state is not _RUNNING
        or container.items_released < container.items_total
        or container.items_settled + 1 == container.items_total
        or container.stagger_until is not None
    ):
        return None
    event = _complete(job, item, now, run_id, actor)
    container.items_settled += 1
    weight = usual.node.weight
    share = weight / container.items_total if weight else 0.0
    job.weight_done += share * (1.0 - item.progress)
    item.progress = 1.0
    container.progress = min(1.0, container.items_settled / container.items_total)
    container.wake_at = None
    job.updated_at = now
    show_progress(job)
    return [event]
