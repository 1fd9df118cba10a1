"""Questions take along what there is to report: a job alone is one request of its worker, not two."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from orpheus.authoring.context import Context
from orpheus.authoring.task import task
from orpheus.protocol.worker import ReportResult
from orpheus.worker.polling import QUICK_TASKS_MAX

JOBS = 20


@task
async def quick(n: int) -> int:
    return n


@task
def plain(n: int) -> int:
    return n


@task
async def yields(n: int) -> int:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return n


@task
async def talks(ctx: Context, n: int) -> int:
    ctx.log.info("so far so good")
    return n


gate = threading.Event()


@task
def waits() -> None:
    gate.wait(30)


async def _one(server: Any, handler: str, n: int) -> None:
    assert (await server.end_of(await server.give(handler, args={"n": n}))).result == n


@pytest.mark.parametrize("handler", ["quick", "talks", "yields", "plain"])
def test_one_request_for_a_quick_job(stage: Any, run_async: Any, handler: str) -> None:
    async def body() -> None:
        async with stage(quick, plain, yields, talks) as (server, running):
            for n in range(JOBS):
                await _one(server, handler, n)
            if handler in ("quick", "talks"):  # ended before the question goes out; the others are a matter of time
                assert server.report_requests == 0
                # A machine that stands still for a moment has its idle polls answered meanwhile.
                assert len(server.polls) <= JOBS * 1.5
            await server.until(lambda: server.polls[-1].held == [])  # soon acknowledged, though nothing else comes
            await running.drain()
            assert [item.kind for item in server.reports if item.kind != "log"] == ["completed"] * JOBS
            assert server.returned == []

    run_async(body)


def test_a_server_that_does_not_know_of_it_gets_reports(stage: Any, run_async: Any) -> None:
    """R24: a worker that is newer than its server."""

    def older(server: Any) -> None:
        server.poll_reports = False

    async def body() -> None:
        async with stage(quick, prepare=older) as (server, running):
            for n in range(JOBS):
                await _one(server, "quick", n)
            assert not any(poll.reports for poll in server.polls)
            assert server.report_requests >= JOBS
            await running.drain()

    run_async(body)


def test_what_the_server_refuses_with_a_question_is_reported_alone(stage: Any, run_async: Any) -> None:
    """The question goes out again without it, so nothing else is held up."""

    async def body() -> None:
        async with stage(quick) as (server, running):
            await _one(server, "quick", 0)
            server.refuse_carried = True
            for n in range(3):
                await _one(server, "quick", n)
            assert server.report_requests >= 3
            await running.drain()
            assert server.returned == []

    run_async(body)


def test_a_lost_answer_makes_it_be_said_again(stage: Any, run_async: Any) -> None:
    async def body() -> None:
        async with stage(quick) as (server, running):
            for n in range(3):
                await _one(server, "quick", n)
            run_id = await server.give("quick", args={"n": 7})
            await server.end_of(run_id)
            server.lose_answers = 1
            await server.until(lambda: len(server.said(run_id, "completed")) > 1)
            await _one(server, "quick", 8)
            await server.until(lambda: server.polls[-1].held == [])
            await running.drain()
            assert server.returned == []

    run_async(body)


def test_a_refused_completion_is_told_as_a_failure(stage: Any, run_async: Any) -> None:
    """The answers to what a question carried are heeded like those to a report."""

    async def body() -> None:
        async with stage(quick) as (server, running):
            for n in range(3):
                await _one(server, "quick", n)
            run_id = f"run-{len(server.reports) + 1}"
            server.answers[run_id] = ReportResult(ok=False, code="invalid_request", message="no")
            assert await server.give("quick", args={"n": 1}) == run_id
            await server.until(lambda: server.said(run_id, "failed"))
            await running.drain()

    run_async(body)


def test_a_long_run_beside_them_is_not_waited_for(stage: Any, run_async: Any) -> None:
    gate.clear()

    async def body() -> None:
        async with stage(quick, waits) as (server, running):
            slow = await server.give("waits")
            for n in range(JOBS):
                await _one(server, "quick", n)
            assert not server.said(slow, "completed")
            gate.set()
            await server.end_of(slow)
            await running.drain()

    run_async(body)


def test_many_tasks_at_once_are_not_waited_for(stage: Any, run_async: Any) -> None:
    """Every end arrives once, by whichever way."""

    async def body() -> None:
        async with stage(quick, plain, concurrency=8) as (server, running):
            await _one(server, "plain", 0)
            runs = await server.give_many("plain", [{"n": n} for n in range(QUICK_TASKS_MAX * 20)])
            for run_id in runs:
                await server.end_of(run_id)
            await running.drain()
            assert sorted(item.run_id for item in server.reports if item.run_id in runs) == sorted(runs)
            assert server.returned == []

    run_async(body)
