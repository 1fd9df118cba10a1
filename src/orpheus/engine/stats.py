"""How is the engine doing? Counts and timings for /metrics, kept as the batches go by."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orpheus.engine.machine import Entry

BOUNDS_MS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0)


class Histogram:
    """Counts by upper bound in milliseconds, with sum and count; cumulative when shown, as Prometheus wants it."""

    __slots__ = ("counts", "sum_ms")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_MS) + 1)
        self.sum_ms = 0.0

    def add(self, length_s: float) -> None:
        length_ms = length_s * 1000.0
        self.counts[bisect_left(BOUNDS_MS, length_ms)] += 1
        self.sum_ms += length_ms

    def shown(self) -> dict[str, Any]:
        buckets = []
        total = 0
        for bound, count in zip(BOUNDS_MS, self.counts, strict=False):
            total += count
            buckets.append([bound, total])
        total += self.counts[-1]
        return {"buckets_ms": buckets, "count": total, "sum_ms": round(self.sum_ms, 3)}


class Meter:
    """Counters since the start of the process. Each operation carries a name, so waits are seen by kind."""

    def __init__(self) -> None:
        self.commits = 0
        self.operations: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.faults = 0
        self.claims = 0
        self.rescues = 0
        self.stalls = 0
        self.wait = Histogram()
        self.run = Histogram()
        self.commit = Histogram()
        self.batch_operations_max = 0

    def batch(self, done: Sequence[tuple[Entry, Any]], *, began: float, ran: float, committed: float) -> None:
        """Count one committed batch; instants are of the monotonic clock."""
        self.commits += 1
        self.run.add(ran - began)
        self.commit.add(committed - ran)
        self.batch_operations_max = max(self.batch_operations_max, len(done))
        for entry, outcome in done:
            name = entry.operation.name
            self.operations[name] = self.operations.get(name, 0) + 1
            if isinstance(outcome, Exception):
                self.refused[name] = self.refused.get(name, 0) + 1
            self.wait.add(max(0.0, began - entry.queued_at))

    def shown(self) -> dict[str, Any]:
        return {
            "commits": self.commits,
            "operations": dict(self.operations),
            "refused": dict(self.refused),
            "faults": self.faults,
            "claims": self.claims,
            "rescues": self.rescues,
            "stalls": self.stalls,
            "wait": self.wait.shown(),
            "run": self.run.shown(),
            "commit": self.commit.shown(),
            "batch_operations_max": self.batch_operations_max,
        }
