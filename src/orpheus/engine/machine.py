"""The embedded engine as a synchronous machine: operations in, transactions and effects out.

    queue(op, reply) ─► run_batch() ─► commit ─► finish(batch): effects, answers, then what follows (claims, refills)
                                   └─► hand_over(batch) … finish_answered(): the same, but the memory follows at once where it
                                       may, and the next batch runs meanwhile
    tick() looks at the clocks and queues what is due; next_due() says when that is.

There are no threads, sockets or clocks of its own in here: `embedded.py` drives it in a server, the simulator under a
seeded clock. Everything that happens to a job goes through `Work.tell`; the files beside this one answer one question
each: `submissions.py`, `claims.py`, `reports.py`, `leases.py`, `timers.py`, `sessions.py`, `limits.py`, `publishing.py`,
`stream.py`.

An operation that is refused has written nothing. One that meets a fault of ours has the whole batch rolled back, and its
operations run again one by one, each in a transaction of its own: only the faulty one is answered with an error (R3).
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from random import Random
from typing import TYPE_CHECKING, Any

from orpheus.core.decision import Decision
from orpheus.core.dispatch import Dispatcher
from orpheus.core.errors import OrpheusError
from orpheus.core.facts import Fact
from orpheus.core.task import TaskState
from orpheus.engine.aftermath import Aftermath, Untold
from orpheus.engine.base import InternalError
from orpheus.engine.batches import Batch, Entry
from orpheus.engine.callbacks import Brought, CallBack
from orpheus.engine.claims import Claims, RunTokens
from orpheus.engine.clock import Clock
from orpheus.engine.durations import Durations
from orpheus.engine.keyring import Keyring
from orpheus.engine.leases import RunTable
from orpheus.engine.ledger import Ledger
from orpheus.engine.limits import Feed
from orpheus.engine.logs import LogBooks
from orpheus.engine.options import EngineOptions
from orpheus.engine.orders import Call, Tell
from orpheus.engine.params import ParamsChecker
from orpheus.engine.progress import ProgressBook
from orpheus.engine.publishing import Outbox
from orpheus.engine.recall import Intact
from orpheus.engine.schedules import Scheduling
from orpheus.engine.sessions import Sessions
from orpheus.engine.stats import Meter
from orpheus.engine.stream import Stream
from orpheus.engine.tenants import Tenants
from orpheus.engine.timers import Timers
from orpheus.engine.webhooks import Webhooks
from orpheus.engine.work import Operation, Reply, SeededDraws, Undo, Work, may_go_ahead
from orpheus.engine.workers import Workers
from orpheus.store.errors import CommitFailed, GuardFailed

if TYPE_CHECKING:
    from orpheus.engine.usual_runs import Granted
    from orpheus.store.store import Store

log = logging.getLogger("orpheus.engine")
_task = attrgetter("task")


class Machine:
    """The embedded engine's state and its one way of changing it.

    Args:
        store: open, with nobody else writing.
        clock: instants for rows, and lengths of time.
        rng: ids, run ids and jitter.
        run_key: what the tokens of runs are derived from; the same after each start.
        options: what can be tuned.
        dispatcher: the order of ready tasks; made here when None.
        intact: looks at the objects of results that are known already.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        rng: Random,
        run_key: bytes,
        options: EngineOptions | None = None,
        dispatcher: Dispatcher | None = None,
        intact: Intact = lambda _parts, _since: True,
    ) -> None:
        self.store = store
        self._intact = intact
        self.clock = clock
        self.rng = rng
        self.options = options or EngineOptions()
        self._draws = SeededDraws(rng)
        self._queue: deque[Entry] = deque()
        self._alone: deque[Entry] = deque()
        """Operations of a batch that met a fault: each gets a transaction of its own."""
        self.meter = Meter()
        self.checker = ParamsChecker()
        self.runs = RunTable(self.options.lease_s)
        self.sessions = Sessions(self.once_durable)
        self._on_the_way: deque[Batch] = deque()
        """Handed over and not yet finished, oldest first."""
        self._answered: tuple[Batch, Untold, float] | None = None
        """Answered, and not yet told of and counted; with the instant of its commit."""
        self.progress = ProgressBook(self.options.progress_every_s)
        self.logs = LogBooks(max_bytes=self.options.log_max_bytes, max_lines=self.options.log_max_lines)
        self.feed = Feed(dispatcher or Dispatcher(window=self.options.window, ageing_s=self.options.ageing_s))
        self.tenants = Tenants(self.feed)
        self.timers = Timers(limit=self.options.due_limit, queue=self.queue)
        self.scheduling = Scheduling(
            queue=self.queue,
            checker=self.checker,
            rng=rng,
            params_max_bytes=self.options.params_max_bytes,
            tenants=self.tenants,
            limit=self.options.due_limit,
        )
        self.keyring = Keyring()
        self.durations = Durations()
        self.ledger = Ledger(self.keyring, self.durations, queue=self.queue)
        self.outbox = Outbox(queue=self.queue, retry_max_s=self.options.publish_retry_max_s)
        self.webhooks = Webhooks(rng)
        self.stream = Stream(
            epoch=store.epoch, head=store.last_cursor(), ring=self.options.ring_events, floor=store.stream_floor()
        )
        self.claims = Claims(
            self.feed,
            self.sessions,
            rng=rng,
            tokens=RunTokens(run_key),
            queue=self.queue,
            granted=self._granted,
        )
        self.ended: dict[str, dict[Callable[[Decision], None], None]] = {}
        """Who waits for the end of a job."""
        self.aftermath = Aftermath(self)
        self.workers = Workers(self)
        self._load_keys(run_key)

    # Transactions

    def queue(self, operation: Operation, reply: Reply | None = None) -> None:
        """Have the operation run in the next transaction."""
        self._queue.append(Entry(operation, reply, self.clock.monotonic()))

    def has_work(self) -> bool:
        return bool(self._queue or self._alone)

    @property
    def queued(self) -> int:
        return len(self._queue) + len(self._alone)

    def run_batch(self) -> Batch | None:
        """Run queued operations in one transaction, up to the batch's limits; None when nothing is to be committed.

        What was found faulty is answered at once. The caller commits, then calls `finish`; or, when the commit failed,
        ends the process: what is on the disk is unknown then (R3).
        """
        if self._alone:
            return self._run([self._alone.popleft()], alone=True)
        if not self._queue:
            return None
        return self._run(None, alone=False)

    def _run(self, only: list[Entry] | None, *, alone: bool) -> Batch | None:
        batch = Batch(self._work(), began=self.clock.monotonic(), alone=alone)
        source: deque[Entry] = deque(only) if only is not None else self._queue
        taken: list[Entry] = []
        try:
            self._attempt(
                batch, source, taken, most=self.options.batch_operations, until=batch.began + self.options.batch_s
            )
            if ahead := self.claims.ahead(batch.work):
                claims = deque(Entry(claim, None, batch.began) for claim in ahead)
                self._attempt(batch, claims, taken, most=math.inf, until=math.inf)
            batch.work.tx.flush()
        except CommitFailed:
            raise  # what was handed over before is lost
        except Exception as fault:
            self._undo(taken, fault, alone=alone)
            return None
        batch.ran = self.clock.monotonic()
        return batch

    def _undo(self, taken: list[Entry], fault: Exception, *, alone: bool) -> None:
        self.store.rollback()
        taken = [part for entry in taken for part in entry.apart()]
        if alone or len(taken) == 1:
            self._drop(taken[0], fault)
            for ahead in taken[1:]:
                ahead.operation.failed(fault)
            return
        if not isinstance(fault, Undo):
            log.warning("a batch of %d operations met a fault; running them one by one", len(taken), exc_info=fault)
        self._alone.extend(taken)

    def _work(self) -> Work:
        return Work(
            tx=self.store.begin(),
            now=self.clock.now(),
            mono=self.clock.monotonic(),
            draws=self._draws,
            checker=self.checker,
            on_fault=_log_refused,
            tell_outside=self.webhooks.note,
            intact=self._intact,
        )

    def _attempt(self, batch: Batch, source: deque[Entry], taken: list[Entry], *, most: float, until: float) -> None:
        """Run operations, at most so many, and none after that instant but the first."""
        work, effects, monotonic = batch.work, batch.work.effects, self.clock.monotonic
        while source and len(taken) < most:
            entry = source.popleft()
            taken.append(entry)
            mark = len(effects)
            try:
                outcome = entry.operation.run(work)
            except OrpheusError as error:
                del effects[mark:]
                outcome = error
                batch.refused.append((entry, error))
            batch.done.append((entry, outcome))
            if monotonic() > until:
                break

    def _drop(self, entry: Entry, fault: Exception) -> None:
        if isinstance(fault, Undo):
            entry.operation.failed(fault.error)
            if entry.reply is not None:
                entry.reply(fault.error)
            return
        log.error("operation %s failed and was dropped", entry.operation.name, exc_info=fault)
        self.meter.faults += 1
        entry.operation.failed(fault)
        if entry.reply is not None:
            entry.reply(
                InternalError(
                    f"a fault of the server: {type(fault).__name__}",
                    hint="Nothing was changed. The server's log has more; please report it.",
                )
            )

    def commit(self) -> None:
        """Make the batch durable; blocking. May run in another thread while nothing else touches the store's writer."""
        self.store.commit()

    def finish(self, batch: Batch) -> None:
        """After the commit: change the memory, if it was not ahead, answer, queue what follows, tell and count."""
        self.answer(batch)
        self.note_answered()

    def answer(self, batch: Batch) -> None:
        """Do the part of `finish` that somebody waits for. The rest is `note_answered`'s, when the answers are on their way."""
        self.note_answered()  # events are published in the order of their commits
        committed_at = self.clock.monotonic()
        untold = batch.untold or self._memory_follows(batch)
        self.aftermath.tell_who_waits(untold)
        for say in batch.sayings:
            say()
        for entry, outcome in batch.done:
            if entry.reply is not None:
                entry.reply(outcome)
        self._answered = (batch, untold, committed_at)

    def note_answered(self) -> None:
        """Tell the stream of the batch that was answered last, and count it."""
        if self._answered is None:
            return
        (batch, untold, committed_at), self._answered = self._answered, None
        if self.aftermath.tell(untold):
            self.stream.tell()
        self.meter.batch(batch.done, began=batch.began, ran=batch.ran, committed=committed_at)

    def _memory_follows(self, batch: Batch) -> Untold:
        untold = self.aftermath.follow(batch.work.effects)
        for entry, error in batch.refused:
            entry.operation.failed(error)
        self.follow()
        return untold

    # Deciding ahead: the next batch runs while this one is written (ADR 0035)

    def hand_over(self, batch: Batch) -> None:
        """Leave a batch to the process beside; one that only asked is to be answered after those before it.

        The memory follows at once where it may, and the next batch can run. Nothing of it is said outside before
        `finish_answered` finds it on the disk; nor is anything else that may rest on it (`once_durable`).
        """
        if batch.written_apart:
            try:
                self.store.hand_over()
            except GuardFailed as fault:
                self._undo([entry for entry, _outcome in batch.done], fault, alone=batch.alone)
                return
        else:
            assert not batch.wrote, "it was not left to the process beside"
            self.store.commit()
        batch.number = self.store.handed_over
        self._on_the_way.append(batch)
        if may_go_ahead(batch.work.effects):
            batch.untold = self._memory_follows(batch)

    @property
    def may_run(self) -> bool:
        """Tell whether the memory is such that the next batch can be decided, and not too much is on its way."""
        way = self._on_the_way
        return not way or (
            way[-1].untold is not None and len(way) < self.options.batches_ahead and not self.store.wants_rest
        )

    @property
    def is_on_the_way(self) -> bool:
        """Tell whether batches were handed over and not finished."""
        return bool(self._on_the_way)

    def finish_answered(self) -> None:
        """Finish what was handed over and is on the disk by now."""
        while self._on_the_way and self._on_the_way[0].number <= self.store.answered:
            self.finish(self._on_the_way.popleft())

    def once_durable(self, say: Callable[[], None]) -> None:
        """Say something outside when everything that the memory knows is on the disk: at once, if it is."""
        if self._on_the_way:
            self._on_the_way[-1].sayings.append(say)
        else:
            say()

    def follow(self) -> None:
        """Match polls with tasks, answer polls that have news, ask for rows. After anything that changed the memory."""
        refill = self.feed.refill()
        if refill is not None:
            # Before what is queued: at the beginning of a batch no rows wait to be written, and it need not wait for any.
            self._queue.appendleft(Entry(refill, None, self.clock.monotonic()))
        self.claims.match(self.clock.monotonic())
        for session in self.sessions.waiting():
            if session.has_news() and session.claiming == 0:
                self.sessions.answer(session)

    # The clock

    def tick(self) -> None:
        """Look at the clocks: limits of runs, timers of rows, waits of polls, deliveries to try again."""
        mono = self.clock.monotonic()
        self.workers.tick(mono)
        self.timers.tick(self.clock.now())
        self.scheduling.tick(self.clock.now())
        self.outbox.tick(mono)
        self.ledger.tick(mono)
        if self.feed.dispatcher.wake(mono):  # also while nobody polls: what is due must not stay due
            self.feed.stirred = True
        self.follow()

    def next_due_in(self) -> float:
        """Return the seconds until `tick` has something to do, at most `tick_s`: a stall is seen by its late ticks, and a
        wall clock that was set by its timers."""
        mono = self.clock.monotonic()
        timer = self.timers.next_due()
        slot = self.scheduling.next_due()
        instants = [
            self.runs.next_due(),
            self.sessions.next_due(),
            self.progress.next_due(),
            self.outbox.next_due(),
            self.feed.dispatcher.next_wake(),
            None if timer is None else mono + timer - self.clock.now(),
            None if slot is None else mono + slot - self.clock.now(),
            self.workers.next_look(),
        ]
        earliest = min((instant for instant in instants if instant is not None), default=mono + self.options.tick_s)
        return min(self.options.tick_s, max(0.0, earliest - mono))

    # Memory: see `aftermath.py`

    def _granted(self, granted: Granted) -> None:
        """Claims are decided: their runs begin, and the grants go out with the session's next answer, which waits for the commit."""
        session, grants = granted.session, granted.grants
        begun = zip(map(_task, grants), granted.limits, strict=True)
        self.runs.start(begun, session.session_id, wall=self.clock.now(), now=self.clock.monotonic())
        session.granted(grants)
        self.meter.claims += len(grants)
        if self.sessions.find(session.session_id) is not session:
            for grant in grants:
                self.workers.never_arrives(grant.run_id)  # it said goodbye while the claims were on their way

    # Start

    def recover(self) -> None:
        """Make the memory from the rows: runs with full leases (R7), limits, what was to be published. Reads only."""
        now, mono = self.clock.now(), self.clock.monotonic()
        tx = self.store.begin()
        try:
            running = [task for task in tx.running() if task.run_id is not None and task.state is TaskState.RUNNING]
            for task in running:
                view = tx.view(task.job_id)
                node = view.graph.all_nodes[task.node]
                [run] = self.runs.start([(task, node.timeouts)], task.worker or "", wall=now, now=mono, restored=True)
                if view.job().closing is not None and task.node not in view.graph.undos:
                    # It was told to stop, and nobody knows whether it heard: its grace begins anew.
                    reason = view.job().cancel_reason or f"the job is {view.job().closing}"
                    self.runs.stop_by(run.run_id, reason=reason, grace_s=self.options.grace_s, now=mono)
            self.feed.recover(tx, now=now, mono=mono, running=running)
            for name, settings in tx.limits.tenants().items():
                self.tenants.set(name, settings)
            for job_id, outcome, generation in tx.jobs_to_finalise():
                self.outbox.wanted(job_id, finalise=(str(outcome), generation))
            for job_id in tx.jobs_to_publish():
                self.outbox.wanted(job_id)
            self.webhooks.recover(tx)
        finally:
            self.store.rollback()

    def _load_keys(self, secret: bytes) -> None:
        tx = self.store.begin()
        self.keyring.load(tx.access.all_keys(), secret=secret)
        self.durations.load(tx.access.all_durations())
        self.store.rollback()

    # Orders from outside that need no file of their own

    def tell(self, job_id: str, fact: Fact, *, tenant: str | None, reply: Reply) -> None:
        limit = self.options.inline_max_bytes
        self.queue(Tell(self.checker, job_id, fact, tenant, value_max_bytes=limit), reply)

    def call_back(self, token: str, brought: Brought, reply: Reply) -> None:
        """Bring what another system says of a run (R22)."""
        limit = self.options.inline_max_bytes
        self.queue(CallBack(self.claims.tokens, self.runs, token, brought, max_bytes=limit), reply)

    def call(self, name: str, do: Callable[[Work], Any], reply: Reply | None = None) -> None:
        """Queue a plain function of the transaction."""
        self.queue(Call(name, do), reply)

    def when_ended(self, job_id: str, heard: Callable[[Decision], None]) -> Callable[[], None]:
        """Have `heard` called once with what has ended the job; return what ends the waiting."""
        self.ended.setdefault(job_id, {})[heard] = None

        def stop() -> None:
            waiting = self.ended.get(job_id)
            if waiting is not None:
                waiting.pop(heard, None)
                if not waiting:
                    self.ended.pop(job_id, None)

        return stop


def _log_refused(job_id: str, error: OrpheusError) -> None:
    log.debug("a fact that followed for job %s was refused: %s", job_id, error)
