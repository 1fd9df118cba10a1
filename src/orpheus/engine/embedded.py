"""The embedded engine in a server: an asyncio loop around the machine (R3).

    requests ─► queue ─► batch (on the loop, about 8 ms at most) ─► COMMIT ─► effects, answers ─► next batch

While a COMMIT waits for the disk, what arrives queues up and forms the next batch: no batch waits to be filled. COMMIT runs in a
thread when the disk is slow, and a process beside writes large batches while the next ones run (`committing.py`); checkpoints, long
reads and the publisher always run in threads. All else runs on the event loop's thread, so the engine's memory needs no locks.

A failed COMMIT leaves unknown what is on the disk, and a fault between commit and memory leaves the memory wrong: both end
the process at once. Whoever starts it again finds the last committed state (promise 1).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, TypeVar, cast

from orpheus.core.access import ApiKey
from orpheus.core.errors import InvalidRequest, OrpheusError, TaskError
from orpheus.core.estimate import Estimate
from orpheus.core.facts import Fact
from orpheus.core.graph import Graph
from orpheus.core.job import Job
from orpheus.core.task import Task
from orpheus.core.validate import parse_graph
from orpheus.engine.base import (
    BulkOrder,
    BulkResult,
    CallbackTaken,
    CancelOrder,
    EngineStopping,
    LiveMessage,
    PollAnswer,
    PublishedEvent,
    RunReport,
    Submission,
    Submitted,
    WorkerHello,
)
from orpheus.engine.bulk import carry_out
from orpheus.engine.callbacks import Brought
from orpheus.engine.clock import Clock, SystemClock
from orpheus.engine.committing import Committing
from orpheus.engine.ends import Ends, JobEnd, Watched
from orpheus.engine.estimates import EstimateJob
from orpheus.engine.keyring import Keyring
from orpheus.engine.keys import MakeKey, NewKey, RevokeKey
from orpheus.engine.machine import Machine
from orpheus.engine.open_poll import OpenPoll
from orpheus.engine.options import EngineOptions
from orpheus.engine.orders import publish_definition
from orpheus.engine.publishing import Delivery, NoPublisher, Publisher
from orpheus.engine.queues import queue_changes
from orpheus.engine.reads import EmbeddedReads
from orpheus.engine.run_key import BYTES as KEY_BYTES
from orpheus.engine.run_key import run_key
from orpheus.engine.schedule_orders import EmbeddedSchedules
from orpheus.engine.submission_checks import check_tenant
from orpheus.engine.submissions import Prepared, Submit, prepare
from orpheus.engine.subscribers import Subscribers
from orpheus.engine.tenants import tenant_changes
from orpheus.engine.upkeep import Upkeep
from orpheus.engine.wanted import Wanted
from orpheus.engine.webhook_desk import EmbeddedWebhooks
from orpheus.engine.work import Operation, Work
from orpheus.engine.workers import HelloAnswer
from orpheus.store import Store
from orpheus.store.writer import Writer

log = logging.getLogger("orpheus.engine")

T = TypeVar("T")
EXIT_STATUS = 70
"""EX_SOFTWARE of sysexits.h: the supervisor starts the server again."""
LOOK_EVERY_S = 0.005
"""How often the clocks are looked at while there is work: before each batch, it was a twentieth of what a job alone costs."""


def end_process(reason: str) -> None:
    """End the process without another word to the disk."""
    log.critical("the engine ends the process: %s", reason)
    logging.shutdown()
    os._exit(EXIT_STATUS)


class EmbeddedEngine:
    """Keeps the contract of `base.Engine` over one SQLite file.

    The caller holds the lock on the data directory, and calls `start` on the event loop that will use the engine.

    Args:
        path: the database file; made when missing.
        publisher: puts artifacts under their stable names and writes manifests; None counts everything as published.
        options: what can be tuned.
        clock: given by tests.
        rng: given by tests; the system's randomness when None.
        fatal: ends the process when the engine cannot go on; given by tests.
    """

    def __init__(
        self,
        path: Path,
        *,
        publisher: Publisher | None = None,
        options: EngineOptions | None = None,
        clock: Clock | None = None,
        rng: Random | None = None,
        fatal: Callable[[str], None] = end_process,
    ) -> None:
        self.path = path
        self.options = options or EngineOptions()
        self._publisher = publisher or NoPublisher()
        self._clock = clock or SystemClock()
        self._rng = rng or SystemRandom()
        self._fatal = fatal
        self.subscribers: Subscribers
        self.upkeep: Upkeep
        """Both are made by `start`."""
        self._machine: Machine | None = None
        self._store: Store | None = None
        self._reads: EmbeddedReads | None = None
        self._sleeper: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Future[Any]] = set()
        self._loop_task: asyncio.Task[None] | None = None
        self._stopping = False
        self._look_at = 0.0
        """Monotonic instant of the next look at the clocks while there is work."""
        self._stopped = asyncio.Event()
        self._lent: list[ApiKey] = []
        self._ends: Ends | None = None
        self._committing = Committing(self._clock, wake=self._wake)
        self._publishing = ThreadPoolExecutor(4, thread_name_prefix="orpheus-publish")
        # Apart from the publisher's, so that a slow object store holds up neither checkpoints nor submissions.
        self._helpers = ThreadPoolExecutor(2, thread_name_prefix="orpheus-helper")

    # Life

    async def start(self) -> None:
        """Open the file, make the memory from the rows, and begin to work. Nothing is served before."""
        self._open()
        self._loop_task = asyncio.create_task(self._run(), name="orpheus-engine")
        self._spawn(self._checkpoints())
        self._spawn(self._sweeps())

    def _open(self) -> None:
        assert self._machine is None, "an engine is started once"
        epoch = f"{self._rng.getrandbits(64):016x}"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        writer = self._writer()
        try:
            store = Store.open(self.path, now=self._clock.now(), epoch=epoch, writer=writer)
        except BaseException:
            if writer is not None:
                writer.close()
            raise
        if writer is not None:
            writer.start()
        store.lengthen_log(self.options.write_ahead_bytes)
        secret = run_key(self.path.parent, self._rng.getrandbits(8 * KEY_BYTES).to_bytes(KEY_BYTES, "big"))
        machine = Machine(
            store,
            clock=self._clock,
            rng=self._rng,
            run_key=secret,
            options=self.options,
            intact=self._publisher.intact,
        )
        machine.recover()
        for key in self._lent:
            machine.keyring.lend(key)
        self._store, self._machine = store, machine
        self._reads = EmbeddedReads(self.path, machine)
        self._ends = Ends(machine, self._reads)
        self.subscribers = Subscribers(machine.stream, self._reads, self.options)
        self.upkeep = Upkeep(machine, self._reads, self._do, self._publisher, self._helpers)

    def _writer(self) -> Writer | None:
        """Return what writes large transactions, where a second core can do it and the options do not say otherwise."""
        least_rows = self.options.write_apart_from
        if least_rows is None or (os.cpu_count() or 1) < 2:
            return None
        return Writer(self.path, least_rows=least_rows)

    async def stop(self) -> None:
        """Answer what waits, commit what is queued, close the file. Safe to call twice, and before `start`."""
        if self._machine is None:
            return
        if self._stopping:
            await self._stopped.wait()
            return
        self._stopping = True
        for session in self._machine.sessions.waiting():
            if session.claiming == 0:
                self._machine.sessions.answer(session)
        self._machine.ledger.write()
        if self._ends is not None:
            self._ends.stop()
        self.subscribers.stop()
        self._wake()
        assert self._loop_task is not None and self._store is not None and self._reads is not None
        await asyncio.gather(self._loop_task, return_exceptions=True)
        for session in self._machine.sessions.waiting():
            self._machine.sessions.answer(session)  # its claim came to nothing while the loop ended
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._publishing.shutdown(wait=True)
        self._helpers.shutdown(wait=True)
        self._committing.close()
        self._reads.close()
        with contextlib.suppress(Exception):
            self._store.checkpoint(truncate=True)
        self._store.close()
        self._stopped.set()

    async def _run(self) -> None:
        machine = self.machine
        try:
            while True:
                self._committing.check(machine)
                batch = machine.run_batch() if machine.may_run else None
                if batch is not None:
                    await self._committing.commit(machine, batch)
                    self._begin_deliveries()
                    await asyncio.sleep(0)  # answers go out, and requests that came meanwhile join the next batch
                    machine.note_answered()
                # Only now, so that what woke us does not wait for them.
                now = self._clock.monotonic()
                due_in = None
                if now >= self._look_at:
                    due_in = machine.next_due_in()
                    if due_in <= 0:
                        machine.tick()
                    self._look_at = now + min(due_in, LOOK_EVERY_S)
                if batch is not None:
                    continue
                if machine.has_work() and machine.may_run:
                    await asyncio.sleep(0)
                elif self._stopping and not machine.is_on_the_way:
                    return
                else:
                    self._begin_deliveries()
                    # Mostly the next request comes before the clocks are to be looked at again, so they are asked how long to sleep
                    # only when nothing has come since the last look.
                    await self._sleep(max(0.0, self._look_at - self._clock.monotonic()) if due_in is None else due_in)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            log.critical("the engine met a fault it cannot go on after", exc_info=error)
            self._fatal(f"{type(error).__name__}: {error}")
            raise

    async def _sleep(self, length_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._sleeper = loop.create_future()
        timer = loop.call_later(length_s, self._wake)
        try:
            await self._sleeper
        finally:
            timer.cancel()
            self._sleeper = None

    def _wake(self) -> None:
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _checkpoints(self) -> None:
        """Keep the write-ahead log short, off the commit path (R3)."""
        assert self._store is not None
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.options.checkpoint_every_s)
            if self._store.writer is not None and not self.machine.is_on_the_way:
                self._store.writer.start()  # there is one already, unless somebody killed it
            if self._store.wal_bytes() < self.options.checkpoint_bytes:
                continue
            try:
                await loop.run_in_executor(self._helpers, self._store.checkpoint)
            except Exception:
                log.warning("a checkpoint failed; the log grows until one succeeds", exc_info=True)

    async def _sweeps(self) -> None:
        """Remove what nobody needs, and what retention says, once in a while."""
        while True:
            try:
                await self.upkeep.sweep()
            except Exception:
                log.warning("what nobody needs could not be removed; trying again later", exc_info=True)
            await asyncio.sleep(self.options.sweep_every_s)

    def _begin_deliveries(self) -> None:
        if self._stopping:
            return
        for delivery in self.machine.outbox.take():
            self._spawn(self._deliver(delivery))

    async def _deliver(self, delivery: Delivery) -> None:
        machine = self.machine
        try:
            await asyncio.get_running_loop().run_in_executor(self._publishing, self._publisher.deliver, delivery)
        except Exception as error:
            log.warning("publishing for job %s failed; trying again", delivery.job.job_id, exc_info=True)
            machine.outbox.undelivered(delivery, error, self._clock.monotonic())
        else:
            machine.outbox.delivered(delivery)
        self._wake()

    # Asking the machine

    @property
    def machine(self) -> Machine:
        assert self._machine is not None, "the engine was not started"
        return self._machine

    @property
    def reads(self) -> EmbeddedReads:
        assert self._reads is not None, "the engine was not started"
        return self._reads

    @property
    def ends(self) -> Ends:
        assert self._ends is not None, "the engine was not started"
        return self._ends

    @property
    def schedules(self) -> EmbeddedSchedules:
        return EmbeddedSchedules(self.machine, self._ask)

    @property
    def webhooks(self) -> EmbeddedWebhooks:
        return EmbeddedWebhooks(self.machine, self.reads, self._do)

    def _check_running(self) -> None:
        if self._stopping or self._machine is None:
            raise EngineStopping("the server is going down", hint="Try again in a moment.")

    async def _ask(self, put: Callable[[Callable[[Any], None]], None]) -> Any:
        """Hand something to the machine and wait for its reply, which comes after the commit.

        Raises:
            OrpheusError: what it was refused with.
        """
        self._check_running()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def reply(outcome: Any) -> None:
            if not future.done():
                future.set_result(outcome)

        put(reply)
        self._wake()
        outcome = await future
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _durable(self) -> None:
        """Wait until the memory holds nothing that is still on its way to the disk."""
        if self.machine.is_on_the_way:
            durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def tell() -> None:
                if not durable.done():
                    durable.set_result(None)

            self.machine.once_durable(tell)
            await durable

    async def _do(self, operation: Operation) -> Any:
        return await self._ask(lambda reply: self.machine.queue(operation, reply))

    # Jobs

    async def publish(self, definition: Mapping[str, Any], *, actor: str) -> Graph:
        graph = parse_graph(dict(definition))
        await self._ask(
            partial(self.machine.call, "publish", partial(publish_definition, definition, graph, actor=actor))
        )
        return graph

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        return cast("list[Submitted]", await self._do(await self._submission(submissions)))

    async def submit_watched(self, submission: Submission) -> tuple[Submitted, JobEnd]:
        end: JobEnd = asyncio.get_running_loop().create_future()
        try:
            submit = await self._submission([submission])
            return await self._do(Watched(submit, self.ends, end)), end
        except BaseException:
            end.cancel()
            raise

    async def _submission(self, submissions: Sequence[Submission]) -> Submit:
        self._check_running()
        if any(not isinstance(submission.workflow, str) for submission in submissions):
            # A graph of thousands of nodes takes a while to check: not on the loop.
            prepared = await asyncio.get_running_loop().run_in_executor(self._helpers, prepare, submissions)
        else:
            prepared = prepare(submissions)
        return self._submit(prepared)

    def _submit(self, prepared: Sequence[Prepared]) -> Submit:
        return Submit(
            prepared,
            checker=self.machine.checker,
            rng=self._rng,
            params_max_bytes=self.options.params_max_bytes,
            tenants=self.machine.tenants,
            durations=self.machine.durations,
        )

    async def estimate(self, submission: Submission) -> Estimate:
        operation = EstimateJob(self._submit(prepare([submission])), self.machine.durations)
        return cast("Estimate", await self._do(operation))

    async def tell(self, job_id: str, fact: Fact, *, tenant: str | None = None) -> Job:
        return cast("Job", await self._ask(lambda reply: self.machine.tell(job_id, fact, tenant=tenant, reply=reply)))

    async def bulk(self, order: BulkOrder) -> BulkResult:
        return await carry_out(order, self.reads, self._do)

    async def call_back(self, token: str, *, result: Any = None, error: TaskError | None = None) -> CallbackTaken:
        brought = Brought(result, error)
        return cast("CallbackTaken", await self._ask(partial(self.machine.call_back, token, brought)))

    async def update_queue(self, name: str, changes: Mapping[str, Any], *, actor: str) -> Mapping[str, Any]:
        write = queue_changes(self.machine.feed, name, changes)

        def change(work: Work) -> None:
            write(work)
            work.audit("queue.updated", name, actor=actor, **changes)

        await self._ask(partial(self.machine.call, "update_queue", change))
        for queue in await self.reads.queues():
            if queue["name"] == name:
                return queue
        raise InvalidRequest(f"there is no queue {name!r}")

    async def update_tenant(self, name: str, changes: Mapping[str, Any], *, actor: str) -> Mapping[str, Any]:
        check_tenant(name)
        write = tenant_changes(self.machine.tenants, name, changes)

        def change(work: Work) -> None:
            write(work)
            work.audit("tenant.updated", name, actor=actor, tenant=name, **changes)

        await self._ask(partial(self.machine.call, "update_tenant", change))
        return next(tenant for tenant in await self.reads.tenants() if tenant["name"] == name)

    @property
    def keyring(self) -> Keyring:
        return self.machine.keyring

    def lend(self, key: ApiKey) -> None:
        """Take a key for the life of this process (see `Keyring.lend`); before the start."""
        self._lent.append(key)

    async def create_key(self, wanted: NewKey, *, actor: str, correlation_id: str = "") -> tuple[ApiKey, str]:
        operation = MakeKey(wanted, keyring=self.keyring, rng=self._rng, actor=actor, correlation_id=correlation_id)
        return cast("tuple[ApiKey, str]", await self._do(operation))

    async def revoke_key(self, key_id: str, *, tenant: str | None, actor: str, correlation_id: str = "") -> ApiKey:
        operation = RevokeKey(key_id, keyring=self.keyring, tenant=tenant, actor=actor, correlation_id=correlation_id)
        return cast("ApiKey", await self._do(operation))

    async def add_file(self, record: Mapping[str, Any]) -> None:
        await self._ask(partial(self.machine.call, "add_file", lambda work: work.tx.add_file(record)))

    async def wait_job(self, job_id: str, *, wait_s: float, tenant: str | None = None) -> Job | None:
        self._check_running()
        return await self.ends.wait(job_id, wait_s=wait_s, tenant=tenant)

    # Workers

    async def hello(self, hello: WorkerHello) -> tuple[str, ...]:
        answer = await self._ask(partial(self.machine.workers.hello, hello))
        assert isinstance(answer, HelloAnswer)
        return answer.unknown

    def poll(
        self,
        session_id: str,
        seq: int,
        *,
        held: Sequence[str],
        free: int,
        resources_free: Mapping[str, int],
        wait_s: float,
        reports: Sequence[RunReport] = (),
    ) -> asyncio.Future[PollAnswer]:
        self._check_running()
        poll = OpenPoll(has_reports=bool(reports))
        answer = poll.answer  # one object, by which `hang_up` knows the poll

        def over(asked: asyncio.Future[PollAnswer]) -> None:
            if asked.cancelled():  # the connection is gone: what is granted from here on waits for the next poll
                self.machine.sessions.hang_up(session_id, seq, answer)

        self.machine.workers.poll(
            session_id,
            seq,
            held=held,
            free=free,
            resources_free=resources_free,
            wait_s=wait_s,
            answer=answer,
            reports=reports,
            reported=poll.reported,
        )
        # Else the next look at the clocks is early enough.
        if reports or self.machine.has_work() or wait_s < self.options.tick_s:
            self._wake()
        poll.future.add_done_callback(over)
        return poll.future

    async def report(self, session_id: str, reports: Sequence[RunReport]) -> list[OrpheusError | None]:
        outcomes: list[OrpheusError | None] = await self._ask(partial(self.machine.workers.report, session_id, reports))
        return outcomes

    async def heartbeat(
        self, session_id: str, held: Sequence[str], memory_bytes: int
    ) -> tuple[tuple[CancelOrder, ...], tuple[str, ...]]:
        self._check_running()
        answer = self.machine.workers.heartbeat(session_id, held, memory_bytes)
        await self._durable()
        return answer

    async def bye(self, session_id: str) -> None:
        self._look_at = 0.0  # what it held is due at once
        await self._ask(partial(self.machine.workers.bye, session_id))

    async def run_of_token(self, run_id: str, token: str) -> Task | None:
        run = self.machine.runs.get(run_id)
        return run.task if run is not None and self.machine.claims.tokens.fits(run_id, token) else None

    # The stream

    def server_epoch(self) -> str:
        return self.machine.stream.epoch

    def cursor(self) -> str:
        stream = self.machine.stream
        return stream.cursor(stream.head)

    def subscribe(self, *, after: str | None) -> AsyncIterator[PublishedEvent | None]:
        return self.subscribers.events(self._place(after))

    def subscribe_pages(self, *, after: str | None) -> AsyncIterator[Sequence[PublishedEvent]]:
        return self.subscribers.pages(self._place(after))

    def subscribe_wanted(
        self, wanted: Wanted, *, after: str | None
    ) -> AsyncIterator[tuple[str, Sequence[PublishedEvent]]]:
        return self.subscribers.wanted(self._place(after), wanted)

    def _place(self, after: str | None) -> int:
        stream = self.machine.stream
        return stream.head if after is None else stream.place_of(after)

    def subscribe_live(self, *, job_id: str | None = None) -> AsyncIterator[LiveMessage]:
        return self.subscribers.live(job_id)
