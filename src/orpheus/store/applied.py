"""What became of a decision that was written: the store's answer to `Transaction.apply`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orpheus.core.decision import Decision, Event
from orpheus.core.job import Job, JobState
from orpheus.core.task import Task
from orpheus.store.rows import ABSENT, to_json


class Applied(msgspec.Struct, gc=False):
    """What a decision came to. Rows in it are the store's own: read them, don't change them."""

    job: Job
    job_no: int
    was: JobState | None
    """The job's state before; None for a new job."""
    events: Sequence[Event] = ()
    cursor: int = 0
    """The last event's place in the stream of all jobs; those before it count down without a gap."""
    released: list[Task] = msgspec.field(default_factory=list)
    """Tasks that became ready, with their `ready_seq`."""
    withdrawn: list[tuple[str, str, int, int]] = msgspec.field(default_factory=list)
    """Keys of tasks that were ready and no longer are (claimed, cancelled …)."""
    started: list[Task] = msgspec.field(default_factory=list)
    """Tasks that a worker now holds."""
    ended_runs: list[tuple[str, Task]] = msgspec.field(default_factory=list)
    """`(run_id, task as it now is)` of attempts that are over."""
    held: bool | None = None
    """The job was paused (True) or resumed (False) by this; None otherwise. See `Transaction.lanes_of_job`."""


def job_result_text(decision: Decision) -> str | int:
    """Return what the job's row gets as its result."""
    result = decision.job_result
    return ABSENT if result is None else decision.result_text or to_json(result)
