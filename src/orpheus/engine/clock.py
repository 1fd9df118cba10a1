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

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
