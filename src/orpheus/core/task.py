"""May a task do that? The states of a task, its one transition table, and its row.

A task is one node of a job's graph. A map node has one row for itself (`index == NODE`) and one for each item.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from orpheus.core.errors import InvalidTransition, TaskError

NODE = -1
"""The `index` of the row that stands for the node itself; items of a map count from 0."""


NEVER = 1e15
"""An instant that does not come; finite, so that it can be stored and sent anywhere."""


class TaskState(StrEnum):
    """Where a task stands."""

    BLOCKED = "blocked"
    """Something before it is not settled, or (an item of a map) the cap or the stagger holds it back. The settling of
    its predecessors, or of another item, moves it on."""

    READY = "ready"
    """May be claimed. `dispatch` decides which worker gets it, and when. A map itself is never ready."""

    RUNNING = "running"
    """A worker holds it under a lease (a map: its items are being worked on). A report, a time limit or a lapsed lease
    moves it on."""

    RETRYING = "retrying"
    """An attempt failed and another is due at `wake_at`."""

    WAITING = "waiting"
    """Waits for a person, a signal, a callback, a timer or a child job; holds no slot."""

    COMPLETED = "completed"
    """Has a result."""

    FAILED = "failed"
    """Failed for good. Whether the job fails with it is for `on_failure` to say."""

    CANCELLED = "cancelled"
    """Ended because the job (or the map) ended."""

    SKIPPED = "skipped"
    """Its condition was false, an input of it was skipped, or it failed under `on_failure="skip"`."""


_S = TaskState
TRANSITIONS: dict[TaskState, tuple[TaskState, ...]] = {
    # Nodes without a handler never become ready: a map goes to running, an approval or sleep to waiting, and either may
    # be settled at once (an empty map, an approval whose `when` is false).
    _S.BLOCKED: (_S.READY, _S.RUNNING, _S.WAITING, _S.COMPLETED, _S.FAILED, _S.SKIPPED, _S.CANCELLED),
    # ready → completed is a cache hit; → failed or skipped a time limit or a binding that cannot be made.
    _S.READY: (_S.RUNNING, _S.COMPLETED, _S.FAILED, _S.SKIPPED, _S.CANCELLED),
    # running → ready: granted, but the grant never reached the worker (R8); it costs no attempt.
    _S.RUNNING: (_S.COMPLETED, _S.FAILED, _S.RETRYING, _S.WAITING, _S.READY, _S.SKIPPED, _S.CANCELLED),
    _S.RETRYING: (_S.READY, _S.FAILED, _S.SKIPPED, _S.CANCELLED),
    _S.WAITING: (_S.COMPLETED, _S.FAILED, _S.RETRYING, _S.SKIPPED, _S.CANCELLED),
    _S.COMPLETED: (),
    _S.FAILED: (),
    _S.CANCELLED: (),
    _S.SKIPPED: (),
}

SETTLED = (_S.COMPLETED, _S.FAILED, _S.CANCELLED, _S.SKIPPED)
IDLE = (_S.BLOCKED, _S.READY, _S.RETRYING, _S.WAITING)
"""Not settled, and no worker holds it: a cancel ends these at once (R18)."""


def may(source: TaskState, target: TaskState) -> bool:
    """Tell whether the table allows `source` → `target`."""
    return target in TRANSITIONS[source]


def check(source: TaskState, target: TaskState) -> None:
    """Refuse an illegal transition.

    Raises:
        InvalidTransition: the table does not allow it; nothing has changed.
    """
    if not may(source, target):
        raise InvalidTransition(f"a {source} task cannot become {target}")


class Task(msgspec.Struct, gc=False):
    """A task's row without its payloads (result, item value), which are loaded on demand.

    Instants are seconds since the epoch, UTC. Identity is `(job_id, node, index, generation)`; the row with the highest
    generation is the current one, older ones never change again (R20). A `Task` handed out by a `View` is the caller's
    own copy to change; `extra` is shared with what it was copied from: whoever changes it puts a new one in its place.
    """

    job_id: str
    node: str
    index: int
    generation: int
    state: TaskState
    tenant: str
    queue: str = ""
    """Empty for nodes that no worker runs."""
    handler: str = ""
    """`name@version` of the task a worker must offer; empty for nodes that no worker runs."""
    priority: int = 3
    concurrency_key: str | None = None
    unmet: int = 0
    """Predecessors not yet settled."""
    attempt: int = 0
    """Attempts begun so far; the current one while running."""
    run_id: str | None = None
    """The fence: set while running (or waiting for a callback), never reused (R6)."""
    worker: str | None = None
    """Session of the worker that holds the run."""
    ready_seq: int | None = None
    """Place in the first-in-first-out order, set at every release to `ready`."""
    ready_at: float | None = None
    first_ready_at: float | None = None
    """Start of `schedule_to_close_s` (R5)."""
    started_at: float | None = None
    """Start of the current (or latest) attempt."""
    finished_at: float | None = None
    wake_at: float | None = None
    """The earliest instant at which a task that no worker holds wants to be looked at again. Limits of running
    attempts are kept by the engine, which also counts the leases."""
    error: TaskError | None = None
    progress: float = 0.0
    """0 to 1."""
    stage: str | None = None
    cached: bool = False
    heartbeat: Any = None
    """Last heartbeat details; they reach the next attempt (R17)."""
    # A map's own row counts its items, so that a fact about one of them costs O(1) (R4).
    items_total: int = 0
    items_released: int = 0
    items_settled: int = 0
    items_failed: int = 0
    items_skipped: int = 0
    stagger_until: float | None = None
    """No further item may be released before this instant; `NEVER` while a released item has not started yet."""
    superseded: bool = False
    """A later generation has a row for the same node and index."""
    extra: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Room for what later features keep with a task (approval comment, callback …), stored as JSON."""

    @property
    def key(self) -> tuple[str, str, int, int]:
        """The row's identity."""
        return (self.job_id, self.node, self.index, self.generation)

    if TYPE_CHECKING:

        def copy(self) -> Task:
            """Return the caller's own copy."""

    else:
        copy = msgspec.Struct.__copy__  # what copy.copy() comes to
