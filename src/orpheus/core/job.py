"""May a job do that? The states of a job, its one transition table, and its row.

Everything that asks whether a job may move asks `check`; the picture in the docs is drawn from `TRANSITIONS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from orpheus.core.errors import InvalidTransition, TaskError


class JobState(StrEnum):
    """Where a job stands. `paused` is a flag beside the state, not a state."""

    PENDING = "pending"
    """Waits for approval, for its time, or for other jobs. The engine moves it on when the last of these is met."""

    QUEUED = "queued"
    """May run; nothing of it has begun. The first claim (or sleep, or approval node) moves it on."""

    RUNNING = "running"
    """At least one node has begun. Stays so until every node is settled and everything that runs has stopped."""

    COMPLETED = "completed"
    """Every node is settled and the output is known. Only a rewind (a new generation) leaves it."""

    FAILED = "failed"
    """A task failed for good, or the job ran out of time. Only a retry (a new generation) leaves it."""

    CANCELLED = "cancelled"
    """Somebody cancelled or rejected it, or a job it depends on failed. Never revived by itself (R15)."""


TRANSITIONS: dict[JobState, tuple[JobState, ...]] = {
    JobState.PENDING: (JobState.QUEUED, JobState.CANCELLED),
    JobState.QUEUED: (JobState.RUNNING, JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED),
    JobState.RUNNING: (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED),
    JobState.COMPLETED: (JobState.QUEUED,),  # rewind, a new generation (R20)
    JobState.FAILED: (JobState.QUEUED,),  # retry, a new generation (R20)
    JobState.CANCELLED: (JobState.QUEUED,),  # retry, a new generation (R20)
}

TERMINAL = (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)


def may(source: JobState, target: JobState) -> bool:
    """Tell whether the table allows `source` → `target`."""
    return target in TRANSITIONS[source]


def check(source: JobState, target: JobState) -> None:
    """Refuse an illegal transition.

    Raises:
        InvalidTransition: the table does not allow it; nothing has changed.
    """
    if not may(source, target):
        raise InvalidTransition(f"a {source} job cannot become {target}")


class Job(msgspec.Struct, gc=False):
    """A job's row without its payloads (params and result are loaded on demand: they can be large).

    Instants are seconds since the epoch, UTC. A `Job` handed out by a `View` is the caller's own copy to change; `labels` and
    `extra` are shared with what it was copied from: whoever changes them puts new ones in their place.
    """

    job_id: str
    tenant: str
    workflow: str
    workflow_version: int
    definition_id: str
    """Content hash of the definition the job keeps to its end (R11, R24)."""
    state: JobState
    created_at: float
    correlation_id: str
    priority: int = 3
    """1 is the highest, 5 the lowest."""
    paused: bool = False
    generation: int = 1
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    error: TaskError | None = None
    last_seq: int = 0
    """Number of the job's latest event; gapless from 1 (R2)."""
    traceparent: str | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    webhook_url: str | None = None
    has_files: bool = False
    """A file goes in or an artifact came out, so a manifest object exists and is finalised before the end is told."""
    requires_approval: bool = False
    approved_at: float | None = None
    unmet_jobs: int = 0
    """Dependencies on other jobs that are not yet settled."""
    run_at: float | None = None
    timeout_s: float | None = None
    deadline_at: float | None = None
    """Set when the job leaves `pending` (R5)."""
    wake_at: float | None = None
    """The earliest instant at which the job itself wants to be looked at again: its time or its deadline."""
    cancel_requested_at: float | None = None
    cancel_reason: str | None = None
    closing: JobState | None = None
    """The end that is decided but not yet reached: runs have still to stop, or the manifest has still to be written."""
    nodes_open: int = 0
    """Nodes not yet settled in this generation; the job can end at 0."""
    runs_active: int = 0
    """Attempts that some worker holds now."""
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    """Current tasks by state; maps count as one task plus one for each item."""
    weight_total: float = 0.0
    weight_done: float = 0.0
    progress_percentage: float = 0.0
    """0 to 100, never goes backwards within a generation (promise 7)."""
    current_stage: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    updated_at: float = 0.0
    decider_version: int = 1
    extra: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Room for what later features keep with a job (estimate, budget …), stored as JSON."""

    def copy(self) -> Job:
        """Return the caller's own copy."""
        copied: Job = self.__copy__()  # type: ignore[attr-defined]  # copy.copy() takes twice as long to get here
        copied.counts = self.counts.copy()
        return copied
