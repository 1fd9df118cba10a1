"""How much of the loop's time may those have who only watch? An eighth, while it has anything else to do.

Claims, reports and submissions run on the same loop. With a thousand watchers of every job each event is a thousand messages: told as
they come, they took all of its time and workers lost contact. So whoever tells watchers rests after each piece of work until others
have used seven times as much CPU time, or the loop is idle. Nothing is lost by it: a watcher has a place in the stream, and hears more at
a time.
"""

from __future__ import annotations

import asyncio
import time

RESTS = 7
"""What others may use, in lengths of the teller's work."""
LONGEST = 4 * RESTS
"""A rest ends after so many of these lengths, whatever others used: on a machine that is short of time they use little of each."""
IDLE = 0.1
"""A loop that used less than this part of such a length for others is idle."""
LEAST_S = 0.0005
"""Work up to this length is followed by no rest of its own; it is added up."""


class Share:
    """One turn after the other for all who tell watchers."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._owed_s = 0.0

    async def __aenter__(self) -> None:
        """Wait for a turn, and for the rest after the one before."""
        await self._turn.acquire()
        try:
            if self._owed_s >= LEAST_S:
                owed_s, self._owed_s = self._owed_s, 0.0
                await _rest(owed_s)
        except BaseException:
            self._turn.release()
            raise
        self._began = time.thread_time()

    async def __aexit__(self, *_fault: object) -> None:
        self._owed_s += time.thread_time() - self._began
        self._turn.release()

    def add(self, length_s: float) -> None:
        """Count work that the loop does for this turn after it is over."""
        self._owed_s += length_s


async def _rest(length_s: float) -> None:
    begun = time.thread_time()
    for _ in range(LONGEST):
        wall, used = time.monotonic(), time.thread_time()
        await asyncio.sleep(length_s)
        now = time.thread_time()
        if now - begun >= RESTS * length_s or now - used < IDLE * (time.monotonic() - wall):
            return
