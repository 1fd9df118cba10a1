"""Which runs are over although nobody reported them? Rescue, time-out, fence, and the grant that never arrived.

Each is an operation that looks again, in its transaction, whether what it was queued for still holds: a lease renewed in
between is not rescued (R6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from orpheus.core.facts import RunFenced, RunLost, RunReturned, RunTimedOut
from orpheus.engine.leases import Limit, Run
from orpheus.engine.reports import tell_progress
from orpheus.engine.work import Operation, Work

if TYPE_CHECKING:
    from orpheus.engine.machine import Machine


class Rescuer(Protocol):
    """Who queued the operation: `workers.Workers`."""

    @property
    def machine(self) -> Machine: ...

    def retry(self, run: Run) -> None:
        """The operation was refused or dropped: look at the run again in a while."""


class Return(Operation):
    """A grant never reached its worker: the task is ready again at once, and no attempt was made (R8)."""

    name = "return"

    def __init__(self, rescuer: Rescuer, run: Run, *, check: bool = False) -> None:
        self._rescuer = rescuer
        self._run = run
        self._check = check

    def run(self, work: Work) -> None:
        run = self._run
        if self._check and run.passed(work.mono) is None:
            work.after_commit(lambda: self._rescuer.machine.runs.retry(run.run_id))
            return
        work.after_commit(self._known)
        work.tell(run.task.job_id, RunReturned(node=run.task.node, index=run.task.index, run_id=run.run_id))
        self._rescuer.machine.feed.forget_start(work, run.task)

    def _known(self) -> None:
        self._run.never_arrived = True
        self._rescuer.machine.feed.dispatcher.unbegun(self._run.task.key)

    def failed(self, error: BaseException) -> None:
        self._rescuer.retry(self._run)


class Expire(Operation):
    """A limit of a run has passed: rescue it, time it out, or fence it. Looked at again here: it may have been renewed
    since, and a renewed run is not rescued (R6)."""

    name = "expire"

    def __init__(self, rescuer: Rescuer, run: Run, limit: Limit) -> None:
        self._rescuer = rescuer
        self._run = run
        self._limit = limit

    def run(self, work: Work) -> None:
        run, task = self._run, self._run.task
        machine = self._rescuer.machine
        limit = run.passed(work.mono)
        if limit is None:
            work.after_commit(lambda: machine.runs.retry(run.run_id))
            return
        tell_progress(work, run, machine.progress)
        if limit is Limit.FENCE:
            work.tell(task.job_id, RunFenced(node=task.node, index=task.index, run_id=run.run_id))
        elif limit is Limit.LEASE:
            name = work.tx.records.worker_name(run.session_id) or ""
            work.tell(task.job_id, RunLost(node=task.node, index=task.index, run_id=run.run_id, worker_name=name))
            work.after_commit(self._count)
        else:
            fact = RunTimedOut(node=task.node, index=task.index, run_id=run.run_id, code=str(limit))
            work.tell(task.job_id, fact)

    def _count(self) -> None:
        self._rescuer.machine.meter.rescues += 1

    def failed(self, error: BaseException) -> None:
        self._rescuer.retry(self._run)
