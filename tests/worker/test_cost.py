"""What an attempt costs beside its handler, in things that can be counted: tasks of the loop, requests, wake-ups.

Times would say it better and cannot be relied on; `docs/performance.md` has them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from orpheus.authoring.task import task
from orpheus.worker.outbox import Outbox
from orpheus.worker.pace import Pace
from orpheus.worker.threads import Homecoming, Threads

ATTEMPTS = 200
ALONE = 30


@task
async def quick(n: int) -> int:
    return n


@task
def plain(n: int) -> int:
    return n


def _count_tasks_of_the_worker() -> Counter[str]:
    made: Counter[str] = Counter()

    def factory(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        code = getattr(coro, "cr_code", None)
        if code is not None and "/orpheus/worker/" in code.co_filename:
            made[code.co_name] += 1
        return asyncio.Task(coro, loop=loop, **options)

    asyncio.get_running_loop().set_task_factory(factory)
    return made


def test_a_short_attempt_is_one_task_of_the_loop_at_most_and_a_part_of_two_requests(stage: Any, run_async: Any) -> None:
    """No second task for the handler or for waiting, none of its own where it does not wait, and ends are told together."""

    async def body() -> None:
        async with stage(quick, plain, concurrency=8) as (server, _worker):
            await server.end_of(await server.give("quick", args={"n": 0}))
            made = _count_tasks_of_the_worker()
            for handler in ("quick", "plain", "quick"):
                made.clear()
                polls, reports = len(server.polls), len(server.report_batches)
                runs = await server.give_many(handler, [{"n": n} for n in range(ATTEMPTS)])
                for run_id in runs:
                    await server.end_of(run_id)
                asked = len(server.polls) - polls
                told = len(server.report_batches) - reports
                turns = made.pop("_turn", 0) + made.pop("_alone", 0)
                assert turns <= ATTEMPTS / 4 if handler == "quick" else turns == ATTEMPTS, f"{turns} tasks"
                assert sum(made.values()) <= asked + 5, made  # a poll that overtakes another is one
                assert asked <= ATTEMPTS / 4, f"{asked} polls"
                assert told <= ATTEMPTS / 2, f"{told} reports"

    run_async(body)


def test_a_job_alone_is_one_task_of_the_loop(stage: Any, run_async: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question that brings it goes on to ask the next one, which takes its end along; the report loop sleeps on."""

    async def body() -> None:
        async with stage(quick, concurrency=8) as (server, _worker):
            for n in range(3):
                await server.end_of(await server.give("quick", args={"n": n}))
            made = _count_tasks_of_the_worker()
            woken = list[None]()  # whenever it wakes it asks what is due
            monkeypatch.setattr(Outbox, "_due", lambda _: bool(woken.append(None)))
            for n in range(ALONE):
                await server.end_of(await server.give("quick", args={"n": n}))
            # A machine that stands still for a moment has a question overtaken meanwhile, or an end reported by itself.
            assert made["_turn"] == ALONE
            assert made.total() <= ALONE * 1.2, made
            assert len(woken) <= ALONE * 0.2

    run_async(body)


def test_the_longest_recent_task_is_looked_up_anew_when_it_may_have_changed() -> None:
    """However often it is asked for in between."""
    asked, fresh, random = Pace(), Pace(), Random(1)
    for _ in range(300):
        name = random.choice("abcd")
        took_s = random.choice([None, random.random() / 20])
        for pace in (asked, fresh):
            if took_s is None:
                pace.arrived(name)
            else:
                pace.took(name, took_s)
        fresh._longest = None
        assert asked.ahead(4) == fresh.ahead(4)


def test_calls_that_block_are_made_side_by_side() -> None:
    """One thread is woken at a time, and none is left out."""
    threads, together = Threads(), threading.Barrier(10)
    for _ in range(9):
        threads.submit(together.wait)
    together.wait(timeout=30)
    threads.close()


def test_threads_are_used_again_and_end() -> None:
    threads, seen = Threads(), set[threading.Thread]()
    for _ in range(50):
        done = threading.Event()
        threads.submit(lambda done=done: (seen.add(threading.current_thread()), done.set())[0])  # type: ignore[misc]
        assert done.wait(30)
        time.sleep(0.001)  # it is back
    assert len(seen) <= 5
    threads.close()
    for thread in seen:
        thread.join(30)
        assert not thread.is_alive()


def test_what_gathers_while_the_loop_is_busy_comes_home_in_one_turn() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        home, called, told = Homecoming(), 0, list[int]()
        really = loop.call_soon_threadsafe

        def counted(*args: Any, **options: Any) -> Any:
            nonlocal called
            called += 1
            return really(*args, **options)

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign]
        for round_number in (1, 2):
            told.clear()
            bringers = [threading.Thread(target=home.bring, args=(lambda n=n: told.append(n),)) for n in range(50)]
            for bringer in bringers:
                bringer.start()
            for bringer in bringers:
                bringer.join()  # the loop stands still meanwhile
            await asyncio.sleep(0.01)
            assert sorted(told) == list(range(50))
            assert called == round_number

    asyncio.run(body())
