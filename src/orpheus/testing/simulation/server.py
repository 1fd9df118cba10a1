"""The server's process: the real machine on the real store, one transaction at a time, and the ways it can end.

    before COMMIT    the transaction is gone, and everything in memory; of those handed over before it, any number is there
    after COMMIT     the rows are there; no answer went out

Large transactions are handed over (`later_writer.py`), and the next ones decided, for a while, before they are answered.
A crash drops the machine and closes the file; `start` opens it again as a new process would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from orpheus.core.errors import OrpheusError
from orpheus.core.facts import Fact
from orpheus.core.validate import parse_graph
from orpheus.engine.base import PollAnswer, RunReport, Submission, WorkerHello
from orpheus.engine.callbacks import Brought
from orpheus.engine.machine import Machine
from orpheus.engine.options import EngineOptions
from orpheus.engine.publishing import Delivery
from orpheus.engine.submissions import Submit, prepare
from orpheus.engine.work import Work
from orpheus.engine.workers import HelloAnswer
from orpheus.store.cache import MAX_JOBS, MAX_TASKS, RowCache
from orpheus.store.store import Store
from orpheus.testing.simulation.clock import ManualClock
from orpheus.testing.simulation.later_writer import LaterWriter
from orpheus.testing.simulation.said import Said

Reply = Callable[[Any], None]
RUN_KEY = b"the simulation's"


class Down(Exception):
    """The server does not run, or ended before it answered."""


@dataclass(slots=True)
class Shelf:
    """The object store as the publisher sees it: what stands under stable names, and each job's manifest."""

    published: dict[str, dict[str, str]] = field(default_factory=dict)
    """By job: name → run that made it."""
    manifests: dict[str, tuple[str | None, tuple[str, ...]]] = field(default_factory=dict)
    """By job: the outcome it tells, and its names."""

    def deliver(self, delivery: Delivery) -> None:
        """Do what a publisher does. The same again changes nothing."""
        stable = self.published.setdefault(delivery.job.job_id, {})
        for artifact in delivery.unpublished:
            stable[str(artifact["name"])] = str(artifact["run_id"])
        names = tuple(sorted(str(artifact["name"]) for artifact in delivery.artifacts))
        self.manifests[delivery.job.job_id] = (delivery.outcome, names)


