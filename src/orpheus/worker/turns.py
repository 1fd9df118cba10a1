"""Which task of the loop does an attempt run in? Its own, once it waits for something; until then one that it shares.

Most short handlers never wait. A task for each cost a fifth of all that was done for an attempt, so those that are ready take turns
in one: what ends at its first step makes room for the next, and what waits keeps the task for itself. Where the latest has
waited, the next ones get tasks of their own at once, until one is seen that need not have (`share`).

No handler can tell: the variables of its context are its own (`LoopWork`), and a task that somebody still holds when a handler
has ended is used no more. It would be cancelled, or looked up, for an attempt that is over.
"""

from __future__ import annotations

import asyncio
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from orpheus.worker.runs import Run

TURN_S = 0.001
"""After so long others that are ready in the loop have their turn."""


class Turns:
    """The tasks of the loop in which attempts run.

    Args:
        make: makes an attempt which has its slot since then (monotonic); what has to be awaited for it is returned.
        await_: makes one which may wait.
        made: called after attempts were made for which nothing had to be awaited.
        idle: called when a task has ended.
    """

    def __init__(
        self,
        make: Callable[[Run, float], Coroutine[Any, Any, None] | None],
        await_: Callable[[Run, float], Coroutine[Any, Any, None]],
        *,
        made: Callable[[], None],
        idle: Callable[[], None],
    ) -> None:
        self._make = make
        self._await = await_
        self._made = made
        self._idle = idle
        self._tasks: set[asyncio.Task[None]] = set()
        self._latest: deque[Run] | None = None
        """What is left to the task that was started last, and may take more."""
        self._together = False
        """Whether the latest attempt did not wait."""

    def __len__(self) -> int:
        """The tasks that have not ended."""
        return len(self._tasks)

    def add(self, run: Run) -> None:
        """Have the attempt made in this turn of the loop, or the next."""
        if not self._together:
            run.task = self._start(self._alone(run))
        elif self._latest is not None:
            self._latest.append(run)
        else:
            self._begin(deque((run,)))

    def share(self) -> None:
        """An attempt was made that did not wait: the next ones share."""
        self._together = True

    def _begin(self, runs: deque[Run]) -> None:
        self._latest = runs
        self._start(self._turn(runs))

    def _start(self, life: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(life)
        self._tasks.add(task)
        return task

    async def _alone(self, run: Run) -> None:
        task = run.task
        assert task is not None, "it is this one"
        try:
            task.set_name(f"run-{run.run_id}")
            await self._await(run, time.monotonic())
        finally:
            self._tasks.discard(task)
            self._idle()

    async def _turn(self, runs: deque[Run]) -> None:
        task = asyncio.current_task()
        assert task is not None, "it is one"
        try:
            run, rest = self._pass(task, runs)
            if rest is not None:
                task.set_name(f"run-{run.run_id}")
                await rest
        finally:
            self._tasks.discard(task)
            self._idle()

    def _pass(self, task: asyncio.Task[None], runs: deque[Run]) -> tuple[Run, Coroutine[Any, Any, None] | None]:
        """Make attempts one after the other, and return the latest with what is to be awaited for it."""
        holders = _holders(task)
        begins_at = time.monotonic()
        until = begins_at + TURN_S
        rest = None
        made = False
        try:
            while True:
                run = runs.popleft()
                run.task = task
                rest = self._make(run, begins_at)
                if rest is not None:
                    return run, rest
                made, run.task = True, None
                begins_at = time.monotonic()
                if not runs or begins_at >= until or _holders(task) != holders:
                    return run, None
        finally:
            self._together = rest is None
            self._leave(runs)
            if made:
                self._made()

    def _leave(self, runs: deque[Run]) -> None:
        """What is left gets another task, or one for each."""
        if self._latest is runs:
            self._latest = None
        if not self._together:
            for run in runs:
                self.add(run)
        elif runs:
            self._begin(runs)


def _holders(task: asyncio.Task[None]) -> tuple[int, int]:
    """Return by how many a task is held: it changes when one of them is a handler that has asked for the current task."""
    return sys.getrefcount(task), weakref.getweakrefcount(task)
