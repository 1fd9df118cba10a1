"""The engines that have to pass this suite, each behind the contract of `engine/base.py` and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from orpheus.core.errors import OrpheusError, TaskError
from orpheus.core.job import Job
from orpheus.engine.base import Engine, Grant, RunReport, Submission, WorkerHello
from orpheus.engine.embedded import EmbeddedEngine
from orpheus.engine.options import EngineOptions

ENGINES = ("embedded",)
LEASE_S = 1.0
"""Short, so that rescues can be waited for."""
Handler = Callable[[Grant], Any]


class Bench:
    """An engine at work: submits, runs workers in the loop, waits for ends."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._workers: list[asyncio.Task[None]] = []
        self._count = 0

    async def submit(self, workflow: Any, **options: Any) -> str:
        (submitted,) = await self.engine.submit([Submission(workflow=workflow, **options)])
        return submitted.job.job_id

    async def end(self, job_id: str, *, wait_s: float = 15.0) -> Job:
        job = await self.engine.wait_job(job_id, wait_s=wait_s)
        assert job is not None
        assert job.finished_at is not None, f"{job_id} is {job.state} after {wait_s} s"
        return job

    async def result(self, job_id: str) -> Any:
        return (await self.engine.reads.job_payload(job_id))[1]

    async def states(self, job_id: str) -> dict[str, str]:
        tasks, _ = await self.engine.reads.tasks(job_id, node=None, states=(), limit=1000, cursor=None)
        return {task.node: str(task.state) for task in tasks if task.index < 0}

    async def session(self, *handlers: str, **options: Any) -> Session:
        self._count += 1
        session = Session(self.engine, f"session-{self._count:04d}-{'x' * 16}")
        await session.hello(handlers or ("step@1",), **options)
        return session

    async def work(self, handlers: dict[str, Handler], *, slots: int = 10, **options: Any) -> None:
        """Start a worker that answers each task by calling its handler."""
        session = await self.session(*handlers, slots=slots, **options)
        self._workers.append(asyncio.create_task(session.serve(handlers, slots)))

    async def close(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self.engine.stop()


class Session:
    """One worker session, by hand or serving."""

    def __init__(self, engine: Engine, session_id: str) -> None:
        self.engine = engine
        self.session_id = session_id
        self.seq = 0
        self.held: dict[str, Grant] = {}

    async def hello(self, handlers: Sequence[str], **options: Any) -> tuple[str, ...]:
        options = {"worker": "bench", "held": tuple(self.held), **options}
        return await self.engine.hello(WorkerHello(session_id=self.session_id, handlers=tuple(handlers), **options))

    async def poll(self, *, free: int = 1, wait_s: float = 5.0, **options: Any) -> list[Grant]:
        self.seq += 1
        options = {"held": tuple(self.held), "resources_free": {}, **options}
        answer = await self.engine.poll(self.session_id, self.seq, free=free, wait_s=wait_s, **options)
        for grant in answer.grants:
            self.held[grant.run_id] = grant
        for run_id in answer.unknown:
            self.held.pop(run_id, None)
        self.cancels = answer.cancel
        return list(answer.grants)

    async def report(self, *reports: RunReport) -> list[OrpheusError | None]:
        answers = await self.engine.report(self.session_id, reports)
        for report in reports:
            if report.kind in ("completed", "failed", "cancelled"):
                self.held.pop(report.run_id, None)
        return answers

    async def complete(self, grant: Grant, result: Any = None) -> OrpheusError | None:
        return (await self.report(RunReport(run_id=grant.run_id, kind="completed", result=result)))[0]

    async def serve(self, handlers: dict[str, Handler], slots: int) -> None:
        while True:
            grants = await self.poll(free=slots, wait_s=0.3)
            if grants:
                await self.report(*[self._run(handlers[grant.task.handler], grant) for grant in grants])

    def _run(self, handler: Handler, grant: Grant) -> RunReport:
        try:
            return RunReport(run_id=grant.run_id, kind="completed", result=handler(grant))
        except Exception as error:
            fault = TaskError(code="task_failed", message=str(error), type=type(error).__name__, retryable=True)
            return RunReport(run_id=grant.run_id, kind="failed", error=fault)


async def make_engine(kind: str, path: Path) -> Engine:
    assert kind == "embedded"
    engine = EmbeddedEngine(path / "orpheus.db", options=EngineOptions(lease_s=LEASE_S, tick_s=0.05, stall_s=2.0))
    await engine.start()
    return engine


@pytest.fixture(params=ENGINES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Callable[[Bench], Awaitable[None]]], None]:
    """Run a test's body against each engine."""

    def run(body: Callable[[Bench], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with asyncio.timeout(60):
                at_work = Bench(await make_engine(request.param, tmp_path))
                try:
                    await body(at_work)
                finally:
                    await at_work.close()

        asyncio.run(whole())

    return run


@pytest.fixture
def flow() -> Callable[..., dict[str, Any]]:
    """Make a workflow: nodes are tasks `step@1` unless they say otherwise."""

    def make(*nodes: dict[str, Any], name: str = "flow", **extra: Any) -> dict[str, Any]:
        step = {"kind": "task", "task": "step", "version": 1, "args": {}}
        made = [node if node.get("kind") == "sleep" else {**step, **node} for node in nodes or ({"name": "a"},)]
        params = {"type": "object", "properties": {"x": {}}, "additionalProperties": False}
        return {"format": 1, "name": name, "version": 1, "params": params, "nodes": made, "output": None, **extra}

    return make
