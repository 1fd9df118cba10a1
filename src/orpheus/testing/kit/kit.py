"""What a test holds: workflows run in this process, by the real engine, on a clock that only the test moves.

    with Kit(flows) as kit:
        job = kit.submit(talk, source=kit.file("talk.mp4", b"..."))
        kit.advance(hours=2)
        job.run()

Days pass in milliseconds: `run` moves the clock straight to the next instant at which something is due (the end of a
backoff, a sleep, a limit), and `advance` does the same up to a length of time. What is real: the decider, the engine with
its limits, leases, queues and timers, the store (a temporary file), files and artifacts, the encoding of values. What is
not: processes and HTTP. Handlers run one at a time in the test's thread, so a breakpoint in one works.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from types import ModuleType, TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from orpheus.artifacts.folder import FolderStore
from orpheus.artifacts.publisher import Publisher
from orpheus.authoring.file import File
from orpheus.authoring.registry import Registry, collect, load_module
from orpheus.authoring.task import Task
from orpheus.authoring.workflow import Workflow
from orpheus.core.ids import RANDOM_BITS, uuid7
from orpheus.core.job import Job
from orpheus.engine.base import JobFilter, Reads, Submission
from orpheus.engine.reads import EmbeddedReads
from orpheus.testing.kit.attempt import AttemptMaker
from orpheus.testing.kit.driver import Driver
from orpheus.testing.kit.engine import KitEngine, kit_options
from orpheus.testing.kit.fakes import NOTHING, Fake, Fakes, check_name, fake_name
from orpheus.testing.kit.hooks import KitHooks
from orpheus.testing.kit.inputs import Intake, Wiring
from orpheus.testing.kit.jobs import KitJob
from orpheus.testing.kit.place import Place
from orpheus.testing.kit.schedules import KitSchedule
from orpheus.testing.kit.submitting import Submitter, in_utc
from orpheus.testing.kit.worker import KitWorker
from orpheus.testing.simulation.clock import ManualClock
from orpheus.worker.markers import Resolver

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Kit:
    """Workflows in a test. Use it in a `with`.

    Args:
        code: modules, workflows, tasks, or paths of files with them; a workflow that is submitted is added by itself.
        start: what time it is at first; `Kit.START` when left out.
        slots: how many tasks may run at a time; only tasks that take time (`takes_s`) can be told apart by it.
        resources: what the worker has, e.g. `{"gpu": 1}`; None is plenty of everything.
        folder: where database and files lie; a temporary one, removed at the end, when left out.
        seed: of jitter and ids.
        engine: options of the engine by name, e.g. `lease_s=10`.
    """

    START = datetime(2030, 1, 1, tzinfo=UTC)
    """What time it is at first, unless a test says otherwise: a Tuesday."""
    env = "test"

    def __init__(
        self,
        *code: ModuleType | Workflow[..., Any] | Task[..., Any] | str,
        start: datetime | None = None,
        slots: int = 1000,
        resources: Mapping[str, int] | None = None,
        folder: str | Path | None = None,
        seed: int = 0,
        **engine: Any,
    ) -> None:
        self._registry = Registry()
        self.clock = ManualClock(in_utc(start or self.START).timestamp())
        self._temporary = folder is None
        self.folder = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix="orpheus-kit-"))
        self.objects = self.folder.resolve() / "objects"
        self._rng = Random(seed)  # noqa: S311 (ids and jitter of a test)
        self._options = kit_options(env=self.env, **engine)
        self._store = FolderStore(self.objects, sync=False)
        self._place = Place()
        self._fakes = Fakes()
        self._maker = AttemptMaker(
            self._registry, self._fakes, objects=self.objects, work=self.folder / "work", run=self._place.complete
        )
        self._worker = KitWorker(
            self._registry, self._maker, self.clock, slots=slots, resources=resources, env=self.env
        )
        self._intake = Intake(self.objects, self.env)
        self._wiring = Wiring(self._link)
        self.hooks = KitHooks(self._place)
        self._driver = Driver(self._worker, self.hooks, self.clock)
        self._closed = False
        for one in code:
            module = load_module(one) if isinstance(one, str) else one
            for found in collect(module) if isinstance(module, ModuleType) else (module,):
                self._registry.add(found)
        self.engine = self._place.here(self._start)

    def _start(self) -> KitEngine:
        engine = KitEngine(
            self.folder / "orpheus.db",
            publisher=Publisher(self._store, env=self.env, clock=self.clock.now),
            options=self._options,
            clock=self.clock,
            rng=self._rng,
        )
        self._place.complete(engine.start())
        self._worker.engine = self.hooks.engine = engine
        self._worker.hello()
        return engine

    # Life

    def __enter__(self) -> Kit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Kit:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what handlers loaded, and remove the folder. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._place.here(self._close)

    def _close(self) -> None:
        self._maker.resources.close()
        self._place.complete(self.engine.stop())
        self._place.close()
        self._store.close()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self, *, down_s: float = 0.0) -> None:
        """End the server as a crash would, and start it again on the same file; the worker lives on."""

        def restart() -> None:
            self._place.complete(self.engine.stop())
            self.clock.advance(down_s)
            self.engine = self._start()

        self._place.here(restart)

    def kill_worker(self) -> None:
        """End the worker with all it holds, without a word. Nothing runs until `start_worker`."""
        self._place.here(self._worker.kill)

    def start_worker(self) -> None:
        """Start the worker that was killed."""
        self._place.here(self._worker.revive)

    # Setting the stage

    def fake(
        self,
        of: str | Task[..., Any],
        fn: Callable[..., Any] | None = None,
        *,
        returns: Any = NOTHING,
        raises: BaseException | type[BaseException] | None = None,
        takes_s: float = 0.0,
        silent: bool = False,
        lost: bool = False,
        times: int | None = None,
    ) -> Fake:
        """Put something in the place of a task.

        Args:
            of: the task, its name, or the name of one node.
            fn: called with what the task would get (and with the context first, when its first parameter is `ctx`).
            returns: the result, instead of a function.
            raises: what it fails with: an exception, `Permanent("…")`, `RetryAfter(60)` …
            takes_s: how long the attempt takes on the kit's clock; its slot, its keys and its resources are held so long.
            silent: with `takes_s`: the handler says nothing meanwhile, so `heartbeat_s` passes.
            lost: the worker dies with it, after what stands above was done: the attempt never reports.
            times: so often; then what was there before (an earlier fake, or the task itself) is back.

        Returns:
            The fake, whose `calls` tell what it was given.

        Raises:
            LookupError: there is no such task.
        """
        given = [fn is not None, returns is not NOTHING, raises is not None]
        if sum(given) > 1:
            raise TypeError("a fake is one of a function, `returns` and `raises`")
        name = fake_name(of)
        if not isinstance(of, str):
            self._registry.add(of)
            self._worker.hello()
        if self._registry.tasks:
            check_name(name, self._known())
        fake = Fake(name, fn, returns, raises, float(takes_s), silent, lost, times)
        self._fakes.put(fake)
        return fake

    def unfake(self, fake: Fake) -> None:
        """Take a fake away."""
        self._fakes.remove(fake)

    def resource(self, factory: Callable[[], T], value: T) -> None:
        """Let `value` stand for `Resource(factory)`; the factory is not called, and the value not closed."""
        self._maker.resources.given[factory] = value

    def file(self, name: str, content: bytes | str | Path, content_type: str | None = None) -> File:
        """Make a file to submit: of some bytes, of a text, or of a local path."""

        def put() -> File:
            file_id = self._id()
            if isinstance(content, Path):
                file = self._intake.link(file_id, content.resolve())
            else:
                data = content.encode() if isinstance(content, str) else content
                file = self._intake.put(file_id, name, data, content_type)
            self._record(file_id, file)
            return file

        return self._place.here(put)

    # Jobs

    @overload
    def submit(self, workflow: Workflow[P, R], /, *args: P.args, **params: P.kwargs) -> KitJob[R]: ...
    @overload
    def submit(self, workflow: str | Mapping[str, Any], /, **params: Any) -> KitJob[Any]: ...
    def submit(self, workflow: Any, /, *args: Any, **params: Any) -> KitJob[Any]:
        """Submit a job; nothing of it runs yet. `using` has the options of a submission.

        Args:
            workflow: the workflow, its name, or a graph in JSON.
            params: its params; for a `File`, a path will do.

        Raises:
            InvalidParams: they do not fit.
        """
        return Submitter(self, {}).submit(workflow, *args, **params)

    def run(self, workflow: Workflow[P, R], /, *args: P.args, **params: P.kwargs) -> R:
        """Submit a job, run it to its end, return its result.

        Raises:
            JobFailed, Stuck: as `KitJob.result` and `KitJob.run` do.
        """
        return self.submit(workflow, *args, **params).run().result

    def using(self, **options: Any) -> Submitter:
        """Choose options of a submission: `kit.using(delay_s=3600, tenant="acme").submit(talk, …)`.

        They are those of `POST /jobs`: tenant, priority, delay_s, run_at, depends_on, requires_approval, idempotency_key,
        timeout_s, labels …
        """
        return Submitter(self, options)

    def schedule(
        self, name: str, workflow: Workflow[..., Any], params: Mapping[str, Any] | None = None, **when: Any
    ) -> KitSchedule:
        """Have jobs submitted by the clock: `kit.schedule("nightly", report, cron="0 3 * * *")` (R27).

        Args:
            when: what `POST /schedules` takes: cron or every_s, timezone, missed, overlap, start_at …
        """
        return Submitter(self, {}).schedule(name, workflow, params or {}, **when)

    def job(self, job_id: str) -> KitJob[Any]:
        """Return a job by its id: a child's, a schedule's."""
        return KitJob(self, job_id, None)

    @property
    def jobs(self) -> list[KitJob[Any]]:
        """Every job there is, the oldest first."""
        return self.jobs_like(JobFilter())

    def jobs_like(self, filters: JobFilter) -> list[KitJob[Any]]:
        """Return the jobs that fit, the oldest first."""
        found: list[KitJob[Any]] = []
        cursor = None
        while True:
            page, cursor = self.ask(partial(_jobs, filters, cursor))
            found += [self.job(job.job_id) for job in page]
            if cursor is None:
                return found[::-1]

    # Time

    @property
    def now(self) -> datetime:
        """What time it is, UTC."""
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def advance(
        self,
        length: timedelta | float = 0.0,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> None:
        """Let time pass; everything that is due meanwhile happens at its instant, in order.

        Args:
            length: a timedelta, or seconds.
        """
        base_s = length.total_seconds() if isinstance(length, timedelta) else float(length)
        length_s = base_s + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
        if length_s < 0:
            raise ValueError("time does not go back")
        self._place.here(lambda: self._driver.advance(length_s))

    def advance_to(self, instant: datetime) -> None:
        """Let time pass until an instant."""
        self.advance(in_utc(instant) - self.now)

    def settle(self) -> None:
        """Do everything that can be done without time passing."""
        self._place.here(self._driver.work)

    def drive(self, job: KitJob[Any]) -> bool:
        """Run until the job has ended; False when it cannot end by itself. Time-outs of questions to the outside are not
        skipped to: whoever wants them to pass says `advance`."""
        return self._place.here(lambda: self._driver.until_ended(job))

    # The engine

    def call(self, do: Callable[[KitEngine], Coroutine[Any, Any, T]]) -> T:
        """Ask the engine for something (`engine/base.py` says what there is), and have everything done that follows from
        it at once, but for work."""
        return self._place.here(lambda: self._place.complete(do(self.engine)))

    def ask(self, do: Callable[[EmbeddedReads], Coroutine[Any, Any, T]]) -> T:
        """Ask the engine's reads for something."""
        return self._place.here(lambda: self._place.complete(do(self.engine.reads)))

    def cause(self, job_id: str, node: str | None) -> BaseException | None:
        """Return what a task's handler raised last."""
        return self._worker.causes.get((job_id, node or ""))

    def wire(self, workflow: Workflow[Any, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """Turn params into JSON, as a client would."""
        return self._place.here(lambda: self._wiring.params(workflow, params))

    def unspilled(self, value: Any) -> Any:
        """Return a result with its large parts put back."""
        return Resolver(read=lambda key: (self.objects / key).read_bytes(), secret=str).resolve(value)

    def add(self, *code: Any) -> None:
        """Add workflows or tasks, as a worker that is deployed anew does."""

        def add() -> None:
            for one in code:
                self._registry.add(one)
            self._worker.hello()

        self._place.here(add)

    def learn(self, workflow: Workflow[Any, Any]) -> None:
        """Add a workflow that is not known yet, and check that every fake stands for something."""
        if not self._knows(workflow):
            self.add(workflow)
        for fake in self._fakes:
            check_name(fake.name, self._known())

    def _knows(self, workflow: Workflow[Any, Any]) -> bool:
        return self._registry.workflows.get((workflow.name, workflow.version)) is workflow.definition

    def _known(self) -> list[str]:
        tasks = [name for name, _version in self._registry.tasks]
        nodes = [node for flow in self._registry.workflows.values() for node in flow.graph.nodes]
        return [*tasks, *nodes]

    def submit_bound(
        self, workflow: Workflow[Any, R] | str | Mapping[str, Any], params: Mapping[str, Any], **options: Any
    ) -> KitJob[R]:
        """Submit a job whose params are bound to names already; see `submit`."""
        flow = workflow if isinstance(workflow, Workflow) else None
        if flow is not None:
            self.learn(flow)

        def submit() -> KitJob[R]:
            name = f"{flow.name}@{flow.version}" if flow is not None else workflow
            assert not isinstance(name, Workflow)
            wired = self._wiring.params(flow, params)
            (submitted,) = self._place.complete(
                self.engine.submit([Submission(workflow=name, params=wired, **options)])
            )
            return KitJob(self, submitted.job.job_id, flow)

        return self._place.here(submit)

    def _link(self, path: Path) -> File:
        file_id = self._id()
        file = self._intake.link(file_id, path)
        self._record(file_id, file)
        return file

    def _record(self, file_id: str, file: File) -> None:
        record = {**file.to_wire()["$file"], "file_id": file_id, "tenant": "default", "created_at": self.clock.now()}
        self._place.complete(self.engine.add_file(record))

    def _id(self) -> str:
        return uuid7(self.clock.now(), self._rng.getrandbits(RANDOM_BITS))


async def _jobs(filters: JobFilter, cursor: str | None, reads: Reads) -> tuple[list[Job], str | None]:
    return await reads.jobs(filters, limit=200, cursor=cursor)
