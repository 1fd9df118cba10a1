"""How much a worker asks for ahead, and how it lets go of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from orpheus.authoring.task import task
from orpheus.worker.pace import AHEAD_MAX, LONG_S, RECENT, Pace


@task
async def short(seconds: float = 0.0) -> float:
    await asyncio.sleep(seconds)
    return seconds


def test_pace_asks_ahead_for_short_tasks_only() -> None:
    """Nothing is asked for ahead while a name that came lately is unknown or long; then as much as a tenth of a second."""
    pace = Pace()
    assert pace.ahead(2) == 0
    pace.arrived("a")
    assert pace.ahead(2) == 0, "unknown"
    pace.took("a", 0.001)
    assert pace.ahead(2) == 200
    assert pace.ahead(0) == 0, "every slot is held by a long run"
    assert pace.ahead(100) == AHEAD_MAX
    pace.arrived("b")
    assert pace.ahead(2) == 0, "unknown again"
    pace.took("b", 2 * LONG_S)
    assert pace.ahead(2) == 0, "long"
    for _ in range(RECENT):
        pace.arrived("a")
    assert pace.ahead(2) == 200, "the long one came long ago"


def test_short_tasks_are_asked_for_ahead(stage: Any, run_async: Any) -> None:
    """A worker with one slot that has seen short tasks offers room for many."""

    async def body() -> None:
        async with stage(short, concurrency=1) as (server, _worker):
            await server.end_of(await server.give("short"))
            await server.until(lambda: server.polls[-1].free > 20)

    run_async(body)


def test_nothing_is_asked_for_ahead_with_resources(stage: Any, run_async: Any) -> None:
    """What needs a GPU is not to wait here for one while another worker has it free."""

    async def body() -> None:
        async with stage(short, concurrency=1, resources={"gpu": 1}) as (server, _worker):
            for _ in range(3):
                await server.end_of(await server.give("short"))
            await asyncio.sleep(0.1)
            assert max(poll.free for poll in server.polls) == 1

    run_async(body)


def test_what_waits_too_long_is_given_back(stage: Any, run_async: Any) -> None:
    """Asked for ahead, then the one before it turned out long: the rest goes back unspent while that one runs on."""

    async def body() -> None:
        async with stage(short, concurrency=1) as (server, _worker):
            await server.end_of(await server.give("short"))
            await server.until(lambda: server.polls[-1].free > 20)
            long_one = await server.give("short", args={"seconds": 2.0})
            others = [await server.give("short") for _ in range(5)]
            began = time.monotonic()
            await server.until(lambda: sorted(server.returned) == sorted(others))
            assert time.monotonic() - began < 1.5
            assert server.polls[-1].free == 0
            assert (await server.end_of(long_one)).kind == "completed"

    run_async(body)


def test_cancel_of_what_has_not_begun_is_told_at_once(stage: Any, run_async: Any) -> None:
    """R18: a run that waits for its slot needs no grace."""

    async def body() -> None:
        async with stage(short, concurrency=1, prefetch=1) as (server, _worker):
            await server.give("short", args={"seconds": 2.0})
            waiting = await server.give("short")
            await server.until(lambda: any(waiting in poll.held for poll in server.polls))
            began = time.monotonic()
            await server.cancel(waiting)
            assert (await server.end_of(waiting)).kind == "cancelled"
            assert time.monotonic() - began < 0.5

    run_async(body)
