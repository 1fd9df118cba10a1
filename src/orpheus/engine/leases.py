"""Until when is a run its worker's? The limits of running attempts, kept in memory.

A run ends for the engine when the worker reports, or when the first of these passes:

    lease              no contact with the worker: the attempt is lost (R9)
    heartbeat_s        the handler itself has not said a word
    start_to_close_s   the attempt has taken too long
    schedule_to_close  the task has taken too long, across its retries (R5)
    fence              it was told to stop, and its grace is over (R18)

Nothing of this is stored: after a start the table is made anew from the running rows, and every lease has its full length
again (R7). All instants here are of the monotonic clock, so only time in which the server was awake counts.

The heap holds for each run an entry with an instant at or before the run's earliest limit; those that began together with the same share it.
Renewing a lease moves only the limit; the entry is put right when it comes up. So a heartbeat costs no heap operation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from heapq import heappop, heappush

import msgspec

from orpheus.core.graph import Timeouts
from orpheus.core.task import Task


class Limit(StrEnum):
    """Which limit has passed. Where two passed at once, the first in this order is told."""

    FENCE = "fence"
    START_TO_CLOSE = "timeout_start_to_close"
    SCHEDULE_TO_CLOSE = "timeout_schedule_to_close"
    HEARTBEAT = "timeout_heartbeat"
    LEASE = "lease"


class Run(msgspec.Struct):
    """One attempt that some worker holds."""

    run_id: str
    task: Task
    """The row as it was when the run was granted (or found at the start)."""
    session_id: str
    lease_until: float
    start_to_close_at: float | None = None
    schedule_to_close_at: float | None = None
    heartbeat_s: float | None = None
    heartbeat_until: float | None = None
    fence_at: float | None = None
    cancel_reason: str | None = None
    grace_s: float = 0.0
    expiring: bool = False
    """An operation that acts on a passed limit is queued."""
    reported: bool = False
    """Its worker said that it is over, so it need not be told."""
    never_arrived: bool = False
    """Its worker never had it, so it need not be told either."""
    adopted: bool = True
    """False after a start, until its worker has been heard."""

    def limits(self) -> Iterator[tuple[Limit, float]]:
        """Yield every limit that is set, with its instant."""
        if self.fence_at is not None:
            yield Limit.FENCE, self.fence_at
        if self.start_to_close_at is not None:
            yield Limit.START_TO_CLOSE, self.start_to_close_at
        if self.schedule_to_close_at is not None:
            yield Limit.SCHEDULE_TO_CLOSE, self.schedule_to_close_at
        if self.heartbeat_until is not None:
            yield Limit.HEARTBEAT, self.heartbeat_until
        yield Limit.LEASE, self.lease_until

    def due(self) -> float:
        """Return the earliest limit."""
        return min(instant for _, instant in self.limits())

    def passed(self, now: float) -> Limit | None:
        """Return the limit that has passed, if any."""
        for limit, instant in self.limits():
            if instant <= now:
                return limit
        return None


class RunTable:
    """Every run that is current, by id, and when each next needs a look."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._runs: dict[str, Run] = {}
        self.get: Callable[[str], Run | None] = self._runs.get
        """Return the run, or None when there is none of that id; asked several times in each run's life."""
        self._heap: list[tuple[float, int, list[str]]] = []
        self._tie = itertools.count()

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def start(
        self,
        begun: Iterable[tuple[Task, Timeouts]],
        session_id: str,
        *,
        wall: float,
        now: float,
        restored: bool = False,
    ) -> list[Run]:
        """Begin to watch runs of one session.

        Args:
            begun: the row of each, whose `run_id` is set, and its node's limits.
            wall: seconds since the epoch.
            now: monotonic seconds.
            restored: found at the start of the server. A limit that passed while nobody was awake leaves the worker one
                lease's length to bring what it has (R7).
        """
        runs, lease_until = self._runs, now + self._lease_s
        least = lease_until if restored else now
        started: list[Run] = []
        of: Timeouts | None = None
        began: float | None = None
        entry: list[str] = []
        entry_due = -math.inf
        for task, timeouts in begun:
            run_id = task.run_id
            assert run_id is not None, "a running row names its run"
            if timeouts is not of or task.started_at != began:  # those of one claim mostly differ in neither
                of, began = timeouts, task.started_at
                close_at, beat_until, usual_due = None, None, lease_until
                if of.start_to_close_s is not None:
                    close_at = max(least, now + (wall if began is None else began) + of.start_to_close_s - wall)
                    usual_due = min(usual_due, close_at)
                if of.heartbeat_s is not None:
                    beat_until = max(least, now + of.heartbeat_s)
                    usual_due = min(usual_due, beat_until)
            run = Run(run_id, task, session_id, lease_until, close_at, None, timeouts.heartbeat_s, beat_until)
            due = usual_due
            if timeouts.schedule_to_close_s is not None and task.first_ready_at is not None:
                at = max(least, now + task.first_ready_at + timeouts.schedule_to_close_s - wall)
                run.schedule_to_close_at = at
                due = min(due, at)
            if restored:
                run.adopted = False
            if due != entry_due:
                entry, entry_due = [], due
                heappush(self._heap, (due, next(self._tie), entry))
            runs[run_id] = run
            entry.append(run_id)
            started.append(run)
        return started

    def renew(self, run: Run, now: float) -> None:
        """Give the lease its full length: its worker was heard and holds it."""
        run.lease_until = now + self._lease_s
        run.adopted = True

    def renew_all(self, run_ids: Iterable[str], now: float) -> None:
        """Renew the leases of all runs that a worker holds."""
        runs, until = self._runs, now + self._lease_s
        for run_id in run_ids:
            run = runs.get(run_id)
            if run is not None:
                run.lease_until = until
                run.adopted = True

    def beat(self, run_id: str, now: float) -> None:
        """Note that the handler itself said something."""
        run = self._runs.get(run_id)
        if run is not None and run.heartbeat_s is not None:
            run.heartbeat_until = now + run.heartbeat_s

    def give_up(self, run_id: str, now: float) -> None:
        """Let the lease lapse at once: the worker said goodbye and still held it."""
        run = self._runs.get(run_id)
        if run is not None:
            run.lease_until = now
            self._push(run)

    def stop_by(self, run_id: str, *, reason: str, grace_s: float, now: float) -> bool:
        """Fence the run when it has not ended after `grace_s`. A second order does not lengthen the grace (R18)."""
        run = self._runs.get(run_id)
        if run is None or run.fence_at is not None:
            return False
        run.fence_at = now + grace_s
        run.cancel_reason = reason
        run.grace_s = grace_s
        self._push(run)
        return True

    def forget(self, run_id: str) -> Run | None:
        """Drop the run; its heap entry is skipped when it comes up."""
        return self._runs.pop(run_id, None)

    def all_forgotten(self, run_ids: Iterable[str]) -> None:
        """Do as `forget` for each."""
        drop = self._runs.pop
        for run_id in run_ids:
            drop(run_id, None)

    def passed(self, now: float) -> list[tuple[Run, Limit]]:
        """Return the runs whose limit has passed, each once until `retry` is called for it."""
        found: list[tuple[Run, Limit]] = []
        while self._heap and self._heap[0][0] <= now:
            for run_id in heappop(self._heap)[2]:
                run = self._runs.get(run_id)
                if run is None or run.expiring:
                    continue
                limit = run.passed(now)
                if limit is None:
                    self._push(run)
                else:
                    run.expiring = True
                    found.append((run, limit))
        return found

    def retry(self, run_id: str, *, not_before: float | None = None) -> None:
        """Watch the run again: the operation that should have ended it found it renewed, or failed (then it is not
        looked at before some instant, so that a fault does not keep the engine busy)."""
        run = self._runs.get(run_id)
        if run is not None:
            run.expiring = False
            due = run.due() if not_before is None else max(not_before, run.due())
            heappush(self._heap, (due, next(self._tie), [run_id]))

    def resume_after_stall(self, now: float) -> None:
        """Give every lease its full length, and let no limit pass unheard: the silence was ours (R7)."""
        least = now + self._lease_s
        for run in self._runs.values():
            run.lease_until = least
            if run.heartbeat_until is not None:
                run.heartbeat_until = max(run.heartbeat_until, least)
            if run.start_to_close_at is not None:
                run.start_to_close_at = max(run.start_to_close_at, least)
            if run.schedule_to_close_at is not None:
                run.schedule_to_close_at = max(run.schedule_to_close_at, least)

    def next_due(self) -> float | None:
        """Return a monotonic instant at or before the earliest limit; entries of ended runs are cleared on the way.

        Whether a limit was put off meanwhile, as leases are with every poll, is looked at when it has come (`passed`).
        """
        while self._heap:
            due, _, run_ids = self._heap[0]
            while run_ids:
                run = self._runs.get(run_ids[-1])
                if run is not None and not run.expiring:
                    return due
                run_ids.pop()
            heappop(self._heap)
        return None

    def _push(self, run: Run) -> None:
        heappush(self._heap, (run.due(), next(self._tie), [run.run_id]))
