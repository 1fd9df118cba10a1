"""Who may begin? The slots of a worker, first come first served.

A run that was asked for ahead waits here. Its wait ends with a slot, with whatever stops the run (a cancel ends it at once),
or after `WAIT_MAX_S`: then the one before it is taking long, and the run is to be given back, so that another worker
can have it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from orpheus.worker.runs import Run

WAIT_MAX_S = 0.5


class Slots:
    """Count slots, and queue those who want one.

    Args:
        overdue: called with runs that have waited for `WAIT_MAX_S`; they still wait.
    """

    def __init__(self, count: int, *, overdue: Callable[[list[Run]], None]) -> None:
        self._free = count
        self._overdue = overdue
        self._waiting: dict[str, tuple[Run, float, asyncio.Future[bool]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, run: Run) -> bool:
        """Wait for a slot. False: the run was stopped before it got one."""
        if run.stop_reason is not None:
            return False
        if self._free > 0:
            self._free -= 1
            return True
        loop = asyncio.get_running_loop()
        place: asyncio.Future[bool] = loop.create_future()
        self._waiting[run.run_id] = (run, loop.time() + WAIT_MAX_S, place)
        run.on_stop = lambda _reason, _grace_s: self._leave(run.run_id)
        if self._timer is None:
            self._timer = loop.call_later(WAIT_MAX_S, self._look)
        try:
            return await place
        finally:
            run.on_stop = None

    def give(self) -> None:
        """A slot is free: the longest wait gets it."""
        if not self._waiting:
            self._free += 1
            return
        _run, _until, place = self._waiting.pop(next(iter(self._waiting)))
        place.set_result(True)

    def _leave(self, run_id: str) -> None:
        waiting = self._waiting.pop(run_id, None)
        if waiting is not None:
            waiting[2].set_result(False)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        now = loop.time()
        late = [run for run, until, _place in self._waiting.values() if until <= now]
        if late:
            self._overdue(late)
        if self._waiting:
            earliest = next(iter(self._waiting.values()))[1]
            self._timer = loop.call_later(max(0.05, earliest - now), self._look)
