"""One transaction's work: facts brought to jobs, what follows from them, and what memory and those outside are to learn.

    read rows → the core decides → the store writes → (commit) → answers go out, memory changes

An operation calls `tell` (or `create`). The decision is applied at once, so the next operation of the same transaction
sees it. Facts that it brings to other jobs (a dependency settled, a child ended) are decided in the same transaction, in
a queue, not by recursion: a chain of thousands of dependents is one loop.

Nothing in memory changes here. What has to is collected as effects and run after the commit, in order (R3). Effects that are known
to concern nobody outside may run before it (`may_go_ahead`), so that the next transaction is decided while this one is written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from orpheus.core.decider import decide
from orpheus.core.decision import (
    CancelRun,
    Command,
    Decision,
    Event,
    Finalise,
    ForgetRun,
    LookUpResult,
    PublishArtifacts,
    StartChild,
    TellDependents,
    TellJob,
    TellParent,
)
from orpheus.core.dispatch import Source
from orpheus.core.errors import OrpheusError
from orpheus.core.facts import DependencySettled, Fact
from orpheus.core.graph import Graph
from orpheus.core.job import Job, JobState
from orpheus.core.task import Task
from orpheus.engine import children
from orpheus.engine.params import ParamsChecker
from orpheus.engine.recall import Intact, recall
from orpheus.engine.usual_runs import Began, Completed

if TYPE_CHECKING:
    from orpheus.core.usual_jobs import Beginning
    from orpheus.store.applied import Applied
    from orpheus.store.transaction import Transaction

Effect = Callable[[], None]

Reply = Callable[[Any], None]
"""Called once, after the commit, with the operation's result or the exception that refused it."""


class SeededDraws:
    """The decider's randomness, from the generator the engine was given."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def uniform(self) -> float:
        return self._rng.random()


class MemoryOnly(partial[None]):
    """An effect that changes memory and tells nobody, so it need not wait for the commit."""


class Telling(partial[None]):
    """An effect that tells somebody and changes nothing that decisions look at, so they need not wait for it."""


class Change(msgspec.Struct):
    """One applied decision, on its way to the memory: what `aftermath.py` looks at, in its place among the effects."""

    decision: Decision
    applied: Applied
    graph: Graph
    resumes: tuple[Source, ...]
    """Where its ready tasks stand, when it was resumed."""


class Created(msgspec.Struct):
    """New jobs that begin like an earlier one, written together: what `Change` is of a single decision."""

    jobs: list[Job]
    released: list[Task]
    """Their tasks that are ready, in the order of their places."""
    events: Sequence[Event]
    """Of each of them."""
    cursor: int
    """The place of the last one's last event; those before it count down without a gap."""
    graph: Graph


def may_go_ahead(effects: Sequence[Effect | Change | Created | Began | Completed]) -> bool:
    """Tell whether memory may follow before the commit: what else a transaction leaves to do might be seen from outside."""
    return all(isinstance(effect, Change | Created | Began | Completed | MemoryOnly | Telling) for effect in effects)


