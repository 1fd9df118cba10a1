"""Attempts that begin and complete the usual way, without a fact and a decision for each.

A claim brings up to thirty-two attempts, a report as many ends, and nearly all of them are alike: rows are looked up, the core
changes copies of them (`usual.begin`, `usual.complete`), they are written back, and the memory follows for all of them in one loop
(`aftermath.py`). `begin` and `complete` answer None or False before they have done anything where an attempt is not usual, or its rows
are not there: then the fact is told (`Work.tell`), which says what is to be said.
`tests/engine/test_aftermath.py` compares both ways.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from orpheus.core import usual
from orpheus.core.cache_key import MADE_WITH
from orpheus.core.job import JobState
from orpheus.core.task import NODE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orpheus.core.dispatch import Key, ReadyRef
    from orpheus.core.graph import Graph, Timeouts
    from orpheus.core.job import Job
    from orpheus.core.task import Task
    from orpheus.engine.base import Grant
    from orpheus.engine.leases import Run
    from orpheus.engine.sessions import Session
    from orpheus.engine.stream import Told
    from orpheus.engine.work import Work

_ACTOR = "worker"
_COMPLETED = JobState.COMPLETED


class Granted(msgspec.Struct):
    """Attempts that a session's claim has begun."""

    session: Session
    at: float
    """The instant in their rows, monotonic."""
    picks: list[ReadyRef] = msgspec.field(default_factory=list)
    grants: list[Grant] = msgspec.field(default_factory=list)
    """For each pick."""
    limits: list[Timeouts] = msgspec.field(default_factory=list)
    """For each pick, those of its node."""


class Began(Granted):
    """Attempts that began the usual way: an effect of their transaction."""

    told: list[Told] = msgspec.field(default_factory=list)
    """For each of them."""


class Completed(msgspec.Struct):
    """Runs that a report has completed: an effect of its transaction."""

    runs: list[Run] = msgspec.field(default_factory=list)
    told: list[Told] = msgspec.field(default_factory=list)
    """For each of them."""
    outputs: list[Any] = msgspec.field(default_factory=list)
    """For each of them, the result of its job if that has ended by it."""
    opened: list[tuple[Job, Task, Graph]] = msgspec.field(default_factory=list)
    """Tasks that they have made ready."""

    def took(self) -> dict[tuple[str, int], list[float]]:
        """Return how long the attempts took, by task and size of their jobs' input."""
        lengths: dict[tuple[str, int], list[float]] = defaultdict(list)
        for (_place, _events, job), run in zip(self.told, self.runs, strict=True):
            task = run.task
            assert task.started_at is not None, f"{run.run_id} runs without having begun"
            kind = (task.handler, job.extra.get("input_bytes", 0) if job.extra else 0)
            lengths[kind].append(job.updated_at - task.started_at)
        return lengths


class Begun(msgspec.Struct, gc=False):
    """One attempt that has begun."""

    job: Job
    task: Task
    args: Mapping[str, Any]
    graph: Graph
    told: Told | None = None
    """None where a `Change` tells of it."""


def begin(work: Work, key: Key, run_id: str, made_with: str, session: Session) -> Begun | None:
    """Begin an attempt of the ready task of this key for a session."""
    job_id, node, index, generation = key
    rows = work.tx.attempt_rows(job_id, node, index)
    if rows is None:
        return None
    usual_node = rows.graph.usual.get(node)
    task = rows.row.task
    if usual_node is None or task.generation != generation or made_with != task.extra.get(MADE_WITH, ""):
        return None
    args = usual.args_of(rows, usual_node, task)
    if args is None:
        return None
    job, task, hello = rows.job(), task.copy(), session.hello
    events = usual.begin(
        job,
        task,
        work.now,
        run_id=run_id,
        worker=hello.session_id,
        worker_name=hello.worker or hello.session_id,
        actor=_ACTOR,
    )
    if events is None:
        return None
    told = (rows.begun(job, task, events), events, job)
    work.tell_outside(work, job, events)
    return Begun(job, task, args, rows.graph, told)


def complete(work: Work, run: Run, result: Any, text: str, completed: Completed) -> bool:
    """Complete a run with a result without files. `completed` gets it, and becomes an effect with its first; if that is no longer the
    last one afterwards, what comes next belongs into another, so that events are told in their order."""
    task = run.task
    node, index = task.node, task.index
    rows = work.tx.attempt_rows(task.job_id, node, index)
    if rows is None or task.started_at is None:
        return False
    graph = rows.graph
    usual_node = graph.usual.get(node)
    if usual_node is None:
        return False
    job, task, now, run_id = rows.job(), rows.row.task.copy(), work.now, run.run_id
    container: Task | None = None
    opened: Sequence[Task] | None = ()
    if index == NODE:
        opened = usual.opened_by(rows, usual_node)
        if opened is None:
            return False
        events = usual.complete(graph, usual_node, job, task, opened, now=now, run_id=run_id, actor=_ACTOR)
    else:
        container = rows.task(node)
        if container is None:
            return False
        events = usual.complete_item(usual_node, job, task, container, now=now, run_id=run_id, actor=_ACTOR)
    if events is None:
        return False
    if not completed.runs:
        work.effects.append(completed)
    if opened:
        rows.opened(opened)
        completed.opened += [(job, after, graph) for after in opened]
    elif container is not None:
        rows.counted(container)
    completed.told.append((rows.completed(job, task, events, result, text), events, job))
    completed.runs.append(run)
    completed.outputs.append(None if graph.output is None else result)
    work.tell_outside(work, job, events)
    if job.state is _COMPLETED:
        work.completed(job.job_id)
    return True
