"""Why does it not move? Every reason for which a job or task waits, from its rows and the dispatcher (promise 6).

Pure but for what it is handed: the rows were read before, the sessions and the dispatcher are asked as they stand now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from orpheus.core.children import waits_for_child
from orpheus.core.dispatch import Capacity, Dispatcher, Needs, Offer
from orpheus.core.graph import Graph, NodeKind
from orpheus.core.job import TERMINAL, Job, JobState
from orpheus.core.pace import cap_of, stagger_of
from orpheus.core.task import NODE, SETTLED, Task, TaskState
from orpheus.engine.base import Waiting
from orpheus.engine.limits import source_of
from orpheus.engine.sessions import Session

MOST_NAMED = 5
"""Names listed in one detail; the rest are counted."""


def instant(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return "the end of time"


def names(what: Sequence[str]) -> str:
    more = f" and {len(what) - MOST_NAMED} more" if len(what) > MOST_NAMED else ""
    return ", ".join(what[:MOST_NAMED]) + more


def capacities(sessions: Iterable[Session], *, silent_since: float) -> list[Capacity]:
    """Return what each live worker offers now, and all it has.

    Args:
        silent_since: who was not heard after it and does not wait for work is taken for gone.
    """
    found = []
    for session in sessions:
        if session.waiter is None and session.last_contact < silent_since:
            continue
        waiter = session.waiter
        free = session.room() if waiter is not None else 0
        room = session.resources_room() if waiter is not None else {}
        offer = Offer(session.offer_handlers, session.offer_queues, max(0, free), room)
        found.append(Capacity(offer, dict(session.hello.resources)))
    return found


def why_job(job: Job, *, dependencies: Sequence[tuple[str, str, str]], now: float, publishing: str) -> list[Waiting]:
    """List what the job itself waits for; what its tasks wait for is asked of them.

    Args:
        dependencies: `(job_id, on, state)` of the jobs it still waits for.
        publishing: why its files could not be published the last time, or nothing.
    """
    if job.state in TERMINAL:
        return []
    reasons = []
    if job.paused:
        reasons.append(Waiting("pause", "the job is paused", job.updated_at))
    if job.closing is not None:
        if job.runs_active and "compensation" not in job.extra:
            running = "1 run has" if job.runs_active == 1 else f"{job.runs_active} runs have"
            detail = f"{running} been told to stop before the job is {job.closing}"
            reasons.append(Waiting("stopping", detail, job.cancel_requested_at))
        elif open_children := job.extra.get("children_open"):
            children = "1 child job has" if open_children == 1 else f"{open_children} child jobs have"
            detail = f"{children} to end before the job is {job.closing}"
            reasons.append(Waiting("child", detail, job.updated_at))
        elif opened := job.extra.get("compensation", {}).get("open"):
            shown = opened[0] if opened[1] == NODE else f"{opened[0]}[{opened[1]}]"
            detail = f"{shown} is undone before the job is {job.closing}"
            reasons.append(Waiting("compensation", detail, job.updated_at))
        else:
            detail = f"its files are published before it is {job.closing}" + (f": {publishing}" if publishing else "")
            reasons.append(Waiting("publishing", detail, job.updated_at))
    elif job.state is JobState.PENDING:
        reasons += _why_pending(job, dependencies, now)
    return reasons


def _why_pending(job: Job, dependencies: Sequence[tuple[str, str, str]], now: float) -> list[Waiting]:
    reasons = []
    if job.requires_approval and job.approved_at is None:
        reasons.append(Waiting("approval", "somebody has to approve or reject it", job.created_at))
    if job.run_at is not None and now < job.run_at:
        reasons.append(Waiting("time", f"until {instant(job.run_at)}", job.created_at))
    for job_id, on, state in dependencies[:MOST_NAMED]:
        word = "complete" if on == "success" else "end"
        reasons.append(Waiting("job", f"{job_id} ({state}) has to {word}", job.created_at))
    if len(dependencies) > MOST_NAMED:
        reasons.append(Waiting("job", f"{len(dependencies) - MOST_NAMED} more jobs", job.created_at))
    return reasons


def why_task(
    job: Job,
    task: Task,
    graph: Graph,
    *,
    predecessors: Mapping[str, TaskState],
    container: Task | None,
    dispatcher: Dispatcher,
    needs: Needs,
    workers: Sequence[Capacity],
    now: float,
    mono: float,
) -> list[Waiting]:
    """List every reason why a task does not move; empty for one that runs or is settled.

    Args:
        predecessors: states of the nodes it comes after.
        container: the map's own row, for an item.
    """
    if task.state in SETTLED or task.state is TaskState.RUNNING:
        return []
    if task.state is TaskState.BLOCKED:
        return _why_blocked(task, graph, predecessors, container, now=now, since=job.started_at or job.created_at)
    if task.state is TaskState.RETRYING:
        until = f"attempt {task.attempt + 1} is due at {instant(task.wake_at)}" if task.wake_at is not None else ""
        return [Waiting("backoff", until, task.started_at)]
    if waits_for_child(task):
        return [Waiting("child", f"child job {task.extra['child_job']}", task.started_at)]
    if task.state is TaskState.WAITING:
        return [_why_waiting(task, graph)]
    reasons = [Waiting("pause", "the job is paused", task.ready_at)] if job.paused else []
    for reason, detail in dispatcher.why(source_of(task), needs, workers, mono):
        if not (reasons and reason == "slot" and detail == "others go first"):
            reasons.append(Waiting(reason, detail, task.ready_at))
    return reasons


def _why_waiting(task: Task, graph: Graph) -> Waiting:
    """Say who or what a task that holds no slot waits for, and until when."""
    node = graph.all_nodes[task.node]
    until = f"until {instant(task.wake_at)}" if task.wake_at is not None else ""
    if node.kind is NodeKind.APPROVAL:
        asked = f": {node.prompt}" if node.prompt else ""
        return Waiting("approval", f"somebody has to approve or reject {task.node}{asked}, {until}", task.started_at)
    if node.kind is NodeKind.WAIT_FOR:
        return Waiting("event", f"signal {node.signal}, {until}", task.started_at)
    if node.kind is NodeKind.SLEEP:
        return Waiting("time", until, task.started_at)
    return Waiting("callback", f"for {task.node}, {until}", task.started_at)


def _why_blocked(
    task: Task,
    graph: Graph,
    predecessors: Mapping[str, TaskState],
    container: Task | None,
    *,
    now: float,
    since: float,
) -> list[Waiting]:
    if task.index != NODE and container is not None:
        node = graph.all_nodes[task.node]
        if container.stagger_until is not None and container.stagger_until > now:
            return [Waiting("stagger", f"items start {stagger_of(container, node):g} s apart", container.started_at)]
        cap = cap_of(container, node)
        detail = "items before it are begun first" if cap is None else f"at most {cap} items at a time"
        return [Waiting("cap", detail, container.started_at)]
    open_nodes = [name for name, state in predecessors.items() if state not in SETTLED]
    if open_nodes:
        return [Waiting("task", names(open_nodes), since)]
    return []


def distinct(reasons: Iterable[Waiting]) -> list[Waiting]:
    """Return each reason once, since when it first held."""
    found: dict[tuple[str, str], Waiting] = {}
    for waiting in reasons:
        known = found.get((waiting.reason, waiting.detail))
        if known is None or (waiting.since is not None and (known.since is None or waiting.since < known.since)):
            found[waiting.reason, waiting.detail] = waiting
    return list(found.values())