class Work(msgspec.Struct):
    """What an operation may use while its transaction is open."""

    tx: Transaction
    now: float
    """Seconds since the epoch: one instant for the whole transaction."""
    mono: float
    draws: SeededDraws
    checker: ParamsChecker
    """Of the params that child jobs are given."""
    on_fault: Callable[[str, OrpheusError], None]
    """Told about facts that followed from others and were refused."""
    tell_outside: Callable[[Work, Job, Sequence[Event]], None]
    """Writes, in this transaction, who outside is to be told of a job's events (R28)."""
    intact: Intact
    """Looks at objects in the store, for results that are known already (R23)."""
    effects: list[Effect | Change | Created | Began | Completed] = msgspec.field(default_factory=list)
    _follow: deque[Callable[[], None]] = msgspec.field(default_factory=deque)

    def after_commit(self, effect: Effect) -> None:
        """Have this done after the commit, in its place among the effects; earlier if it says that it may (`may_go_ahead`)."""
        self.effects.append(effect)

    def tell(self, job_id: str, fact: Fact, *, tenant: str | None = None) -> Decision:
        """Bring a fact to a job, and all that follows from it to others.

        Raises:
            OrpheusError: refused; nothing was written for it.
        """
        decision, _graph = self._decide(job_id, fact, tenant)
        if self._follow:
            self._follow_up()
        return decision

    def tell_in_graph(self, job_id: str, fact: Fact, *, tenant: str | None = None) -> tuple[Decision, Graph]:
        """Do as `tell` does; return also the job's graph."""
        told = self._decide(job_id, fact, tenant)
        if self._follow:
            self._follow_up()
        return told

    def audit(
        self,
        kind: str,
        subject: str,
        *,
        actor: str,
        tenant: str | None = None,
        correlation_id: str = "",
        **data: Any,
    ) -> None:
        """Note in the audit trail who ordered what, for what belongs to no job; jobs have their events.

        Args:
            kind: past tense, like an event's: `queue.updated`.
            subject: what it was done to: the queue's name, the key's id.
            tenant: whose it is; None when it is everybody's.
        """
        self.tx.access.add_audit(
            kind, subject, at=self.now, actor=actor, tenant=tenant, correlation_id=correlation_id, data=data
        )

    def create(self, decision: Decision, graph: Graph) -> Decision:
        """Write a new job."""
        self._apply(decision, graph)
        if self._follow:
            self._follow_up()
        return decision

    def create_alike(self, alike: Sequence[Beginning], graph: Graph) -> None:
        """Write new jobs that begin like the same earlier one, which `create` has written in this transaction."""
        written = self.tx.begin_alike(alike)
        if written is None:
            for one in alike:
                self._apply(one.decision, graph)
            return
        released, cursor = written
        jobs, events = [one.job for one in alike], alike[0].like.events
        for job in jobs:
            self.tell_outside(self, job, events)
        self.effects.append(Created(jobs, released, events, cursor, graph))

    def completed(self, job_id: str) -> None:
        """Tell who waits for a job that it has completed, where that was not decided by `tell`."""
        if self.tx.knows_dependencies:
            self._tell_dependents(job_id, "completed")
            self._follow_up()

    def _decide(self, job_id: str, fact: Fact, tenant: str | None = None) -> tuple[Decision, Graph]:
        tx = self.tx
        view = tx.view(job_id, tenant=tenant)
        decision, graph = decide(view, fact, self.now, self.draws), view.graph
        if (
            decision.usual
        ):  # what `_apply` comes to then: it has events, and what it commands but to forget its run is to tell its end
            applied = tx.apply(decision)
            self.tell_outside(self, decision.job, decision.events)
            self.effects.append(Change(decision, applied, graph, ()))
            if decision.sets_job_result and tx.knows_dependencies:
                self._tell_dependents(job_id, "completed")
        else:
            self._apply(decision, graph)
        return decision, graph

    def _apply(self, decision: Decision, graph: Graph) -> None:
        applied = self.tx.apply(decision)
        if decision.events:
            self.tell_outside(self, decision.job, decision.events)
        resumes: tuple[Source, ...] = ()
        if applied.held is False:
            resumes = tuple(source for source, _count in self.tx.lanes_of_job(decision.job.job_id))
        self.effects.append(Change(decision, applied, graph, resumes))
        for command in decision.commands:
            if not isinstance(command, ForgetRun):
                self._queue(decision.job, command)

    def _queue(self, job: Job, command: Command) -> None:
        if isinstance(command, TellDependents):
            self._tell_dependents(job.job_id, command.state)
        elif isinstance(command, TellJob):
            self._then(command.job_id, command.fact)
        elif isinstance(command, StartChild):
            self._follow.append(partial(self._start_child, job, command))
        elif isinstance(command, LookUpResult):
            self._follow.append(partial(self._recall, job.job_id, command))
        elif isinstance(command, TellParent):
            self._then(command.job_id, children.ended(self.tx, job, command))
        else:
            assert isinstance(command, CancelRun | ForgetRun | PublishArtifacts | Finalise), f"unknown {command!r}"

    def _tell_dependents(self, job_id: str, state: str) -> None:
        for dependent, on in self.tx.dependents(job_id):
            self._then(dependent, DependencySettled(job_id=job_id, ok=on == "end" or state == JobState.COMPLETED))

    def _recall(self, job_id: str, command: LookUpResult) -> None:
        fact = recall(self.tx, job_id, command, intact=self.intact, now=self.now)
        if fact is not None:
            self._bring(job_id, fact)

    def _then(self, job_id: str, fact: Fact) -> None:
        self._follow.append(partial(self._bring, job_id, fact))

    def _follow_up(self) -> None:
        while self._follow:
            self._follow.popleft()()

    def _bring(self, job_id: str, fact: Fact) -> None:
        try:
            self._decide(job_id, fact)
        except OrpheusError as error:
            # The other job has moved on meanwhile (ended, pruned): the fact is of no use to it any more.
            self.on_fault(job_id, error)

    def _start_child(self, parent: Job, command: StartChild) -> None:
        try:
            decision, graph = children.begin_child(self, parent, command)
        except OrpheusError as error:
            self._then(parent.job_id, children.refused(command, error))
        else:
            self._apply(decision, graph)


class Undo(Exception):
    """Raised by an operation that is refused after it has written: its transaction is rolled back, and `error` answered.
    The others of the batch run again, so this is for what happens rarely."""

    def __init__(self, error: OrpheusError) -> None:
        super().__init__(error.message)
        self.error = error


class Operation:
    """One thing to do in a transaction. `run` may be called again after a rollback: it keeps no state of its own."""

    name = "operation"

    def run(self, work: Work) -> Any:
        """Do it; the result is answered after the commit.

        Raises:
            OrpheusError: refused, and nothing was written by it.
        """
        raise NotImplementedError

    def apart(self) -> Sequence[tuple[Operation, Reply]]:
        """Return what it consists of, each with who hears of it, to be run one by one after a fault of ours in any of it; nothing
        when it is one thing."""
        return ()

    def tally(self, outcome: Any) -> tuple[int, int]:
        """Return how many things it did, and how many of them were refused, by what `run` returned or raised."""
        return 1, isinstance(outcome, Exception)

    def failed(self, error: BaseException) -> None:
        """Put right what was noted in memory before the operation was queued (a reservation); called when it was refused
        or dropped."""
