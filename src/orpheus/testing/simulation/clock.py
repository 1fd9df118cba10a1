"""A clock that stands still until it is moved. Two hands, as the engine's (engine/clock.py)."""

from __future__ import annotations


class ManualClock:
    """Wall time and awake time, moved by hand.

    Args:
        start: seconds since the epoch, UTC.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._wall = start
        self._awake = 1000.0

    def now(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._awake

    def advance(self, length_s: float) -> None:
        """Let time pass."""
        self._wall += length_s
        self._awake += length_s

    def jump(self, length_s: float) -> None:
        """Correct the wall clock, either way; nothing else notices (promise 7)."""
        self._wall += length_s
