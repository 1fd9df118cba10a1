"""Transactions on their way to the disk: handed to the process beside (writer.py), not yet answered.

The next transaction is decided while they are written (ADR 0035), and has to know what is in them though no question to the file
finds it:

- Rows that they changed are remembered until their answer (`forget_answered`). So a row that is *not* remembered is as the file has it, and
  may be read by its key at any time.
- Whoever asks about more than a key has them settled first (`settle`), unless they hold no rows of that kind (`hold`).
- Keys of submissions are asked for here first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from orpheus.store.writer import Writer, encoded

if TYPE_CHECKING:
    from orpheus.store.cache import JobEntry, RowCache, TaskEntry
    from orpheus.store.unit import Unit


class InFlight:
    """The transactions of one store, in the order in which they were handed over, which is that of their commits."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.handed_over = 0
        """How many ever were."""
        self.answered = 0
        """How many of them are on the disk, the oldest first."""
        self._units: deque[Unit] = deque()
        self._kept: list[Unit] = []
        """Over, their rows still remembered."""

    def __len__(self) -> int:
        return len(self._units)

    def takes(self) -> bool:
        """Tell whether the process takes another transaction. One that died while it had none is found out here."""
        return self.writer.is_ready() and (bool(self._units) or not self.writer.has_ended())

    def hand_over(self, unit: Unit) -> None:
        """Give a transaction to the process.

        Raises:
            GuardFailed: it holds what no column can hold. Nothing was sent.
            CommitFailed: the process is gone.
        """
        assert unit.apart is not None
        self.writer.send(encoded(unit.apart))
        unit.sent = frozenset(name for name, _rows in unit.apart)
        unit.apart = []
        self._units.append(unit)
        self.handed_over += 1

    def take_answer(self) -> None:
        """Wait for the answer to the oldest.

        Raises:
            CommitFailed: whether it is on the disk is unknown, or later decisions were made on what is not.
        """
        self.writer.receive()
        self._kept.append(self._units.popleft())
        self.answered += 1

    def settle(self) -> None:
        """Wait until all are on the disk. Raises as `take_answer` does."""
        while self._units:
            self.take_answer()

    def hold(self, *statements: str) -> bool:
        """Tell whether rows of one of these statements are on their way."""
        return any(not unit.sent.isdisjoint(statements) for unit in self._units)

    def idempotent(self, tenant: str, key: str) -> tuple[str, str | None] | None:
        """Return `(job_id, fingerprint)` of the job that one of them creates with this key."""
        return next(
            (found for unit in self._units if (found := unit.created_with.get((tenant, key))) is not None),
            None,
        )

    def any_idempotent(self, tenant: str, keys: Sequence[str]) -> bool:
        """Tell whether `idempotent` knows any of these keys."""
        return any(holds_any(unit.created_with, tenant, keys) for unit in self._units)

    def keep(self, unit: Unit) -> None:
        """A transaction that only asked is over: what it has looked up is forgotten when that is safe (`forget_answered`)."""
        self._kept.append(unit)

    def forget_answered(self, cache: RowCache) -> None:
        """Keep the memory bounded, now that more is on the disk. Between decisions only: none may miss what it has changed."""
        if not self._kept:
            return
        jobs: set[JobEntry] = set()
        tasks: set[TaskEntry] = set()
        for unit in self._units:
            jobs.update(unit.touched_jobs)
            tasks.update(unit.touched_tasks)
        for unit in self._kept:
            cache.forget_ended(unit.touched_jobs, unit.touched_tasks, but_jobs=jobs, but_tasks=tasks)
        self._kept.clear()

    def drop_answered(self) -> None:
        """Nothing is remembered any more."""
        assert not self._units
        self._kept.clear()


def holds_any(created_with: Mapping[tuple[str, str], Any], tenant: str, keys: Sequence[str]) -> bool:
    """Tell whether a job was created with one of the tenant's keys."""
    return bool(created_with) and not created_with.keys().isdisjoint(zip(repeat(tenant), keys, strict=False))
