"""Which attempts have passed their `start_to_close_s`? One timer for all of them, set to the earliest.

A timer for each would be made and cancelled with each attempt, and hardly one in a thousand rings.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from orpheus.worker.runs import Run

MARGIN_S = 1.0
"""How much later than the server a worker ends what takes longer than its `start_to_close_s`. The server decides and
says so; the worker's own limit is for when it cannot be heard, and must not race it to a report that comes too late."""


class TimeLimits:
    """Watch the runs that have begun.

    Args:
        runs: all that there are, watched or not.
        over: called with each whose time is over, once.
    """

    def __init__(self, runs: Iterable[Run], over: Callable[[Run], None]) -> None:
        self._runs = runs
        self._over = over
        self._timer: asyncio.Handle | None = None
        self._rings_at = 0.0

    def watch(self, run: Run) -> None:
        """Begin to watch a run, if it has a limit. Its end needs no word."""
        limit_s = run.assignment.start_to_close_s
        if limit_s is None:
            return
        run.limit_at = run.arrived_at + limit_s + MARGIN_S
        if self._timer is None or run.limit_at < self._rings_at:
            self._set(run.limit_at)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, rings_at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = rings_at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, rings_at - time.monotonic()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = time.monotonic()
        ahead: list[float] = []
        for run in self._runs:
            if run.limit_at is None or run.finished:
                continue
            if run.limit_at <= now:
                run.limit_at = None
                self._over(run)
            else:
                ahead.append(run.limit_at)
        if ahead:
            self._set(min(ahead))
