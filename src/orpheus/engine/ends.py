"""Who waits for a job's end? Futures that are done at the commit that ends it.

`wait` is for a job that is there already. A submission that waits is `Watched`: its future listens before the commit has
any other effect, so no end is missed, not even one that comes with the creation. It gets params and result handed over with
the job: they were in memory a moment ago, and need not be read from the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from orpheus.core.decision import Decision
from orpheus.core.job import TERMINAL, Job, JobState
from orpheus.engine.base import Ended, Submitted
from orpheus.engine.machine import Machine
from orpheus.engine.reads import EmbeddedReads
from orpheus.engine.submissions import Submit
from orpheus.engine.work import Change, Operation, Telling, Work

JobEnd = asyncio.Future[Ended]


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

    def watch(self, job_id: str, end: JobEnd, *, created: Decision | None = None) -> None:
        """Have the future done at the commit that ends the job, unless it is done (or cancelled) before.

        Args:
            created: what created the job, if that was just now.
        """
        if end.done():
            return

        def heard(ending: Decision) -> None:
            if not end.done():
                end.set_result(Ended(ending.job, None if created is None else _parts(created, ending)))

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
            return end.result().job if end.done() else await self._reads.job(job_id)
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
        created = _creation(work, mark, submitted.job.job_id) if submitted.created else None
        work.effects.insert(mark, Telling(self._listen, submitted.job, created))
        return submitted

    def _listen(self, job: Job, created: Decision | None) -> None:
        if job.state in TERMINAL and not self._end.done():
            self._end.set_result(Ended(job))
        self._ends.watch(job.job_id, self._end, created=created)


def _creation(work: Work, mark: int, job_id: str) -> Decision | None:
    for effect in work.effects[mark:]:
        if isinstance(effect, Change) and effect.decision.is_new and effect.decision.job.job_id == job_id:
            return effect.decision
    return None


def _parts(created: Decision, ending: Decision) -> tuple[Any, Any] | None:
    """Return the job's params and result; None where they may be others, or files belong to them."""
    job = ending.job
    if job.has_files or job.requires_approval or job.generation != created.job.generation:
        return None  # an approval and a rewind may have brought other params
    if job.state is JobState.COMPLETED and not ending.sets_job_result:
        return None
    return created.params, ending.job_result
