"""How is a batch made durable without keeping the loop from its other work? (R3)

A small one is committed on the loop while the disk is fast, else in a thread (ADR 0010); a large one by a process beside, whose
answer the loop waits for while it reads and answers requests (ADR 0033).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from orpheus.engine.clock import Clock
from orpheus.engine.machine import Batch, Machine
from orpheus.store.errors import GuardFailed

QUICK_COMMIT_S = 0.002
"""Mean time of a COMMIT up to which it is made on the loop. Handing it to a thread and hearing of its end costs 0.1 ms of
CPU and, while the loop is busy, up to 5 ms of waiting for the interpreter's lock: more than a fast disk takes to sync."""
COMMIT_WEIGHT = 0.1
"""Of the latest COMMIT in the mean."""


class Committing:
    """Commits one batch after the other, and has the machine finish it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._commit_s = QUICK_COMMIT_S
        """Mean time of the latest COMMITs; the first slow one sends the next to the thread."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="orpheus-commit")

    async def commit(self, machine: Machine, batch: Batch) -> None:
        """Commit and finish, or have its operations run again when its rows are refused.

        Raises:
            CommitFailed: what is on the disk is unknown; the process must end.
        """
        try:
            if batch.written_apart:
                await _readable(machine.store.send())
                machine.commit()
            elif batch.wrote and self._commit_s > QUICK_COMMIT_S:
                took_s = await asyncio.get_running_loop().run_in_executor(self._thread, self._timed, machine)
                self._note(took_s)
            else:
                took_s = self._timed(machine)
                if batch.wrote:
                    self._note(took_s)
        except GuardFailed as fault:
            machine.undo(batch, fault)
        else:
            machine.finish(batch)

    def _timed(self, machine: Machine) -> float:
        began = self._clock.monotonic()
        machine.commit()
        return self._clock.monotonic() - began

    def _note(self, took_s: float) -> None:
        self._commit_s += COMMIT_WEIGHT * (took_s - self._commit_s)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True)


async def _readable(handle: int) -> None:
    """Wait until there is something to read from a descriptor."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not came.done():
            came.set_result(None)

    loop.add_reader(handle, tell)
    try:
        await came
    finally:
        loop.remove_reader(handle)
