"""What comes in: facts about one job, in the past tense. Each becomes one call of `decide` (R4).

Whoever brings a fact about a run names it by `run_id`, the fence (R6); the engine has already looked up node and index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orpheus.core.errors import TaskError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Who or what brought it; written into the events."""

    actor: str = "engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWoken(Fact):
    """The job's `wake_at` has come: its start time or its deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobApproved(Fact):
    params: Any = None
    """Edited params, already checked as at submission (R15); None leaves them."""
    comment: str = ""
    budget: float | None = None
    """A new budget; None leaves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRejected(Fact):
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencySettled(Fact):
    """A job this one depends on has ended in a state that satisfies (`ok`) or breaks the dependency (R16)."""

    job_id: str
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested(Fact):
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRequested(Fact):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRequested(Fact):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class JobUpdated(Fact):
    """Somebody changes what may be changed about a job after its creation."""

    labels: Mapping[str, str | None] = field(default_factory=dict)
    """To be set; None takes a label away. Others stay."""
    priority: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRequested(Fact):
    """Retry the failed tasks, or rewind to `from_task` and all that depends on it (R20)."""

    from_task: str | None = None
    budget: float | None = None
    """A new budget; None leaves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFact(Fact):
    node: str
    index: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEnded(TaskFact):
    """A child job has ended for the first time, or could not be created (`state` is then `refused`)."""

    generation: int
    child_job: str
    state: str
    result: Any = None
    """Of a completed child; may hold `$spill` and `$file` markers."""
    error: TaskError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWoken(TaskFact):
    """The task's `wake_at` has come: a backoff, a stagger, a sleep, or a limit on waiting is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskApproved(TaskFact):
    """A person lets an approval node's value through (R14)."""

    value: Any = None
    """What they made of it, already checked against its type; looked at only when `edited`."""
    edited: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRejected(TaskFact):
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReceived(Fact):
    """Something happened outside that the job waits for, or will (R22)."""

    name: str
    payload: Any = None
    """Already checked against what the nodes of that name expect."""
    signal_id: str | None = None
    """The same id again is the same signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskClaimed(TaskFact):
    run_id: str
    worker: str
    """The session, which is what the run belongs to."""
    worker_name: str = ""
    """What people call the worker; empty where it has no other name."""
    made_with: str = ""
    """What it says it makes the task with, which is part of the cache key (R23)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFact(TaskFact):
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReturned(RunFact):
    """Granted, but the grant never reached the worker: back to `ready`, no attempt spent (R8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRef:
    """A file of an attempt, as accepted (R10)."""

    name: str
    key: str
    """Where it lies in the object store: under `.runs/{run_id}/` of the run that made it."""
    sha256: str
    size_bytes: int
    content_type: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCached(TaskFact):
    """An equal task has completed before (R23)."""

    result: Any
    artifacts: tuple[ArtifactRef, ...]
    """Where they lie; their names may hold the id of `source_job`."""
    source_job: str
    source_run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCompleted(RunFact):
    result: Any = None
    artifacts: tuple[ArtifactRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed(RunFact):
    """The handler raised, or the worker stopped it."""

    error: TaskError
    retry_after_s: float | None = None
    cancelled: bool = False
    """The worker stopped it because it was told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWaiting(RunFact):
    """The handler has returned; its result comes by a callback (R22)."""

    timeout_s: float
    artifacts: tuple[ArtifactRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackReceived(RunFact):
    """Another system brings a run's result, or its error."""

    result: Any = None
    error: TaskError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLost(RunFact):
    """The lease lapsed: costs the attempt (R9)."""

    worker_name: str = ""
    """What people call the worker; empty where that is not known any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTimedOut(RunFact):
    """`code` is the limit that was passed: timeout_start_to_close, timeout_heartbeat or timeout_schedule_to_close."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFenced(RunFact):
    """A cancelled run did not stop within its grace: from now on it is stale (R18)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgressed(RunFact):
    """Not an event (R2): only the row remembers it."""

    fraction: float | None = None
    stage: str | None = None
    heartbeat: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactsPublished(Fact):
    """These artifacts now stand under their stable names (R10)."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalised(Fact):
    """Every artifact is published and the manifest tells the end `outcome` of this `generation`."""

    outcome: str
    generation: int
    finished_at: float | None = None
    """The end's instant as the manifest tells it, so that both say the same; None is now."""
