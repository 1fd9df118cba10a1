"""A machine on a real file under a clock of our making, and workers that do as they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from orpheus.core.errors import OrpheusError, TaskError
from orpheus.core.facts import ArtifactRef, Fact
from orpheus.core.job import Job
from orpheus.core.task import NODE, Task
from orpheus.core.validate import parse_graph
from orpheus.engine.base import Grant, PollAnswer, RunReport, Submission, Submitted, WorkerHello
from orpheus.engine.machine import Machine
from orpheus.engine.options import EngineOptions
from orpheus.engine.submissions import Submit, prepare
from orpheus.store import Store
from orpheus.store.queries import with_events


class ManualClock:
    """Stands still until told otherwise. Wall and monotonic time can be moved apart."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000.0
        self.mono = 5_000.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.mono

    def advance(self, length_s: float) -> None:
        self.wall += length_s
        self.mono += length_s


class Box:
    """Receives one reply."""

    def __init__(self) -> None:
        self.given: list[Any] = []

    def __call__(self, outcome: Any) -> None:
        self.given.append(outcome)

    @property
    def done(self) -> bool:
        return bool(self.given)

    def get(self) -> Any:
        assert len(self.given) == 1, f"answered {len(self.given)} times"
        if isinstance(self.given[0], Exception):
            raise self.given[0]
        return self.given[0]


@dataclass
class FakeWorker:
    """A worker session: polls and reports by hand."""

    cluster: Cluster
    session_id: str
    handlers: tuple[str, ...]
    queues: tuple[str, ...] = ()
    resources: dict[str, int] = field(default_factory=dict)
    slots: int = 100
    seq: int = 0
    held: dict[str, Grant] = field(default_factory=dict)
    last: PollAnswer | None = None

    def hello(self, **changes: Any) -> tuple[str, ...]:
        box = Box()
        hello = WorkerHello(
            session_id=self.session_id,
            worker="fake",
            handlers=self.handlers,
            queues=self.queues,
            resources=self.resources,
            slots=self.slots,
            held=tuple(self.held),
            **changes,
        )
        self.cluster.machine.workers.hello(hello, box)
        self.cluster.settle()
        unknown: tuple[str, ...] = box.get().unknown
        return unknown

    def ask(
        self,
        *,
        seq: int | None = None,
        free: int | None = None,
        wait_s: float = 20.0,
        held: Sequence[str] | None = None,
        resources_free: dict[str, int] | None = None,
        settle: bool = True,
    ) -> Box:
        """Poll, and return where the answer will be."""
        if seq is None:
            self.seq += 1
            seq = self.seq
        box = Box()
        self.cluster.machine.workers.poll(
            self.session_id,
            seq,
            held=list(self.held) if held is None else held,
            free=self.slots - len(self.held) if free is None else free,
            resources_free=self.resources if resources_free is None else resources_free,
            wait_s=wait_s,
            answer=box,
        )
        if settle:
            self.cluster.settle()
        return box

    def take(self, box: Box) -> PollAnswer:
        """Receive an answer: hold what it grants."""
        answer: PollAnswer = box.get()
        for grant in answer.grants:
            self.held[grant.run_id] = grant
        for run_id in answer.unknown:
            self.held.pop(run_id, None)
        self.last = answer
        return answer

    def poll(self, **options: Any) -> list[Grant]:
        """Poll without waiting; return what was granted, in order."""
        return list(self.take(self.ask(wait_s=0.0, **options)).grants) if options.get("settle", True) else []

    def report(self, *reports: RunReport) -> list[OrpheusError | None]:
        box = Box()
        self.cluster.machine.workers.report(self.session_id, reports, box)
        self.cluster.settle()
        (answers,) = box.given
        for report, answer in zip(reports, answers, strict=True):
            if answer is None and report.kind in ("completed", "failed", "cancelled"):
                self.held.pop(report.run_id, None)
        return answers

    def complete(self, grant: Grant, result: Any = None, artifacts: tuple[str, ...] = ()) -> OrpheusError | None:
        refs = tuple(
            ArtifactRef(
                name=name,
                key=f".runs/{grant.run_id}/{name}",
                sha256="a" * 64,
                size_bytes=3,
                content_type="text/plain",
            )
            for name in artifacts
        )
        return self.report(RunReport(run_id=grant.run_id, kind="completed", result=result, artifacts=refs))[0]

    def fail(self, grant: Grant, message: str = "no", **options: Any) -> OrpheusError | None:
        error = TaskError(code="task_failed", message=message, retryable=True)
        return self.report(RunReport(run_id=grant.run_id, kind="failed", error=error, **options))[0]

    def beat(self) -> tuple[Any, Any]:
        return self.cluster.machine.workers.heartbeat(self.session_id, list(self.held), 0)


