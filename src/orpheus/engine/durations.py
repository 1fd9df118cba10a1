"""How long did a task take before, and what did it say it cost? Small histograms per task, version and size of the job's input,
for estimates.

An attempt that completes adds one to a count in memory; the ledger writes the histograms that changed every few seconds. A crash
loses a few seconds of counts, which moves no estimate. Older runs fade: a histogram that has grown large is halved, so that a task
on a new machine is soon known for what it is now.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from orpheus.core.estimate import Sample

if TYPE_CHECKING:
    from orpheus.engine.work import Work

STEPS = 8
"""Buckets per doubling of a duration: each is 9 % wide."""
LEAST_S = 0.001
MOST_RUNS = 1_000
"""A histogram with more is halved."""

PRICES = " price"
"""Ends the name under which a task's prices are kept beside its durations; no task's name has a space."""
PRICE_UNITS = 1_000
"""Of a price are counted like a second: then the least that can be told apart is a millionth."""

Place = tuple[str, int]
"""`(name@version, size bucket)`."""


def size_bucket(input_bytes: int) -> int:
    """Return 0 for no files, else one bucket for each fourfold size."""
    return 0 if input_bytes <= 0 else 1 + int(math.log(input_bytes, 4))


class Durations:
    """The histograms, in memory."""

    def __init__(self) -> None:
        self._counts: dict[Place, dict[int, int]] = {}
        self._changed: dict[Place, None] = {}

    def load(self, rows: Iterable[tuple[str, int, Mapping[str, int]]]) -> None:
        for handler, bucket, counts in rows:
            self._counts[handler, bucket] = {int(step): count for step, count in counts.items()}

    def note(self, handler: str, input_bytes: int, lengths: Iterable[float]) -> None:
        """Count completed attempts, by their lengths in seconds."""
        place = (handler, size_bucket(input_bytes))
        counts = self._counts.get(place)
        if counts is None:
            counts = self._counts[place] = {}
        for seconds in lengths:
            step = round(math.log2(seconds / LEAST_S) * STEPS) if seconds > LEAST_S else 0
            counts[step] = count = counts.get(step, 0) + 1
            if count > MOST_RUNS // 2 and sum(counts.values()) > MOST_RUNS:
                counts = self._counts[place] = {step: count // 2 for step, count in counts.items() if count > 1}
        self._changed[place] = None

    def note_price(self, handler: str, input_bytes: int, price: float) -> None:
        """Count what a completed attempt says it cost."""
        self.note(handler + PRICES, input_bytes, [price * PRICE_UNITS])

    def price(self, handler: str, input_bytes: int) -> float | None:
        """Return what a run of a task has usually cost, by its own word, with an input of this size or the nearest to it; None
        when it never said."""
        name, wanted = handler + PRICES, size_bucket(input_bytes)
        buckets = [bucket for known, bucket in self._counts if known == name]
        if not buckets:
            return None
        counts = self._counts[name, min(buckets, key=lambda bucket: abs(bucket - wanted))]
        return _quantile(counts, sum(counts.values()), 0.5) / PRICE_UNITS

    def sample(self, handler: str, input_bytes: int) -> Sample | None:
        """Return what is known of a task with an input of this size; None when it never completed with one."""
        counts = self._counts.get((handler, size_bucket(input_bytes)))
        if not counts:
            return None
        total = sum(counts.values())
        return Sample(_quantile(counts, total, 0.5), _quantile(counts, total, 0.95), total)

    def news(self) -> Callable[[Work], None] | None:
        """Return what writes down the histograms that changed (see `ledger.py`)."""
        if not self._changed:
            return None
        changed = {place: dict(self._counts[place]) for place in self._changed}
        self._changed.clear()
        return partial(_write, changed)


def _write(changed: Mapping[Place, Mapping[int, int]], work: Work) -> None:
    for (handler, bucket), counts in changed.items():
        work.tx.access.put_durations(handler, bucket, {str(step): count for step, count in counts.items()})


def _quantile(counts: Mapping[int, int], total: int, part: float) -> float:
    """Return the duration that `part` of the runs did not pass."""
    wanted, seen = part * total, 0
    for step in sorted(counts):
        seen += counts[step]
        if seen >= wanted:
            return float(LEAST_S * 2.0 ** (step / STEPS))
    raise AssertionError("the counts add up to the total")