class SimServer:
    """One server process after the other on the same file.

    Args:
        path: the database file.
        clock: moved by the world.
        rng: ids, jitter, and the faults of publishing.
        options: of the engine.
    """

    def __init__(self, path: Path, clock: ManualClock, rng: Random, options: EngineOptions) -> None:
        self.path = path
        self.clock = clock
        self.rng = rng
        self.options = options
        self.shelf = Shelf()
        self.publish_faults = 0.0
        """Chance that a delivery fails."""
        self.machine: Machine | None = None
        self.published: list[tuple[int, str, int]] = []
        """What subscribers heard since the last look: cursor, job, seq."""
        self.starts = 0
        self.commits = 0
        self._writer: LaterWriter
        self._said: Said
        self._answered = 0
        """Of the transactions handed over by this process, those that are counted."""

    # Life and death

    @property
    def up(self) -> bool:
        return self.machine is not None

    def start(self) -> None:
        """Begin a process: open the file, make the memory from the rows."""
        assert self.machine is None, "it runs already"
        self._answered = 0
        self.starts += 1
        self._writer = LaterWriter(self.path, least_rows=self.rng.choice((1, 1, 4, 1_000)))
        remembered = RowCache(
            max_jobs=self.rng.choice((MAX_JOBS, 30, 3, 1)), max_tasks=self.rng.choice((MAX_TASKS, 60, 3, 1))
        )
        store = Store.open(
            self.path, now=self.clock.now(), epoch=f"epoch-{self.starts}", writer=self._writer, remembered=remembered
        )
        store.connection.execute("PRAGMA synchronous = OFF")  # a crash here is of the process, never of the disk
        self._said = Said(self.path)
        self.machine = Machine(store, clock=self.clock, rng=self.rng, run_key=RUN_KEY, options=self.options)
        self.machine.recover()
        self._follow_stream(self.machine)
        self.machine.follow()

    def _follow_stream(self, machine: Machine) -> None:
        """Subscribe as a page would that has kept its cursor: it has to hear everything once, in order (R2)."""
        place = machine.stream.head

        def heard() -> None:
            nonlocal place
            fresh = machine.stream.ring_after(place, 1_000_000)
            assert fresh is not None, "the ring does not reach back to the latest commit"
            for published in fresh[1]:
                assert published.place == place + 1, f"event {published.place} was published after {place} (R2)"
                place = published.place
                self._said.event(place)
                self.published.append((place, published.job_id, published.event.seq))

        machine.stream.listen(heard)

    def crash(self) -> None:
        """End the process without a word."""
        if self.machine is not None:
            machine, self.machine = self.machine, None
            self._writer.orphaned(self.rng)
            machine.store.close()
            self._said.close()

    # Work

    def step(self, *, crash: str | None = None) -> bool:
        """Run and commit one batch; tell whether there was one.

        Args:
            crash: "before" or "after" its COMMIT.
        """
        machine = self._machine()
        machine.note_answered()
        self._finish_answered(machine)
        if machine.is_on_the_way and (not machine.may_run or not machine.has_work() or self.rng.random() < 0.3):
            if crash == "before":
                self.crash()
                return True
            machine.store.take_answer()
            if crash == "after":
                self.commits += 1
                self.crash()
                return True
            self._finish_answered(machine)
            return True
        batch = machine.run_batch()
        if batch is None:
            if machine.has_work():
                return True  # it met a fault and is run again one by one
            return self._deliver()
        self._finish_answered(machine)
        if batch.written_apart or (machine.is_on_the_way and not batch.wrote):
            machine.hand_over(batch)
            if crash is not None:
                self.crash()
            return True
        if crash == "before":
            self.crash()
            return True
        machine.commit()
        self.commits += 1
        if crash == "after":
            self.crash()
            return True
        machine.answer(batch)  # the rest follows when the answers are on their way
        return True

    def _finish_answered(self, machine: Machine) -> None:
        """Look for answers, as the driver does before each batch and after it: a question may have waited for some."""
        if machine.is_on_the_way:
            self.commits += machine.store.answered - self._answered
            machine.finish_answered()
        self._answered = machine.store.answered

    def tick(self) -> None:
        """Look at the clocks, as the driver does once in a while."""
        self._machine().tick()

    def _deliver(self) -> bool:
        """Have the publisher do one thing."""
        machine = self._machine()
        ready = machine.outbox.take()
        for delivery in ready:
            if self.rng.random() < self.publish_faults:
                machine.outbox.undelivered(delivery, OSError("no space left"), self.clock.monotonic())
            else:
                self.shelf.deliver(delivery)
                machine.outbox.delivered(delivery)
        return bool(ready)

    def publish(self, definition: Mapping[str, Any]) -> None:
        """Have a workflow that jobs may open as a child; before anything else happens."""
        graph = parse_graph(dict(definition))
        self._machine().call("publish", lambda work: work.tx.put_definition(definition, graph, work.now))
        self.step()

    # Requests. The reply is called at most once, and never by a process that has ended.

    def submit(self, submissions: Sequence[Submission], reply: Reply) -> None:
        machine = self._machine()
        try:
            prepared = prepare(submissions)
        except OrpheusError as error:
            reply(error)
            return
        operation = Submit(
            prepared,
            checker=machine.checker,
            rng=machine.rng,
            params_max_bytes=self.options.params_max_bytes,
            tenants=machine.tenants,
        )
        machine.queue(operation, self._looked_at(reply))

    def tell(self, job_id: str, fact: Fact, reply: Reply, *, tenant: str | None = None) -> None:
        self._machine().tell(job_id, fact, tenant=tenant, reply=self._looked_at(reply))

    def call_back(self, token: str, brought: Brought, reply: Reply) -> None:
        self._machine().call_back(token, brought, reply)

    def _looked_at(self, reply: Reply) -> Reply:
        said = self._said

        def looked_at(outcome: Any) -> None:
            said.outcome(outcome)
            reply(outcome)

        return looked_at

    def update_queue(self, name: str, changes: Mapping[str, Any], reply: Reply) -> None:
        machine = self._machine()

        def change(work: Work) -> None:
            settings = {**work.tx.queue_settings().get(name, {}), **changes}
            work.tx.put_queue_settings(name, settings, work.now)
            work.after_commit(lambda: machine.feed.set_queue(name, settings))

        machine.call("queue", change, reply)

    def hello(self, hello: WorkerHello, reply: Reply) -> None:
        def answer(outcome: Any) -> None:
            reply(outcome.unknown if isinstance(outcome, HelloAnswer) else outcome)

        self._machine().workers.hello(hello, answer)

    def poll(
        self,
        session_id: str,
        seq: int,
        *,
        held: Sequence[str],
        free: int,
        resources_free: Mapping[str, int],
        wait_s: float,
        answer: Callable[[PollAnswer | OrpheusError], None],
        reports: Sequence[RunReport] = (),
        reported: Callable[[Sequence[OrpheusError | None]], None] = lambda _outcomes: None,
    ) -> None:
        said = self._said

        def looked_at(given: PollAnswer | OrpheusError) -> None:
            said.answer(given)
            answer(given)

        def outcomes_looked_at(outcomes: Sequence[OrpheusError | None]) -> None:
            said.reported(reports, outcomes)
            reported(outcomes)

        self._machine().workers.poll(
            session_id,
            seq,
            held=held,
            free=free,
            resources_free=resources_free,
            wait_s=wait_s,
            answer=looked_at,
            reports=reports,
            reported=outcomes_looked_at,
        )

    def report(self, session_id: str, reports: Sequence[RunReport], reply: Reply) -> None:
        said = self._said

        def looked_at(outcomes: Any) -> None:
            said.reported(reports, outcomes)
            reply(outcomes)

        self._machine().workers.report(session_id, reports, looked_at)

    def heartbeat(self, session_id: str, held: Sequence[str]) -> Any:
        """Return `(cancel orders, unknown runs)`, or the error."""
        try:
            return self._machine().workers.heartbeat(session_id, held, 0)
        except OrpheusError as error:
            return error

    def bye(self, session_id: str, reply: Reply) -> None:
        self._machine().workers.bye(session_id, reply)

    def _machine(self) -> Machine:
        if self.machine is None:
            raise Down
        return self.machine
