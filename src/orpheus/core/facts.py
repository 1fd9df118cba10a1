"""What comes in: facts about one job, in the past tense. Each becomes one call of `decide` (R4).

Whoever brings a fact about a run names it by `run_id`, the fence (R6); the engine has already looked up node and index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from orpheus.core.errors import TaskError


class Fact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who or what brought it; written into the events."""

    actor: str = "engine"


class JobWoken(Fact, frozen=True, kw_only=True, gc=False):
    """The job's `wake_at` has come: its start time or its deadline."""


class JobApproved(Fact, frozen=True, kw_only=True, gc=False):
    params: Any = None
    """Edited params, already checked as at submission (R15); None leaves them."""
    comment: str = ""
    budget: float | None = None
    """A new budget; None leaves it."""


class JobRejected(Fact, frozen=True, kw_only=True, gc=False):
    reason: str = ""


class DependencySettled(Fact, frozen=True, kw_only=True, gc=False):
    """A job this one depends on has ended in a state that satisfies (`ok`) or breaks the dependency (R16)."""

    job_id: str
    ok: bool


class CancelRequested(Fact, frozen=True, kw_only=True, gc=False):
    reason: str = ""


class PauseRequested(Fact, frozen=True, kw_only=True, gc=False):
    pass


class ResumeRequested(Fact, frozen=True, kw_only=True, gc=False):
    pass


class JobUpdated(Fact, frozen=True, kw_only=True, gc=False):
    """Somebody changes what may be changed about a job after its creation."""

    labels: Mapping[str, str | None] = msgspec.field(default_factory=dict)
    """To be set; None takes a label away. Others stay."""
    priority: int | None = None


class RetryRequested(Fact, frozen=True, kw_only=True, gc=False):
    """Retry the failed tasks, or rewind to `from_task` and all that depends on it (R20)."""

    from_task: str | None = None
    params: Any = None
    """New params, all of them and checked; what reads those that changed runs again. None leaves them."""
    budget: float | None = None
    """A new budget; None leaves it."""


class TaskFact(Fact, frozen=True, kw_only=True, gc=False):
    node: str
    index: int = -1


class ChildEnded(TaskFact, frozen=True, kw_only=True, gc=False):
    """A child job has ended for the first time, or could not be created (`state` is then `refused`)."""

    generation: int
    child_job: str
    state: str
    result: Any = None
    """Of a completed child; may hold `$spill` and `$file` markers."""
    error: TaskError | None = None


class TaskWoken(TaskFact, frozen=True, kw_only=True, gc=False):
    """The task's `wake_at` has come: a backoff, a stagger, a sleep, or a limit on waiting is over."""


class TaskApproved(TaskFact, frozen=True, kw_only=True, gc=False):
    """A person lets an approval node's value through (R14)."""

    value: Any = None
    """What they made of it, already checked against its type; looked at only when `edited`."""
    edited: bool = False
    comment: str = ""


class TaskRejected(TaskFact, frozen=True, kw_only=True, gc=False):
    reason: str = ""


class SignalReceived(Fact, frozen=True, kw_only=True, gc=False):
    """Something happened outside that the job waits for, or will (R22)."""

    name: str
    payload: Any = None
    """Already checked against what the nodes of that name expect."""
    signal_id: str | None = None
    """The same id again is the same signal."""


class TaskClaimed(TaskFact, frozen=True, kw_only=True, gc=False):
    run_id: str
    worker: str
    """The session, which is what the run belongs to."""
    worker_name: str = ""
    """What people call the worker; empty where it has no other name."""
    made_with: str = ""
    """What it says it makes the task with, which is part of the cache key (R23)."""
    generation: int | None = None
    """That of the row which was picked, so that a rewind in between is seen; None does not ask."""


class RunFact(TaskFact, frozen=True, kw_only=True, gc=False):
    run_id: str


class RunReturned(RunFact, frozen=True, kw_only=True, gc=False):
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


class TaskCached(TaskFact, frozen=True, kw_only=True, gc=False):
    """An equal task has completed before (R23)."""

    result: Any
    artifacts: tuple[ArtifactRef, ...]
    """Where they lie; their names may hold the id of `source_job`."""
    source_job: str
    source_run: str


class RunCompleted(RunFact, frozen=True, kw_only=True, gc=False):
    result: Any = None
    result_text: str | None = None
    """The same as JSON, where who brings it has it already: the store need not make it again."""
    artifacts: tuple[ArtifactRef, ...] = ()
    price: float | None = None
    """What the attempt really cost, in place of what its task declares."""


class RunFailed(RunFact, frozen=True, kw_only=True, gc=False):
    """The handler raised, or the worker stopped it."""

    error: TaskError
    retry_after_s: float | None = None
    cancelled: bool = False
    """The worker stopped it because it was told to."""
    price: float | None = None
    """What it cost all the same."""


class RunWaiting(RunFact, frozen=True, kw_only=True, gc=False):
    """The handler has returned; its result comes by a callback (R22)."""

    timeout_s: float
    artifacts: tuple[ArtifactRef, ...] = ()
    price: float | None = None
    """What it has cost so far."""


class CallbackReceived(RunFact, frozen=True, kw_only=True, gc=False):
    """Another system brings a run's result, or its error."""

    result: Any = None
    error: TaskError | None = None


class RunLost(RunFact, frozen=True, kw_only=True, gc=False):
    """The lease lapsed: costs the attempt (R9)."""

    worker_name: str = ""
    """What people call the worker; empty where that is not known any more."""


class RunTimedOut(RunFact, frozen=True, kw_only=True, gc=False):
    """`code` is the limit that was passed: timeout_start_to_close, timeout_heartbeat or timeout_schedule_to_close."""

    code: str


class RunFenced(RunFact, frozen=True, kw_only=True, gc=False):
    """A cancelled run did not stop within its grace: from now on it is stale (R18)."""


class RunProgressed(RunFact, frozen=True, kw_only=True, gc=False):
    """Not an event (R2): only the row remembers it."""

    fraction: float | None = None
    stage: str | None = None
    heartbeat: Any = None


class ArtifactsPublished(Fact, frozen=True, kw_only=True, gc=False):
    """These artifacts now stand under their stable names (R10)."""

    names: tuple[str, ...]


class Finalised(Fact, frozen=True, kw_only=True, gc=False):
    """Every artifact is published and the manifest tells the end `outcome` of this `generation`."""

    outcome: str
    generation: int
    finished_at: float | None = None
    """The end's instant as the manifest tells it, so that both say the same; None is now."""
