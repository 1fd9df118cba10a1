"""What may hold a ready task back: limits of queues, concurrency keys and rates, as gates that open and close (R25).

A gate answers one question, `blocked`, and knows the lines of lanes that were parked because of it. Taking and
releasing are the dispatcher's business, which asks every gate of a task before it takes any: all together or not at
all.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from typing import Protocol

RATE_LOG = 10_000
"""Most instants a rate remembers; a larger limit is kept in slices that each fit."""

Rate = tuple[float, float]
"""`(limit, period_s)`: at most `limit` starts in any `period_s` seconds."""


class Line(Protocol):
    """A line of parked lanes that wants to be told when its gate may have opened."""

    def opened(self) -> None: ...


class RateLog:
    """The latest starts, exact: in no window of `period_s` are there more than `limit` (a token bucket would let twice
    as many through around a boundary). What was picked and has not begun yet counts as if it began now."""

    __slots__ = ("_kept", "_picked", "_starts")

    def __init__(self) -> None:
        self._starts: deque[float] = deque()
        self._picked = 0
        self._kept = 1

    def free_at(self, rate: Rate) -> float:
        """Return the instant from which one more start fits: `-inf` when it always does, `inf` when nobody can say before
        something that was picked has begun."""
        limit, period_s = _slice(rate)
        self._kept = max(self._kept, limit)
        left = limit - self._picked
        if left <= 0:
            return math.inf
        if len(self._starts) < left:
            return -math.inf
        return self._starts[-left] + period_s

    def pick(self, rate: Rate) -> None:
        """One more is about to start."""
        self._kept = max(self._kept, _slice(rate)[0])
        self._picked += 1

    def began(self, now: float) -> None:
        """One that was picked has started."""
        self._picked -= 1
        self._starts.append(now)
        while len(self._starts) > self._kept:
            self._starts.popleft()

    def recall(self, at: float) -> None:
        """Note a start of before; whatever rate is asked for later, it counts."""
        self._starts.append(at)
        self._kept = max(self._kept, len(self._starts))

    def refund(self, at: float | None) -> None:
        """Forget the start made at this instant (None: one that was picked only): it did not happen. The others stay where
        they are."""
        if at is None:
            self._picked -= 1
            assert self._picked >= 0, "a start was given back twice"
            return
        for place in range(len(self._starts) - 1, -1, -1):  # most often one of the latest
            if self._starts[place] == at:
                del self._starts[place]
                return


def _slice(rate: Rate) -> tuple[int, float]:
    """Turn any rate into a whole limit that fits the log, never looser than what was asked.

    k slices of `limit // k` starts in `period / k` seconds cover the period, so together they stay within the limit.
    """
    limit, period_s = rate
    if limit < 1:
        return 1, period_s / limit if limit > 0 else math.inf
    whole = int(limit)
    slices = -(-whole // RATE_LOG)
    return whole // slices, period_s / slices


class Gate:
    """Something that lets tasks through or not. `lines` are the parked lanes to tell when it may have opened."""

    __slots__ = ("due", "lines")

    def __init__(self) -> None:
        self.lines: dict[Line, None] = {}
        self.due: float | None = None
        """When it is to be told to look again, if a rate keeps it closed."""

    def tell(self) -> None:
        """Have every line look again."""
        for line in list(self.lines):
            line.opened()


class QueueGate(Gate):
    """A queue: paused or not, at most so many runs at a time, at most so many starts per period."""

    __slots__ = ("concurrency", "name", "paused", "rate", "running", "starts")

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.paused = False
        self.concurrency: int | None = None
        self.rate: Rate | None = None
        self.running = 0
        self.starts = RateLog()

    @property
    def full(self) -> bool:
        return self.concurrency is not None and self.running >= self.concurrency

    def free_at(self) -> float:
        return self.starts.free_at(self.rate) if self.rate is not None else -math.inf

    def blocked(self, now: float) -> bool:
        return self.paused or self.full or self.free_at() > now


class TenantGate(Gate):
    """A tenant: at most so many runs at a time, over all queues."""

    __slots__ = ("max_running", "name", "running")

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.max_running = 0
        self.running = 0

    @property
    def full(self) -> bool:
        return self.running >= self.max_running


class KeyGate(Gate):
    """A concurrency key: runs that share it. The limit is each task's own, the count is common."""

    __slots__ = ("key", "running")

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self.running = 0


class RateGate(Gate):
    """The starts of one task name, over all its versions, nodes and tenants."""

    __slots__ = ("name", "starts")

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.starts = RateLog()


def lasting_s(rate: Rate) -> float:
    """Return how long a start counts against a rate."""
    return _slice(rate)[1]


def task_name(handler: str) -> str:
    """Return `name` of `name@version`: what a task's rate limit is counted by."""
    return handler.rpartition("@")[0] or handler


Blocked = tuple[Gate, Hashable, float | None]
"""The gate, what distinguishes its lines (a key's limit), and when to look again if nothing else happens."""
