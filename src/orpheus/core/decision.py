"""The decider's way in and way out: what it may look at (`View`), and what it answers (`Decision`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from orpheus.core.errors import TaskError
from orpheus.core.facts import ArtifactRef, Fact
from orpheus.core.graph import Graph
from orpheus.core.job import Job
from orpheus.core.task import NODE, Task, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A signal of a job. `number` counts the job's signals from 1."""

    number: int
    name: str
    payload: Any
    signal_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """What another system has brought for a run: a result, or an error."""

    run_id: str
    result: Any = None
    error: TaskError | None = None


class View(Protocol):
    """One job as it stands, read piece by piece: never the whole job for one fact (R4).

    Every `Job` and `Task` handed out is the caller's own copy. All of it is as of the same instant: what earlier facts of
    the same transaction decided is already in it.
    """

    @property
    def graph(self) -> Graph: ...

    def job(self) -> Job: ...

    def task(self, node: str, index: int = NODE) -> Task | None:
        """Return the current (highest generation) row."""

    def tasks(self, states: Iterable[TaskState] | None = None, node: str | None = None) -> Sequence[Task]:
        """Return current rows in (node order of the graph, index) order. For facts that concern a whole job or map."""

    def params(self) -> Any: ...

    def result(self, node: str, index: int = NODE) -> Any:
        """Return the result of a completed task (None when it returned nothing). May hold `$spill` markers."""

    def item_outcomes(self, node: str) -> Sequence[tuple[TaskState, Any, Any]]:
        """Return `(state, result, error)` of a map's items in order, `error` being the TaskError or None."""

    def item_value(self, node: str, index: int) -> Any:
        """Return what a map item was given, stored when the map was expanded; of an approval (`index` NODE) what is
        asked about."""

    def has_artifact(self, name: str) -> bool: ...

    def next_signal(self, name: str, after: int) -> Signal | None:
        """Return the oldest signal of that name that no node has taken, of those numbered above `after`."""

    def has_signal(self, name: str, signal_id: str) -> bool: ...

    def callback(self, run_id: str) -> Callback | None: ...


class Draws(Protocol):
    """Randomness, handed in."""

    def uniform(self) -> float:
        """Return the next draw in [0, 1)."""


class Event(msgspec.Struct, gc=False, array_like=True):
    """One past-tense fact about a job, for the audit trail. `seq` is gapless per job; the store adds the cursor (R1, R2), and keeps
    it as the JSON list of its fields."""

    seq: int
    type: str
    at: float
    actor: str
    task: str | None = None
    index: int | None = None
    run_id: str | None = None
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class Command(msgspec.Struct, frozen=True, gc=False):
    """Something for others to do. `TellDependents`, `TellJob`, `StartChild` and `TellParent` are carried out in the same
    commit; the rest follow it."""


class CancelRun(Command, frozen=True, gc=False):
    """Tell the worker to stop a run; when it has not reported after the grace, fence it (R18). How long that is, is a
    setting of the engine."""

    run_id: str
    reason: str


class ForgetRun(Command, frozen=True, gc=False):
    """The run is over for the engine: drop its lease and its limits, give its slots back. A worker that still holds it is
    told to abandon it."""

    run_id: str


class TellDependents(Command, frozen=True, gc=False):
    """The job has ended as `state`: every job that depends on it gets `DependencySettled`, in the same transaction."""

    state: str


class TellJob(Command, frozen=True, gc=False):
    """Bring a fact to another job, in the same transaction (a child to its parent, a parent to its children)."""

    job_id: str
    fact: Fact


class StartChild(Command, frozen=True, kw_only=True, gc=False):
    """Create a child job, in the same transaction; when its params do not fit, bring `ChildEnded` with state `refused`."""

    job_id: str
    """The child's."""
    node: str
    index: int
    generation: int
    definition_id: str
    params: dict[str, Any]
    """As resolved; not yet checked against the child's schema."""
    priority: int
    timeout_s: float | None


class TellParent(Command, frozen=True, kw_only=True, gc=False):
    """The job has ended as `state`: its parent gets `ChildEnded` with its result, in the same transaction."""

    job_id: str
    """The parent's."""
    node: str
    index: int
    generation: int
    state: str
    error: TaskError | None


class LookUpResult(Command, frozen=True, gc=False):
    """The task became ready and may be cached: look for a result under `key` and what workers make the task `handler` with,
    and bring `TaskCached` if there is a sound one, in the same commit (R23)."""

    node: str
    index: int
    key: str
    handler: str


class PublishArtifacts(Command, frozen=True, gc=False):
    """Put the job's newly accepted artifacts under their stable names, then bring `ArtifactsPublished`."""


class Finalise(Command, frozen=True, gc=False):
    """Publish what is left, write the final manifest for `outcome`, then bring `Finalised`."""

    outcome: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownResult:
    """An accepted result to be kept for equal tasks (R23)."""

    key: str
    task: Task
    result: Any
    artifacts: tuple[ArtifactRef, ...]


class Decision(msgspec.Struct):
    """What a fact changes. The store writes all of it in one transaction.

    `tasks` holds changed rows, `new_tasks` rows that did not exist. Payloads are beside the rows because they can be large
    and most facts do not touch them. Keys of `results` and `items` are `Task.key`; `items` also holds what an approval asks about.
    """

    job: Job
    is_new: bool = False
    tasks: list[Task] = msgspec.field(default_factory=list)
    new_tasks: list[Task] = msgspec.field(default_factory=list)
    results: dict[tuple[str, str, int, int], Any] = msgspec.field(default_factory=dict)
    result_text: str | None = None
    """JSON of the one result in `results`, and of `job_result` if there is one, where it is known already."""
    items: dict[tuple[str, str, int, int], Any] = msgspec.field(default_factory=dict)
    artifacts: list[tuple[Task, ArtifactRef]] = msgspec.field(default_factory=list)
    signals: list[Signal] = msgspec.field(default_factory=list)
    """Newly received."""
    signals_taken: list[Signal] = msgspec.field(default_factory=list)
    callback: Callback | None = None
    """Newly received."""
    published: tuple[str, ...] = ()
    """Names of artifacts that now stand under their stable names."""
    params: Any = None
    """Set at submission and when an approval edits them."""
    job_result: Any = None
    sets_job_result: bool = False
    events: list[Event] = msgspec.field(default_factory=list)
    commands: list[Command] = msgspec.field(default_factory=list)
    known_result: KnownResult | None = None
    """The result of a task with `cache`, accepted by this decision."""
    dependencies: list[tuple[str, str]] = msgspec.field(default_factory=list)
    """At submission: `(job_id, on)` this job waits for."""
    assignment: dict[str, Any] | None = None
    """Answer to `TaskClaimed` when the task now runs: `{"args": …}` with every reference resolved."""
    usual: bool = False
    """Decided by a short way: of the rows that changed nothing is new but `JOB_CHANGES` and `TASK_CHANGES` (`usual.py`), and beside
    them there is nothing but results, events, commands and the answer to the claim."""
