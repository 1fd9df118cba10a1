"""How is the engine doing? Counts and timings for /metrics, kept as the batches go by."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from orpheus.core.job import TERMINAL, JobState
from orpheus.core.task import TaskState
from orpheus.store.transaction import attempt_outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from orpheus.engine.leases import RunTable
    from orpheus.engine.machine import Entry
    from orpheus.store.transaction import Applied

BOUNDS_MS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0)


WORK_MS = tuple(
    1000.0 * length_s for length_s in (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
)
"""What work takes, and what waits for it: from a short task to hours of rendering."""
LABELS_MAX = 200
"""Different tasks, or queues, that are told apart; what comes after these is `other`."""
OTHER = "other"


def _label(name: str, known: Collection[str]) -> str:
    """Return a label's value: bounded, whatever people call their tasks and queues."""
    return name if name in known or len(known) < LABELS_MAX else OTHER


class Histogram:
    """Counts by upper bound in milliseconds, with sum and count; cumulative when shown, as Prometheus wants it."""

    __slots__ = ("bounds", "counts", "sum_ms")

    def __init__(self, bounds: tuple[float, ...] = BOUNDS_MS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum_ms = 0.0

    def add(self, length_s: float) -> None:
        length_ms = max(0.0, length_s) * 1000.0  # a wall clock may be set back
        self.counts[bisect_left(self.bounds, length_ms)] += 1
        self.sum_ms += length_ms

    def shown(self) -> dict[str, Any]:
        buckets = []
        total = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
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
        self.events: defaultdict[str, int] = defaultdict(int)
        self.job_starts = Histogram(WORK_MS)
        self.job_lengths: dict[str, Histogram] = {}
        self.queue_waits: dict[str, Histogram] = {}
        self.attempt_lengths: dict[str, Histogram] = {}
        self.attempts: dict[tuple[str, str], int] = {}

    def changed(self, applied: Applied, runs: RunTable) -> None:
        """Count what one committed decision came to. Runs that it ended must still be in the table."""
        job, events = applied.job, self.events
        for event in applied.events:
            events[event.type] += 1
        if applied.was is not job.state:
            if applied.was is JobState.QUEUED and job.started_at == job.updated_at and job.generation == 1:
                self.job_starts.add(job.updated_at - job.created_at)
            if job.state in TERMINAL:
                self._of(self.job_lengths, job.state.value).add(job.updated_at - job.created_at)
        for task in applied.started:
            if task.ready_at is not None and task.started_at is not None:
                self._of(self.queue_waits, task.queue).add(task.started_at - task.ready_at)
        for run_id, task in applied.ended_runs:
            run = runs.get(run_id)
            if run is None:
                continue
            began = run.task.started_at
            if began is not None:
                self._of(self.attempt_lengths, run.task.handler).add(job.updated_at - began)
            outcome = "completed" if task.state is TaskState.COMPLETED else attempt_outcome(run.task, task)[0]
            key = (_label(run.task.handler, self.attempt_lengths), outcome)
            self.attempts[key] = self.attempts.get(key, 0) + 1

    @staticmethod
    def _of(histograms: dict[str, Histogram], name: str) -> Histogram:
        label = _label(name, histograms)
        found = histograms.get(label)
        if found is None:
            found = histograms[label] = Histogram(WORK_MS)
        return found

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
            "events": dict(self.events),
            "job_starts": self.job_starts.shown(),
            "job_lengths": {name: each.shown() for name, each in self.job_lengths.items()},
            "queue_waits": {name: each.shown() for name, each in self.queue_waits.items()},
            "attempt_lengths": {name: each.shown() for name, each in self.attempt_lengths.items()},
            "attempts": dict(self.attempts),
        }
