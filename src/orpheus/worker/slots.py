"""Who may begin? The slots of a worker, first come first served.

A run that was asked for ahead waits here. Its wait ends with a slot, with whatever stops the run (a cancel ends it at once),
or after `WAIT_MAX_S`: then the one before it is taking long, and the run is to be given back, so that another worker
can have it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from orpheus.worker.runs import Run, StopReason

WAIT_MAX_S = 0.5


class Slots:
    """Count slots, and queue those who want one.

    Args:
        begin: called with a run that has got its slot, which is to be given back by `give`.
        leave: called with a run that was stopped before it got one.
        overdue: called with runs that have waited for `WAIT_MAX_S`; they still wait.
    """

    def __init__(
        self,
        count: int,
        *,
        begin: Callable[[Run], None],
        leave: Callable[[Run], None],
        overdue: Callable[[list[Run]], None],
    ) -> None:
        self._free = count
        self._begin = begin
        self._leave = leave
        self._overdue = overdue
        self._waiting: dict[str, Run] = {}
        self._on_stop = self._stopped
        self._timer: asyncio.TimerHandle | None = None

    def take(self, run: Run) -> None:
        """Begin the run now or as soon as a slot is free."""
        if run.stop_reason is not None:
            self._leave(run)
        elif self._free > 0:
            self._free -= 1
            self._begin(run)
        else:
            self._waiting[run.run_id] = run
            run.on_stop = self._on_stop
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(WAIT_MAX_S, self._look)

    def give(self) -> None:
        """A slot is free: the longest wait gets it."""
        if not self._waiting:
            self._free += 1
            return
        run = self._waiting.pop(next(iter(self._waiting)))
        run.on_stop = None
        self._begin(run)

    def _stopped(self, run: Run, _reason: StopReason, _grace_s: float) -> None:
        if self._waiting.pop(run.run_id, None) is not None:
            run.on_stop = None
            self._leave(run)

    def _look(self) -> None:
        self._timer = None
        came_before = time.monotonic() - WAIT_MAX_S
        late = [run for run in self._waiting.values() if run.arrived_at <= came_before]
        if late:
            self._overdue(late)
        if self._waiting:
            earliest = next(iter(self._waiting.values())).arrived_at
            self._timer = asyncio.get_running_loop().call_later(max(0.05, earliest - came_before), self._look)
