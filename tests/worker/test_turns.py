"""Attempts of handlers in the loop share its tasks until they wait. Nobody can tell by what a handler sees."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from orpheus.authoring.task import task

ATTEMPTS = 40
"""All of them may be held at once, so that none is given back because the machine is busy."""
mark = contextvars.ContextVar("mark", default=0)
seen: dict[int, Any] = {}
kept: list[Any] = []
given: dict[int, asyncio.Future[int]] = {}


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()
    kept.clear()
    given.clear()


@task
async def marks(n: int) -> int:
    before = mark.get()
    mark.set(n + 1)
    print(f"this is {n}")
    seen[n] = id(asyncio.current_task())
    return before


@task
async def keeps(n: int) -> int:
    """Keep the task it runs in, and cancel the tasks of all that came before."""
    me = asyncio.current_task()
    for other in kept:
        other.cancel()
    assert me not in kept
    kept.append(me)
    return n


@task
async def varied(n: int) -> int:
    """Wait, fail, be late or return at once, by turns; what is around stays its own throughout."""
    mark.set(n)
    me = asyncio.current_task()
    print(f"{n} begins")
    if n % 5 == 0:
        await asyncio.sleep(0.001 * (n % 7))
    elif n % 5 == 1:
        raise ValueError(f"not {n}")
    elif n % 5 == 2:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await asyncio.sleep(60)
    elif n % 5 == 3:
        await asyncio.sleep(0)
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.001))
    print(f"{n} ends")
    assert mark.get() == n
    assert asyncio.current_task() is me
    return n


@task
async def waits(n: int) -> int:
    given[n] = asyncio.get_running_loop().create_future()
    return await given[n]


@task
async def cancels_itself(n: int) -> int:
    me = asyncio.current_task()
    assert me is not None
    me.cancel()
    return n


def test_what_a_handler_sets_is_its_own_although_they_share_a_task(stage: Any, run_async: Any) -> None:
    async def body() -> None:
        async with stage(marks, concurrency=4, prefetch=ATTEMPTS) as (server, _worker):
            runs = await server.give_many("marks", [{"n": n} for n in range(ATTEMPTS)])
            ends = [await server.end_of(run_id) for run_id in runs]
            assert [end.result for end in ends] == [0] * ATTEMPTS
            for n, run_id in enumerate(runs):
                lines = [line.message for item in server.reports if item.run_id == run_id for line in item.lines]
                assert lines == [f"this is {n}"]
            assert len(set(seen.values())) < ATTEMPTS / 2, "they share"

    run_async(body)


def test_a_task_that_a_handler_keeps_is_not_used_for_another(stage: Any, run_async: Any) -> None:
    async def body() -> None:
        async with stage(keeps, concurrency=4, prefetch=ATTEMPTS) as (server, _worker):
            runs = await server.give_many("keeps", [{"n": n} for n in range(ATTEMPTS)])
            ends = [await server.end_of(run_id) for run_id in runs]
            assert [(end.kind, end.result) for end in ends] == [("completed", n) for n in range(ATTEMPTS)]

    run_async(body)


def test_each_ends_as_it_would_alone(stage: Any, run_async: Any) -> None:
    async def body() -> None:
        async with stage(varied, concurrency=4, prefetch=ATTEMPTS) as (server, _worker):
            runs = await server.give_many("varied", [{"n": n} for n in range(ATTEMPTS)])
            for n, run_id in enumerate(runs):
                end = await server.end_of(run_id)
                lines = [line.message for item in server.reports if item.run_id == run_id for line in item.lines]
                if n % 5 == 1:
                    assert (end.kind, end.error.message, end.error.type) == ("failed", f"not {n}", "ValueError")
                    assert "During handling" not in end.error.traceback
                    assert lines == [f"{n} begins"]
                else:
                    assert (end.kind, end.result) == ("completed", n), end
                    assert lines == [f"{n} begins", f"{n} ends"]

    run_async(body)


def test_one_that_waits_holds_up_none_that_is_ready(stage: Any, run_async: Any) -> None:
    async def body() -> None:
        async with stage(marks, waits, concurrency=4, prefetch=ATTEMPTS) as (server, _worker):
            first = await server.give_many("marks", [{"n": n} for n in range(8)])  # so that they share
            for run_id in first:
                await server.end_of(run_id)
            waiting = await server.give("waits", args={"n": 1})
            for run_id in await server.give_many("marks", [{"n": n} for n in range(8)]):
                await server.end_of(run_id)
            given[1].set_result(7)
            assert (await server.end_of(waiting)).result == 7

    run_async(body)


def test_those_that_wait_wait_side_by_side_and_are_stopped_one_by_one(stage: Any, run_async: Any) -> None:
    async def body() -> None:
        async with stage(waits, concurrency=4, prefetch=ATTEMPTS) as (server, _worker):
            runs = await server.give_many("waits", [{"n": n} for n in range(4)])
            while len(given) < 4:  # noqa: ASYNC110 (handlers tell nobody)
                await asyncio.sleep(0.001)
            await server.cancel(runs[2])
            assert (await server.end_of(runs[2])).kind == "cancelled"
            for n in (0, 1, 3):
                given[n].set_result(n)
                assert (await server.end_of(runs[n])).result == n

    run_async(body)


def test_a_cancel_that_a_handler_asks_of_its_own_task_reaches_no_other(stage: Any, run_async: Any) -> None:
    async def body() -> None:
        async with stage(cancels_itself, concurrency=4, prefetch=ATTEMPTS) as (server, _worker):
            runs = await server.give_many("cancels_itself", [{"n": n} for n in range(ATTEMPTS)])
            ends = [await server.end_of(run_id) for run_id in runs]
            assert [(end.kind, end.result) for end in ends] == [("completed", n) for n in range(ATTEMPTS)]

    run_async(body)
