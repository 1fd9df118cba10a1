"""What do a job's events say about its states? Folding them gives what the rows say (R1).

The events are the audit trail: whoever reads a stream can keep a job's state by this function alone. It is strict: a
gap in `seq`, a transition that a table does not allow, or a node that begins before what it waits for, is a
`FoldError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orpheus.core import job as job_table
from orpheus.core import task as task_table
from orpheus.core.decision import Event
from orpheus.core.graph import UNDO
from orpheus.core.job import TERMINAL, JobState
from orpheus.core.task import NODE, SETTLED, TaskState


class FoldError(AssertionError):
    """The events contradict each other or the tables."""


@dataclass(slots=True)
class FoldedTask:
    """A task as its events tell it."""

    generation: int
    state: TaskState = TaskState.BLOCKED
    attempt: int = 0
    run_id: str | None = None
    starts: list[float] = field(default_factory=list)
    """When attempts began, in this generation."""
    crowded: bool = False
    """(A map) a grant of one item was taken back when the next was released already: two are ready at once."""
    compensated: bool = False


@dataclass(slots=True)
class FoldedJob:
    """A job as its events tell it."""

    state: JobState = JobState.PENDING
    paused: bool = False
    generation: int = 1
    last_seq: int = 0
    cancel_requested: bool = False
    closed_by_cancel: bool = False
    tasks: dict[tuple[str, int], FoldedTask] = field(default_factory=dict)
    """Current tasks by (node, index)."""
    artifacts: dict[str, bool] = field(default_factory=dict)
    """Accepted artifacts by name; True once published."""


def fold(predecessors: Mapping[str, Iterable[str]], events: Iterable[Event]) -> FoldedJob:
    """Replay a job's events.

    Args:
        predecessors: the graph's nodes, each with the nodes it waits for.
        events: all of the job's events, in the order of `seq`.

    Raises:
        FoldError: the events cannot have happened.
    """
    job = FoldedJob(tasks={(name, NODE): FoldedTask(1) for name in predecessors})
    for event in events:
        fold_one(job, predecessors, event)
    return job


def fold_one(job: FoldedJob, predecessors: Mapping[str, Iterable[str]], event: Event) -> None:
    """Replay one more event."""
    if event.seq != job.last_seq + 1:
        raise FoldError(f"event {event.seq} follows {job.last_seq}: seq has a gap (R2)")
    job.last_seq = event.seq
    noun, _, verb = event.type.partition(".")
    if noun == "job":
        _fold_job(job, verb, event)
    elif noun == "task":
        _fold_task(job, predecessors, verb, event)
    elif event.type == "artifact.published":
        name = event.data["name"]
        if name not in job.artifacts:
            raise FoldError(f"artifact {name!r} was published but never accepted (R10)")
        job.artifacts[name] = True


_JOB_STATES = {
    "queued": JobState.QUEUED,
    "started": JobState.RUNNING,
    "completed": JobState.COMPLETED,
    "failed": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
}


def _fold_job(job: FoldedJob, verb: str, event: Event) -> None:
    if verb == "created":
        if event.seq != 1:
            raise FoldError("job.created is the first event, once")
    elif verb in _JOB_STATES:
        target = _JOB_STATES[verb]
        if not job_table.may(job.state, target):
            raise FoldError(f"event {event.seq}: a {job.state} job cannot become {target}")
        gave_up = event.data.get("error", {}).get("code") == "compensation_failed"
        if job.cancel_requested and target in (JobState.COMPLETED, JobState.FAILED) and not gave_up:
            raise FoldError(f"event {event.seq}: a job whose cancel was committed became {target} (R18)")
        job.state = target
        if target in TERMINAL:
            job.paused = False
    elif verb == "paused":
        job.paused = True
    elif verb == "resumed":
        job.paused = False
    elif verb == "cancel_requested":
        job.cancel_requested = True
    elif verb == "retried":
        _fold_retry(job, event.data)


def _fold_retry(job: FoldedJob, data: Mapping[str, Any]) -> None:
    """Begin a generation: the renewed tasks get new rows, everything else stays (R20)."""
    target = JobState(data["state"])
    if target is not job.state and not job_table.may(job.state, target):
        raise FoldError(f"a {job.state} job cannot be retried into {target}")
    if data["generation"] != job.generation + 1:
        raise FoldError(f"generation {data['generation']} follows {job.generation}")
    job.state, job.generation = target, data["generation"]
    undos = [key for key in job.tasks if key[0].endswith(UNDO)]
    if "compensation" in data:  # it goes on undoing where it gave up; what was undone stays so
        for key in undos:
            if job.tasks[key].state is TaskState.FAILED:
                del job.tasks[key]
        return
    job.cancel_requested = False
    for key in undos:
        del job.tasks[key]
    for node, indices in data["renewed"].items():
        crowded = job.tasks[node, NODE].crowded
        for key in [key for key in job.tasks if key[0] == node]:
            if indices is None or key[1] == NODE or key[1] in indices:
                if job.tasks[key].state not in SETTLED:
                    was = job.tasks[key].state
                    raise FoldError(f"{key} was renewed while {was}: older rows never move again (R20)")
                del job.tasks[key]
        job.tasks[node, NODE] = FoldedTask(job.generation, crowded=crowded)
        for index in indices or ():
            job.tasks[node, index] = FoldedTask(job.generation)


_TASK_STATES = {
    "ready": TaskState.READY,
    "started": TaskState.RUNNING,
    "retrying": TaskState.RETRYING,
    "waiting": TaskState.WAITING,
    "completed": TaskState.COMPLETED,
    "cached": TaskState.COMPLETED,
    "failed": TaskState.FAILED,
    "skipped": TaskState.SKIPPED,
    "cancelled": TaskState.CANCELLED,
}
_BEGINS = ("ready", "started", "waiting")


def _fold_task(job: FoldedJob, predecessors: Mapping[str, Iterable[str]], verb: str, event: Event) -> None:
    assert event.task is not None, "task events name their task"
    key = (event.task, NODE if event.index is None else event.index)
    if verb == "ready" and key not in job.tasks and event.task.endswith(UNDO):
        _begin_undo(job, key, event)
    task = job.tasks.get(key)
    if task is None:
        raise FoldError(f"event {event.seq} is about {key}, which does not exist")
    if verb == "rescued":
        if event.run_id != task.run_id or task.state is not TaskState.RUNNING:
            raise FoldError(f"event {event.seq} rescues {event.run_id}, which does not run")
        return
    if verb == "compensated":
        _fold_compensated(job, key, event)
    target = _TASK_STATES.get(verb)
    if target is None:
        return
    if not task_table.may(task.state, target):
        raise FoldError(f"event {event.seq}: {key} cannot go from {task.state} to {target}")
    if verb in _BEGINS and key[1] == NODE:
        for before in predecessors.get(key[0], ()):
            if job.tasks[before, NODE].state not in SETTLED:
                raise FoldError(f"event {event.seq}: {key[0]!r} began before {before!r} was settled")
    if job.state in TERMINAL:
        raise FoldError(f"event {event.seq}: {key} moved although the job is {job.state}")
    task.state = target
    if "child_job" in event.data and verb == "waiting":
        task.starts.append(event.at)  # a child begins when it is opened
    if verb == "started":
        _fold_start(job, task, key, event)
    elif verb == "ready" and event.data.get("reason") == "grant_not_received":
        task.attempt -= 1
        task.starts.pop()
        _note_crowd(job, task, key)
    elif verb in ("completed", "cached"):
        _fold_artifacts(job, event)


def _begin_undo(job: FoldedJob, key: tuple[str, int], event: Event) -> None:
    """An undo begins to exist when it becomes ready: one at a time, of something that is there (R19)."""
    target = job.tasks.get((key[0].removesuffix(UNDO), key[1]))
    if target is None or target.state not in SETTLED or target.compensated:
        raise FoldError(f"event {event.seq}: {key} undoes what is not there (R19)")
    open_undos = [place for place, task in job.tasks.items() if place[0].endswith(UNDO) and task.state not in SETTLED]
    if open_undos:
        raise FoldError(f"event {event.seq}: {key} began before {open_undos[0]} was done (R19)")
    job.tasks[key] = FoldedTask(job.generation)


def _fold_compensated(job: FoldedJob, key: tuple[str, int], event: Event) -> None:
    undo = job.tasks.get((key[0] + UNDO, key[1]))
    if undo is None or undo.state is not TaskState.COMPLETED or job.tasks[key].compensated:
        raise FoldError(f"event {event.seq}: {key} was compensated twice, or by nothing (R19)")
    job.tasks[key].compensated = True


def _note_crowd(job: FoldedJob, task: FoldedTask, key: tuple[str, int]) -> None:
    others = (other for place, other in job.tasks.items() if place[0] == key[0] and place[1] not in (NODE, key[1]))
    if key[1] != NODE and any(other.state is TaskState.READY and not other.starts for other in others):
        job.tasks[key[0], NODE].crowded = True


def _fold_start(job: FoldedJob, task: FoldedTask, key: tuple[str, int], event: Event) -> None:
    task.starts.append(event.at)
    if "items" in event.data:  # a map: its items begin to exist, unless an earlier generation's are kept
        if "kept" not in event.data:
            for index in range(event.data["items"]):
                job.tasks[key[0], index] = FoldedTask(task.generation)
        return
    if event.data["attempt"] != task.attempt + 1:
        raise FoldError(f"event {event.seq}: attempt {event.data['attempt']} of {key} follows {task.attempt}")
    if event.run_id is None or event.run_id == task.run_id:
        raise FoldError(f"event {event.seq}: every attempt has its own run_id (R6)")
    if job.paused:
        raise FoldError(f"event {event.seq}: {key} began although the job is paused (R26)")
    task.attempt += 1
    task.run_id = event.run_id


def _fold_artifacts(job: FoldedJob, event: Event) -> None:
    for name in event.data.get("artifacts", ()):
        job.artifacts[name] = False