class Cluster:
    """One machine on one file, which can be killed and started again."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.clock = ManualClock()
        self.rng = Random(7)
        self.options = EngineOptions(**options)
        self.publishes = True
        self.delivered: list[Any] = []
        self.open()

    def open(self) -> None:
        self.store = Store.open(self.path, now=self.clock.now(), epoch="e1")
        self.machine = Machine(
            self.store,
            clock=self.clock,
            rng=self.rng,
            run_key=b"the bench's",
            options=self.options,
        )
        self.machine.recover()

    def restart(self, *, after_s: float = 0.0) -> None:
        """Kill the machine at once and start another on the same file."""
        self.store.close()
        self.clock.advance(after_s)
        self.open()
        self.settle()

    def settle(self) -> None:
        """Run everything that can run without time passing."""
        for _ in range(10_000):
            batch = self.machine.run_batch()
            if batch is not None:
                self.machine.commit()
                self.machine.finish(batch)
            for delivery in self.machine.outbox.take() if self.publishes else ():
                self.delivered.append(delivery)
                self.machine.outbox.delivered(delivery)
            if not self.machine.has_work():
                if self.machine.next_due_in() > 0:
                    return
                self.machine.tick()
                if not self.machine.has_work() and self.machine.next_due_in() <= 0:
                    raise AssertionError("the machine is busy with nothing")
        raise AssertionError("the machine does not come to rest")

    def advance(self, length_s: float, *, beating: Sequence[FakeWorker] = ()) -> None:
        """Let time pass, as in a server that is awake; workers in `beating` are heard every five seconds."""
        end = self.clock.mono + length_s
        next_beat = self.clock.mono
        while True:
            if self.clock.mono >= next_beat:
                for worker in beating:
                    worker.beat()
                next_beat += 5.0
            self.settle()
            step = min(end - self.clock.mono, max(0.001, self.machine.next_due_in()))
            if step <= 0:
                return
            self.clock.advance(step)

    # Asking

    def worker(self, *handlers: str, name: str = "worker", **options: Any) -> FakeWorker:
        worker = FakeWorker(self, f"{name}-{'x' * 16}", handlers or ("step@1",), **options)
        worker.hello()
        return worker

    def do(self, operation: Any) -> Any:
        box = Box()
        self.machine.queue(operation, box)
        self.settle()
        return box.get()

    def publish(self, definition: dict[str, Any]) -> None:
        graph = parse_graph(definition)
        box = Box()
        self.machine.call("publish", lambda work: work.tx.put_definition(definition, graph, work.now), box)
        self.settle()
        box.get()

    def submit_many(self, *submissions: Submission) -> list[Submitted]:
        operation = Submit(
            prepare(submissions),
            checker=self.machine.checker,
            rng=self.rng,
            params_max_bytes=1_000_000,
            tenants=self.machine.tenants,
        )
        answers: list[Submitted] = self.do(operation)
        return answers

    def submit(self, workflow: Any, **options: Any) -> str:
        return self.submit_many(Submission(workflow=workflow, **options))[0].job.job_id

    def tell(self, job_id: str, fact: Fact, **options: Any) -> Job:
        box = Box()
        self.machine.tell(job_id, fact, tenant=options.get("tenant"), reply=box)
        self.settle()
        job: Job = box.get()
        return job

    def ask(self, do: Callable[[Any], Any]) -> Any:
        box = Box()
        self.machine.call("ask", lambda work: do(work.tx), box)
        self.settle()
        return box.get()

    def job(self, job_id: str) -> Job:
        job: Job = self.ask(lambda tx: tx.job(job_id))
        return job

    def task(self, job_id: str, node: str, index: int = NODE) -> Task:
        task: Task = self.ask(lambda tx: tx.task(job_id, node, index))
        return task

    def events(self, job_id: str) -> list[str]:
        rows = self.store.connection.execute(
            with_events("SELECT type FROM events JOIN jobs USING (job_no) WHERE job_id = ? ORDER BY seq"), (job_id,)
        )
        return [row[0] for row in rows]


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    made: list[Cluster] = []

    def make(**options: Any) -> Cluster:
        cluster = Cluster(tmp_path / f"orpheus-{len(made)}.db", **options)
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        cluster.store.close()


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    return make_cluster()


Flow = Callable[..., dict[str, Any]]


@pytest.fixture
def flow() -> Flow:
    """Make a workflow of task nodes: `flow("one", {"name": "a"}, {"name": "b", "after": ["a"]})`."""

    def make(
        name: str = "one", *nodes: dict[str, Any], params: dict[str, Any] | None = None, **extra: Any
    ) -> dict[str, Any]:
        step = {"kind": "task", "task": "step", "version": 1, "args": {}}
        made = [node if node.get("kind") == "sleep" else {**step, **node} for node in nodes or ({"name": "a"},)]
        schema = params or {"type": "object", "properties": {}, "additionalProperties": False}
        return {"format": 1, "name": name, "version": 1, "params": schema, "nodes": made, "output": None, **extra}

    return make
