"""How is a batch made durable without keeping the loop from its other work? (R3)

A small one is committed on the loop while the disk is fast, else in a thread (ADR 0010); a large one by a process beside, while the
next one is decided (ADR 0033, 0035).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from orpheus.engine.batches import Batch
from orpheus.engine.clock import Clock
from orpheus.engine.machine import Machine
from orpheus.store.writer import Writer

QUICK_COMMIT_S = 0.002
"""Mean time of a COMMIT up to which it is made on the loop. Handing it to a thread and hearing of its end costs 0.1 ms of
CPU and, while the loop is busy, up to 5 ms of waiting for the interpreter's lock: more than a fast disk takes to sync."""
COMMIT_WEIGHT = 0.1
"""Of the latest COMMIT in the mean."""


class Committing:
    """Commits one batch after the other, and has the machine finish it.

    Args:
        clock: measures the disk.
        wake: told when batches were finished, so that there may be room for more.
    """

    def __init__(self, clock: Clock, *, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._fault: BaseException | None = None
        self._commit_s = QUICK_COMMIT_S
        """Mean time of the latest COMMITs; the first slow one sends the next to the thread."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="orpheus-commit")
        self._listens_to: int | None = None
        """Where the loop hears of answers."""

    def check(self, machine: Machine) -> None:
        """Finish what was answered, by whomever the answer was taken. Between batches.

        Raises:
            CommitFailed: an answer has brought it, or a fault of ours: the process must end.
        """
        if self._fault is not None:
            raise self._fault
        if machine.is_on_the_way or self._listens_to is not None:
            machine.finish_answered()
            self._listen(machine)

    async def commit(self, machine: Machine, batch: Batch) -> None:
        """Commit and answer, the rest of finishing it is `note_answered`'s; or hand over, then it is finished when it was answered.

        Raises:
            CommitFailed: what is on the disk is unknown; the process must end.
        """
        machine.finish_answered()
        if batch.written_apart or (machine.is_on_the_way and not batch.wrote):
            machine.hand_over(batch)
            self._listen(machine)
            return
        if batch.wrote and self._commit_s > QUICK_COMMIT_S:
            took_s = await asyncio.get_running_loop().run_in_executor(self._thread, self._timed, machine)
        else:
            took_s = self._timed(machine)
        if batch.wrote:
            self._commit_s += COMMIT_WEIGHT * (took_s - self._commit_s)
        machine.answer(batch)

    def _timed(self, machine: Machine) -> float:
        began = self._clock.monotonic()
        machine.commit()
        return self._clock.monotonic() - began

    def _listen(self, machine: Machine) -> None:
        """Have answers heard for as long as some are to come."""
        writer = machine.store.writer
        if writer is None or machine.is_on_the_way == (self._listens_to is not None):
            return
        if machine.is_on_the_way:
            self._listens_to = writer.descriptor
            asyncio.get_running_loop().add_reader(self._listens_to, self._answered, machine, writer)
        else:
            self._stop_listening()

    def _stop_listening(self) -> None:
        if self._listens_to is not None:
            asyncio.get_running_loop().remove_reader(self._listens_to)
            self._listens_to = None

    def _answered(self, machine: Machine, writer: Writer) -> None:
        try:
            if machine.store.answered < machine.store.handed_over and writer.has_answer():
                machine.store.take_answer()
            machine.finish_answered()
            self._listen(machine)
        except Exception as error:
            self._fault = error
            self._stop_listening()
        self._wake()

    def close(self) -> None:
        """End the thread; before the store is closed, on the loop."""
        self._stop_listening()
        self._thread.shutdown(wait=True)
