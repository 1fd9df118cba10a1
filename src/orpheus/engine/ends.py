"""Who waits for a job's end? Futures that are done at the commit that ends it.

`wait` is for a job that is there already. A submission that waits is `Watched`: its future listens before the commit has
any other effect, so no end is missed, not even one that comes with the creation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from orpheus.core.job import TERMINAL, Job
from orpheus.engine.base import Submitted
from orpheus.engine.machine import Machine
from orpheus.engine.reads import EmbeddedReads
from orpheus.engine.submissions import Submit
from orpheus.engine.work import Operation, Work

JobEnd = asyncio.Future[Job]


class Ends:
    """The waits of one engine."""

    def __init__(self, machine: Machine, reads: EmbeddedReads) -> None:
        self._machine = machine
        self._reads = reads
        self._waits: set[JobEnd] = set()
        self._stopped = False

    def stop(self) -> None:
        """Let go whoever waits: the server goes down."""
        self._stopped = True
        for end in list(self._waits):
            end.cancel()

    def watch(self, job_id: str, end: JobEnd) -> None:
        """Have the future done at the commit that ends the job, unless it is done (or cancelled) before."""
        if end.done():
            return

        def heard(job: Job) -> None:
            if not end.done():
                end.set_result(job)

        stop = self._machine.when_ended(job_id, heard)
        self._waits.add(end)
        end.add_done_callback(partial(self._over, stop))

    def _over(self, stop: Callable[[], None], end: JobEnd) -> None:
        self._waits.discard(end)
        stop()

    async def wait(self, job_id: str, *, wait_s: float, tenant: str | None) -> Job | None:
        """Return the job when it has ended or the time is over; None at once when there is none (of that tenant's)."""
        end: JobEnd = asyncio.get_running_loop().create_future()
        # Listening begins before the look at the row: an end that is committed between them is heard.
        self.watch(job_id, end)
        try:
            job = await self._reads.job(job_id)
            if job is None or (tenant is not None and job.tenant != tenant):
                return None
            if job.state in TERMINAL or wait_s <= 0:
                return job
            await asyncio.wait((end,), timeout=wait_s)
            if self._stopped:
                return job
            return end.result() if end.done() else await self._reads.job(job_id)
        finally:
            end.cancel()


class Watched(Operation):
    """A submission of one job whose end is waited for, be it new or known by its key."""

    name = "submit"

    def __init__(self, submit: Submit, ends: Ends, end: JobEnd) -> None:
        self._submit = submit
        self._ends = ends
        self._end = end

    def run(self, work: Work) -> Submitted:
        mark = len(work.effects)
        [submitted] = self._submit.run(work)
        work.effects.insert(mark, partial(self._listen, submitted.job))
        return submitted

    def _listen(self, job: Job) -> None:
        if job.state in TERMINAL and not self._end.done():
            self._end.set_result(job)
        self._ends.watch(job.job_id, self._end)
