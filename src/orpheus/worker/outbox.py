"""What is there to report? Ends of attempts go at once; progress, heartbeats and log lines at most every 0.2 s per run.

The report loop takes a batch while nothing is in flight, so whatever gathered in the meantime goes together and nothing
waits to fill a batch (the way of R3). Or a question of the poll loop, which is about to go out anyway, takes the ends along.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import msgspec

from orpheus.protocol.worker import ReportItem
from orpheus.worker.runs import PROGRESS_EVERY_S, Run

_Raw = msgspec.Raw
ITEMS_MAX = 500
BYTES_MAX = 2 * 1024 * 1024
"""Of results and log lines in one report (`_size` of each item); one item may exceed it alone."""
CARRIED_BYTES_MAX = 128 * 1024
"""Of what a question takes along: it may have to be asked again."""


class Outbox:
    """Gather items for the report loop. `touch` may be called from any thread, all else on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ends: deque[ReportItem] = deque()
        self._ends_bytes = 0
        self._touched: dict[str, Run] = {}
        self._wake = asyncio.Event()
        self._carrier: Callable[[], None] | None = None
        self._timer: asyncio.Handle | None = None
        self._rings_at = 0.0
        """When the timer is due, by the loop's clock. A handle cannot be asked: uvloop gives a plain one for a wait under 0.5 ms."""

    def __len__(self) -> int:
        return len(self._ends)

    def touch(self, run: Run) -> None:
        """Note that the run has something to say."""
        if run.run_id not in self._touched:
            self._touched[run.run_id] = (
                run  # a dict's single operations are atomic; a lost race costs one extra wake-up
            )
            try:
                self._loop.call_soon_threadsafe(self._schedule)
            except RuntimeError:
                return  # the loop has ended, and with it the worker

    def end(self, run: Run, item: ReportItem | None, *, given_back: bool = False) -> None:
        """Queue the end of a run after its last words; None says nothing (the run is not ours any more), or only the
        words of one that is given back."""
        self.add_end(run, item, given_back=given_back)
        self.ends_came()

    def add_end(self, run: Run, item: ReportItem | None, *, given_back: bool = False) -> None:
        """Do as `end` does, but wake nobody: `ends_came` has to follow."""
        run.finished = True
        if self._touched:
            self._touched.pop(run.run_id, None)
        if item is None and not given_back:
            return
        if run.has_words:
            self._queue(run.words(last=True, with_progress=False))
        if item is not None:
            self._ends.append(item)
            self._ends_bytes += _size(item)

    def ends_came(self) -> None:
        """Have the ends told that were added."""
        if self._carrier is None:
            self._wake.set()
        else:
            self._carrier()

    def _queue(self, items: list[ReportItem], *, first: bool = False) -> None:
        if first:
            self._ends.extendleft(reversed(items))
        else:
            self._ends.extend(items)
        self._ends_bytes += sum(map(_size, items))

    def leave_to(self, carrier: Callable[[], None] | None) -> None:
        """Have `carrier` called for ends from now on, instead of waking the report loop; None wakes it for what is left."""
        self._carrier = carrier
        if self._ends:
            self.ends_came()

    async def wait(self) -> None:
        """Wait until there is something to send."""
        while not (self._ends and self._carrier is None) and not self._due():
            self._wake.clear()
            self._schedule()
            await self._wake.wait()

    def gather(self) -> list[ReportItem]:
        """Take the next batch, oldest first."""
        batch: list[ReportItem] = []
        size = 0
        now = time.monotonic()
        for run_id, run in list(self._touched.items()):
            if now - run.last_told_at >= PROGRESS_EVERY_S:
                self._touched.pop(run_id, None)
                run.last_told_at = now
                for item in run.words():
                    size += _size(item)
                    batch.append(item)
        ends = self._ends
        if len(batch) + len(ends) <= ITEMS_MAX and size + self._ends_bytes <= BYTES_MAX:
            batch += ends
            self._forget_ends()
        while ends and len(batch) < ITEMS_MAX:
            of_item = _size(ends[0])
            size += of_item
            if size > BYTES_MAX and batch:
                break
            batch.append(ends.popleft())
            self._ends_bytes -= of_item
        return batch

    def carried(self) -> list[ReportItem]:
        """Take all ends for a question that is about to go out; none when they are much. Files would keep it waiting while the
        server looks for them, so their ends go by themselves."""
        self._carrier = None
        ends = list(self._ends)
        if len(ends) > ITEMS_MAX or self._ends_bytes > CARRIED_BYTES_MAX or any(item.artifacts for item in ends):
            self._wake.set()
            return []
        self._forget_ends()
        return ends

    def put_back(self, items: list[ReportItem]) -> None:
        """Queue items again that the server could not take now; they go first."""
        self._queue(items, first=True)
        self.ends_came()

    def _forget_ends(self) -> None:
        self._ends.clear()
        self._ends_bytes = 0

    def _due(self) -> bool:
        now = time.monotonic()
        return any(now - run.last_told_at >= PROGRESS_EVERY_S for run in list(self._touched.values()))

    def _schedule(self) -> None:
        runs = list(self._touched.values())
        if not runs:
            return
        wait_s = min(run.last_told_at for run in runs) + PROGRESS_EVERY_S - time.monotonic()
        if wait_s <= 0:
            self._wake.set()
            return
        rings_at = self._loop.time() + wait_s
        if self._timer is None or self._rings_at > rings_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._rings_at = self._loop.call_later(wait_s, self._ring), rings_at

    def _ring(self) -> None:
        self._timer = None
        self._wake.set()


def _size(item: ReportItem) -> int:
    result = item.result
    if type(result) is _Raw:
        return len(result)
    return 256 + sum([len(line.message) + 64 for line in item.lines])
