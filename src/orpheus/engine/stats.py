"""How is the engine doing? Counts and timings for /metrics, kept as the batches go by."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from orpheus.core.job import TERMINAL, JobState
from orpheus.core.task import TaskState
from orpheus.store.transaction import attempt_outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from orpheus.core.decision import Event
    from orpheus.core.task import Task
    from orpheus.engine.batches import Entry
    from orpheus.engine.stream import Told
    from orpheus.store.applied import Applied

BOUNDS_MS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0)


WORK_MS = tuple(
    1000.0 * length_s for length_s in (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
)
"""What work takes, and what waits for it: from a short task to hours of rendering."""
LABELS_MAX = 200
"""Different tasks, or queues, that are told apart; what comes after these is `other`."""
OTHER = "other"
SORTED_EVERY = 64
"""Commits after which the lengths that were noted are sorted into their buckets, also when nobody asked."""

_type = attrgetter("type")
_QUEUED, _JOB_COMPLETED, _COMPLETED = JobState.QUEUED, JobState.COMPLETED, TaskState.COMPLETED


def _label(name: str, known: Collection[str]) -> str:
    """Return a label's value: bounded, whatever people call their tasks and queues."""
    return name if name in known or len(known) < LABELS_MAX else OTHER


class Histogram:
    """Counts by upper bound in milliseconds, with sum and count; cumulative when shown, as Prometheus wants it.

    Lengths are only gathered when they are added, in `waiting`; many are sorted into the buckets together, for hardly more than one.
    """

    __slots__ = ("_counts", "_sum_ms", "bounds", "waiting")

    def __init__(self, bounds: tuple[float, ...] = BOUNDS_MS) -> None:
        self.bounds = bounds
        self.waiting: list[float] = []
        """Lengths in seconds that stand in no bucket yet; may be added to by its owner."""
        self._counts = [0] * (len(bounds) + 1)
        self._sum_ms = 0.0

    def add(self, length_s: float) -> None:
        self.waiting.append(length_s)

    def sort_in(self) -> None:
        """Count what waits."""
        if not self.waiting:
            return
        lengths = sorted(self.waiting)
        self.waiting.clear()
        if lengths[0] < 0.0:  # a wall clock may be set back
            lengths = [max(0.0, length_s) for length_s in lengths]
        below = 0
        for place, bound_ms in enumerate(self.bounds):
            up_to = bisect_right(lengths, bound_ms / 1000.0, below)
            self._counts[place] += up_to - below
            below = up_to
        self._counts[-1] += len(lengths) - below
        self._sum_ms += sum(lengths) * 1000.0

    @property
    def counts(self) -> list[int]:
        """How many there were between each bound and the one before it; at the end, above them all."""
        self.sort_in()
        return self._counts

    @property
    def sum_ms(self) -> float:
        self.sort_in()
        return self._sum_ms

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
        self.operations: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.faults = 0
        self.claims = 0
        self.rescues = 0
        self.stalls = 0
        self.wait = Histogram()
        self.run = Histogram()
        self.commit = Histogram()
        self.batch_operations_max = 0
        self.events: Counter[str] = Counter()
        self.job_starts = Histogram(WORK_MS)
        self.job_lengths: dict[str, Histogram] = {}
        self.queue_waits: dict[str, Histogram] = {}
        self.attempt_lengths: dict[str, Histogram] = {}
        self.attempts: dict[tuple[str, str], int] = {}
        self._lasted: dict[JobState, list[float]] = {state: [] for state in TERMINAL}
        """By how they ended, lengths of jobs that stand not in `job_lengths` yet."""
        self._completed: defaultdict[str, list[float]] = defaultdict(list)
        """By handler, lengths of attempts that completed: they stand neither in `attempt_lengths` nor in `attempts` yet."""
        self._waited: defaultdict[str, list[float]] = defaultdict(list)
        """By queue, waits that stand not in `queue_waits` yet."""

    def changed(self, changes: Iterable[Applied]) -> None:
        """Count what committed decisions came to, but for their events and the attempts that they ended."""
        lasted, waited = self._lasted, self._waited
        for applied in changes:
            job, was = applied.job, applied.was
            if was is not job.state:
                if was is _QUEUED and job.started_at == job.updated_at and job.generation == 1:
                    self.job_starts.waiting.append(job.updated_at - job.created_at)
                if job.state in lasted:
                    lasted[job.state].append(job.updated_at - job.created_at)
            for task in applied.started:
                if task.ready_at is not None and task.started_at is not None:
                    waited[task.queue].append(task.started_at - task.ready_at)

    def began(self, told: Iterable[Told], tasks: Iterable[Task]) -> None:
        """Count attempts that began the usual way, told of with the jobs that began with them."""
        waited = self._waited
        for task in tasks:
            if task.ready_at is not None and task.started_at is not None:
                waited[task.queue].append(task.started_at - task.ready_at)
        self.job_starts.waiting += [
            job.updated_at - job.created_at
            for _place, events, job in told
            if len(events) > 1 and job.generation == 1  # the other event is the job's own start
        ]

    def completed(self, told: Iterable[Told], took: Mapping[tuple[str, int], Sequence[float]]) -> None:
        """Count attempts that completed the usual way, told of with the jobs that completed with them.

        Args:
            took: their lengths by task and something else.
        """
        for (handler, _size), lengths in took.items():
            self._completed[handler].extend(lengths)
        self._lasted[_JOB_COMPLETED].extend(
            [job.updated_at - job.created_at for _place, _events, job in told if job.state is _JOB_COMPLETED]
        )

    def attempt_ended(self, before: Task, task: Task, at: float) -> None:
        """Count an attempt that is over, by its task's row before and after."""
        began = before.started_at
        if began is not None and task.state is _COMPLETED:
            self._completed[before.handler].append(at - began)
            return
        self._give_labels()  # names get their labels in the order in which they came
        if began is not None:
            self._of(self.attempt_lengths, before.handler).add(at - began)
        outcome = "completed" if task.state is _COMPLETED else attempt_outcome(before, task)[0]
        key = (_label(before.handler, self.attempt_lengths), outcome)
        self.attempts[key] = self.attempts.get(key, 0) + 1

    def told(self, events: Iterable[Sequence[Event]]) -> None:
        """Count the events of committed decisions."""
        self.events.update(map(_type, chain.from_iterable(events)))

    def _give_labels(self) -> None:
        """Give what was noted lately its labels."""
        for state, lengths in self._lasted.items():
            if lengths:
                self._of(self.job_lengths, state.value).waiting.extend(lengths)
                lengths.clear()
        for handler, lengths in self._completed.items():
            self._of(self.attempt_lengths, handler).waiting.extend(lengths)
            key = (_label(handler, self.attempt_lengths), "completed")
            self.attempts[key] = self.attempts.get(key, 0) + len(lengths)
        self._completed.clear()
        for queue, waits in self._waited.items():
            self._of(self.queue_waits, queue).waiting.extend(waits)
        self._waited.clear()

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
        operations = 0
        for entry, outcome in done:
            count, refused = entry.operation.tally(outcome)
            operations += count
            self.operations[entry.operation.name] += count
            if refused:
                self.refused[entry.operation.name] += refused
            self.wait.waiting += [began - entry.queued_at] * count
        self.batch_operations_max = max(self.batch_operations_max, operations)
        if self.commits % SORTED_EVERY == 0:
            self.sort_in()

    def sort_in(self) -> None:
        """Sort all lengths that were noted into their buckets, so that what waits is never more than some batches brought."""
        self._give_labels()
        for histogram in (self.wait, self.run, self.commit, self.job_starts):
            histogram.sort_in()
        for histograms in (self.job_lengths, self.queue_waits, self.attempt_lengths):
            for histogram in histograms.values():
                histogram.sort_in()

    def shown(self) -> dict[str, Any]:
        self.sort_in()
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
