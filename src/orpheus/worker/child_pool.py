"""Which child process makes this attempt? (design section 4: CPU-bound handlers in processes, devices isolated)

Children are started when needed and kept, since starting one costs the time of importing the handlers' modules, and what
it has loaded (a model on a GPU) is the dearest thing here. A child belongs to a set of devices: CUDA reads
CUDA_VISIBLE_DEVICES once. An idle child that holds some of the devices wanted, but not exactly those, is closed first, so
that its memory on the device is free.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable

from orpheus.protocol.worker import ReportedError
from orpheus.worker.child_process import Child
from orpheus.worker.devices import VISIBLE
from orpheus.worker.failures import AttemptError, classify
from orpheus.worker.frames import Setup, Start
from orpheus.worker.reaper import Reaper
from orpheus.worker.runs import Run
from orpheus.worker.work import Failed, Outcome, Stopped


class ChildPool:
    """The worker's child processes.

    Args:
        setup: what a child is told first.
        devices: what CUDA calls each GPU that this worker leases; a child sees those of its lease alone. None: it leases
            none, and children see what it sees.
        runs_max: replace a child after so many attempts.
    """

    def __init__(self, setup: Setup, reaper: Reaper, *, devices: tuple[str, ...] | None, runs_max: int | None) -> None:
        self._setup = setup
        self._reaper = reaper
        self._devices = devices
        self._runs_max = runs_max
        self._idle: list[Child] = []
        self._all: set[Child] = set()

    async def take(self, devices: tuple[int, ...]) -> Child:
        """Return a child for these devices, an idle one if there is one.

        Raises:
            AttemptError: a new one could not be started.
        """
        for child in reversed(self._idle):
            if child.devices == devices and child.alive:
                self._idle.remove(child)
                return child
        if devices:
            for child in [child for child in self._idle if set(child.devices) & set(devices)]:
                self._idle.remove(child)
                await self._discard(child)
        child = Child(devices, self._reaper)
        self._all.add(child)
        try:
            await child.start(self._setup, self._environment(devices))
        except BaseException:
            await asyncio.shield(self._discard(child))
            raise
        return child

    async def give_back(self, child: Child, *, reusable: bool) -> None:
        """Keep the child for the next attempt, or end it: after a stop nobody knows what it left behind."""
        if reusable and child.alive and (self._runs_max is None or child.runs_made < self._runs_max):
            self._idle.append(child)
        elif reusable and child.alive:
            await child.close()
            self._all.discard(child)
        else:
            await self._discard(child)

    def kill_all_now(self) -> None:
        """End every child at once; from any thread."""
        for child in list(self._all):
            child.kill_now()

    async def close(self) -> None:
        """Let the idle children close their resources and end; kill the rest."""
        self._idle.clear()
        await asyncio.gather(*(child.close() for child in list(self._all)))
        self._all.clear()

    async def _discard(self, child: Child) -> None:
        await child.bury()
        self._all.discard(child)

    def _environment(self, devices: tuple[int, ...]) -> dict[str, str]:
        environment = dict(os.environ)
        # The worker's secrets reach a handler as arguments it asked for; its key is not for handlers at all.
        environment.pop("ORPHEUS_API_KEY", None)
        if self._devices is not None:
            environment[VISIBLE] = ",".join(self._devices[device] for device in devices)
            environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        return environment


class ChildWork:
    """A handler in a child process."""

    dies = True

    def __init__(self, run: Run, pool: ChildPool, start: Start) -> None:
        self._run = run
        self._pool = pool
        self._start = start
        self._child: Child | None = None
        self._task: asyncio.Task[Outcome] | None = None

    def start(self) -> Awaitable[Outcome]:
        self._task = asyncio.create_task(self._perform(), name=f"run-{self._run.run_id}")
        return self._ended(self._task)

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
        elif self._task is not None:
            self._task.cancel()  # no child yet: it is still being started

    def press(self) -> None:
        self.stop()

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill_now()  # the end of its stream settles the rest
        elif self._task is not None:
            self._task.cancel()

    async def _perform(self) -> Outcome:
        try:
            return await self._make()
        except AttemptError as failed:
            return Failed(classify(failed))
        except Exception as broken:  # our own fault; the attempt fails and the worker goes on
            return Failed(ReportedError(message=f"the child process could not be used: {broken!r}"))

    async def _ended(self, task: asyncio.Task[Outcome]) -> Outcome:
        await asyncio.wait([task])
        return Stopped() if task.cancelled() else task.result()

    async def _make(self) -> Outcome:
        child = await self._pool.take(tuple(self._start.devices))
        self._child = child
        outcome: Outcome = Stopped()
        try:
            outcome = await child.make(self._run, self._start)
        finally:
            await asyncio.shield(self._pool.give_back(child, reusable=not self._run.stopping.is_set()))
        return outcome
