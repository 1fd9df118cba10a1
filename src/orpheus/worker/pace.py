"""How much work is worth having here already? A worker that runs short tasks asks ahead (R8).

With one round trip for each handful, tasks of a tenth of a millisecond wait for the network: a map of 10,000 no-ops at two
slots went at 125 items a second. So as much is asked for as the slots will work off in `AHEAD_S`, judged by what tasks
took lately. It is nothing as soon as one of the names that came lately is unknown or long, so that long tasks are never hoarded; and
what waits here too long all the same is given back (`slots.py`).
"""

from __future__ import annotations

from collections import deque

AHEAD_S = 0.1
LONG_S = 0.05
"""Tasks that take longer gain nothing: the round trip is short beside them."""
AHEAD_MAX = 500
QUICK_S = 0.001
"""Of tasks that take less, the end is waited for with the next question, which takes it along (`polling.py`)."""
RECENT = 32
"""Arrivals that are looked at: all of their names have to be short ones."""
WEIGHT = 0.2
"""Of the latest run in the mean of its name."""
NAMES_MAX = 10_000


class Pace:
    """What the tasks of this worker took lately, by name."""

    def __init__(self) -> None:
        self._means: dict[str, float] = {}
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._longest: float | None = None
        """Mean of the longest of the recent names, which is asked for more often than it changes; None when it may have."""

    def arrived(self, name: str) -> None:
        self._recent.append(name)
        self._longest = None

    def took(self, name: str, length_s: float) -> None:
        """Note how long a handler held its slot."""
        mean = self._means.get(name)
        if mean is None and len(self._means) >= NAMES_MAX:
            return
        self._means[name] = length_s if mean is None else mean + WEIGHT * (length_s - mean)
        self._longest = None

    def is_quick(self, name: str) -> bool:
        """Tell whether a task of this name ends before a question would have reached the server."""
        return self._means.get(name, LONG_S) < QUICK_S

    def ahead(self, slots: int) -> int:
        """Return how many tasks to hold beyond those that run.

        Args:
            slots: those that come free soon (not held by a long run).
        """
        if slots <= 0 or not self._recent:
            return 0
        longest = self._longest
        if longest is None:
            means = self._means
            longest = self._longest = max([means.get(name, LONG_S) for name in set(self._recent)])
        if longest >= LONG_S:
            return 0
        return min(AHEAD_MAX, int(slots * AHEAD_S / max(longest, 1e-5)))
