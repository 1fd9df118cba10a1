"""What time is it? The one place where the engine learns it.

Two clocks with different duties: `now` goes into rows and events (UTC), `monotonic` measures lengths of time that the
server was awake (leases, waits), so that a corrected or jumping wall clock loses nobody's work (R7, promise 7).
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where instants come from; tests and the simulator hand in their own."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Return seconds since some fixed instant; never goes back."""


class SystemClock:
    """The machine's clocks."""

    # Asked thirty times for a job alone, so there is no function of ours in between.
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
