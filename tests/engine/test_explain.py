"""Why something waits is always answerable (promise 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orpheus.core.facts import PauseRequested
from orpheus.core.job import Job
from orpheus.engine.base import RunReport, Submission, WorkerHello
from orpheus.engine.embedded import EmbeddedEngine

SESSION = "session-" + "x" * 16


class Asking:
    """An engine, asked for reasons."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self.engine = engine
        self.seq = 0

    async def submit(self, workflow: Any, **options: Any) -> str:
        (submitted,) = await self.engine.submit([Submission(workflow=workflow, **options)])
        return submitted.job.job_id

    async def job(self, job_id: str) -> Job:
        job = await self.engine.reads.job(job_id)
        assert job is not None
        return job

    async def of_job(self, job_id: str) -> list[tuple[str, str]]:
        return [(w.reason, w.detail) for w in await self.engine.reads.waiting_for_job(await self.job(job_id))]

    async def of_task(self, job_id: str, node: str, index: int = -1) -> list[tuple[str, str]]:
        task = await self.engine.reads.task(job_id, node, index)
        assert task is not None
        return [(w.reason, w.detail) for w in await self.engine.reads.waiting_for_task(await self.job(job_id), task)]

    async def hello(self, *handlers: str, **options: Any) -> None:
        await self.engine.hello(
            WorkerHello(session_id=SESSION, worker="w", handlers=handlers or ("step@1",), **options)
        )

    async def poll(self, **options: Any) -> Any:
        self.seq += 1
        options = {"held": (), "free": 1, "resources_free": {}, "wait_s": 0.0, **options}
        return await self.engine.poll(SESSION, self.seq, **options)


@pytest.fixture
def asking(tmp_path: Path) -> Callable[[Callable[[Asking], Any]], None]:
    def run(body: Callable[[Asking], Any]) -> None:
        async def whole() -> None:
            async with asyncio.timeout(30):
                engine = EmbeddedEngine(tmp_path / "orpheus.db")
                await engine.start()
                await body(Asking(engine))
                await engine.stop()

        asyncio.run(whole())

    return run


def test_a_pending_job_tells_each_of_its_gates(asking, flow):
    """Approval, time and other jobs, all at once."""

    async def body(ask: Asking) -> None:
        first = await ask.submit(flow())
        job_id = await ask.submit(flow(), requires_approval=True, delay_s=600.0, depends_on=((first, "success"),))
        reasons = await ask.of_job(job_id)
        assert [reason for reason, _ in reasons] == ["approval", "time", "job"]
        assert first in reasons[2][1]

    asking(body)


def test_a_ready_task_without_a_worker_says_for_what(asking, flow):
    """By name and version, also when workers for other versions are there (R24)."""

    async def body(ask: Asking) -> None:
        job_id = await ask.submit(flow("x", {"name": "a", "task": "transcribe", "version": 2}))
        await ask.hello("transcribe@1")
        ((reason, detail),) = await ask.of_job(job_id)
        assert reason == "worker" and "transcribe@2" in detail

    asking(body)


def test_slot_resource_key_and_pause_are_told(asking, flow):
    """Every limit has its word (R25, R26)."""

    async def body(ask: Asking) -> None:
        await ask.hello(resources={"gpu": 1})
        running = await ask.submit(flow("k", {"name": "a", "concurrency_key": "k", "resources": {"gpu": 1}}))
        (grant,) = (await ask.poll(resources_free={"gpu": 1})).grants
        assert await ask.of_job(running) == []
        keyed = await ask.submit(flow("k", {"name": "a", "concurrency_key": "k", "resources": {"gpu": 1}}))
        greedy = await ask.submit(flow("g", {"name": "a", "resources": {"gpu": 8}}))
        plain = await ask.submit(flow())
        assert {reason for reason, _ in await ask.of_job(keyed)} == {"key", "resource"}
        assert [reason for reason, _ in await ask.of_job(greedy)] == ["resource"]
        assert [reason for reason, _ in await ask.of_job(plain)] == ["slot"]
        await ask.engine.update_queue("default", {"paused": True}, actor="t")
        assert ("pause", "queue 'default' is paused") in await ask.of_job(plain)
        await ask.engine.tell(plain, PauseRequested())
        assert ("pause", "the job is paused") in await ask.of_job(plain)
        assert await ask.engine.report(SESSION, [RunReport(run_id=grant.run_id, kind="completed")]) == [None]

    asking(body)


def test_blocked_tasks_backoff_cap_and_stagger_are_told(asking, flow):
    """What a task of a running job waits for."""

    async def body(ask: Asking) -> None:
        await ask.hello()
        chain = await ask.submit(flow("c", {"name": "a"}, {"name": "b", "after": ["a"]}))
        assert await ask.of_task(chain, "b") == [("task", "a")]
        (grant,) = (await ask.poll()).grants
        await ask.engine.report(SESSION, [RunReport(run_id=grant.run_id, kind="failed")])
        assert [reason for reason, _ in await ask.of_task(chain, "a")] == ["backoff"]
        assert [reason for reason, _ in await ask.of_job(chain)] == ["backoff"]
        params = {"type": "object", "properties": {"items": {"type": "array"}}}
        items = {"kind": "map", "items": {"x": {"$param": "items"}}}
        capped = flow("m", {"name": "m", **items, "max_concurrency": 1}, params=params)
        job_id = await ask.submit(capped, params={"items": [1, 2, 3]})
        assert await ask.of_task(job_id, "m", 2) == [("cap", "at most 1 items at a time")]
        spread = flow("s", {"name": "m", **items, "stagger_s": 5}, params=params)
        job_id = await ask.submit(spread, params={"items": [1, 2, 3]})
        assert await ask.of_task(job_id, "m", 1) == [("stagger", "items start 5 s apart")]
        sleeping = await ask.submit(flow("z", {"name": "z", "kind": "sleep", "duration": 60}))
        assert [reason for reason, _ in await ask.of_job(sleeping)] == ["time"]

    asking(body)
