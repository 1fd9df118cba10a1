"""Whose time has come? Durable timers: a row's `wake_at` says when it next wants to be looked at.

Only the earliest instant is kept in memory. When it comes, `FindDue` asks the rows who is due and queues one `Wake` for
each; the core decides what that means. When nobody is due any more, the earliest instant is asked for again. Because rows
are the timers, a restart loses none, and one that fell due meanwhile is simply late.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from orpheus.core.facts import Fact, JobWoken, TaskWoken
from orpheus.engine.work import MemoryOnly, Operation, Work

RETRY_S = 2.0
"""Wait before looking again after a wake that failed: a row that cannot be woken must not keep the engine busy."""


class Timers:
    """The earliest instant (seconds since the epoch) at which some row wants to be looked at."""

    def __init__(self, *, limit: int, queue: Callable[[Operation], None]) -> None:
        self._limit = limit
        self._queue = queue
        self._next = -math.inf
        """Look at once: after a start nobody knows."""
        self._finding = False
        self._waking = 0
        self._failed = False

    def next_due(self) -> float | None:
        """Return when `tick` has something to do, or None."""
        if self._finding or self._waking or self._next == math.inf:
            return None
        return self._next

    def note(self, wake_at: float) -> None:
        """Follow a committed row that wants to be woken then: it may be earlier than anybody else."""
        self._next = min(self._next, wake_at)

    def tick(self, now: float) -> None:
        due = self.next_due()
        if due is not None and due <= now:
            self._finding = True
            self._queue(FindDue(self))

    def found(self, due: Iterable[tuple[str, Fact]], next_due: float | None, now: float) -> None:
        """After `FindDue`: wake who is due, or wait for the next."""
        self._finding = False
        count = 0
        for job_id, fact in due:
            count += 1
            self._queue(Wake(self, job_id, fact))
        self._waking = count
        self._next = next_due if next_due is not None else math.inf
        if count == 0 and self._next <= now:
            self._next = now + RETRY_S

    def woken(self, *, failed: bool, now: float) -> None:
        self._waking -= 1
        self._failed = self._failed or failed
        if self._waking == 0:
            # Perhaps there are more than were looked at, and what was woken may want to be woken again: ask the rows.
            self._next = now + RETRY_S if self._failed else now
            self._failed = False

    def not_found(self) -> None:
        """`FindDue` was dropped: look again."""
        self._finding = False

    @property
    def limit(self) -> int:
        return self._limit


class FindDue(Operation):
    """Ask the rows whose time has come. Reads only."""

    name = "find_due"

    def __init__(self, timers: Timers) -> None:
        self._timers = timers

    def run(self, work: Work) -> None:
        tx, limit = work.tx, self._timers.limit
        due: list[tuple[str, Fact]] = [(job_id, JobWoken()) for job_id in tx.due_jobs(work.now, limit)]
        due += [(job_id, TaskWoken(node=node, index=index)) for job_id, node, index in tx.due_tasks(work.now, limit)]
        next_due = tx.next_wake()
        work.after_commit(MemoryOnly(self._timers.found, due, next_due, work.now))

    def failed(self, error: BaseException) -> None:
        self._timers.not_found()


class Wake(Operation):
    """Tell one job or task that its time has come."""

    name = "wake"

    def __init__(self, timers: Timers, job_id: str, fact: Fact) -> None:
        self._timers = timers
        self._job_id = job_id
        self._fact = fact
        self._now = 0.0

    def run(self, work: Work) -> None:
        self._now = work.now
        work.tell(self._job_id, self._fact)
        work.after_commit(MemoryOnly(self._timers.woken, failed=False, now=work.now))

    def failed(self, error: BaseException) -> None:
        self._timers.woken(failed=True, now=self._now)
