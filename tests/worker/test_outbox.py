"""When the outbox wakes the report loop."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from orpheus.protocol.worker import ReportItem
from orpheus.worker.outbox import BYTES_MAX, Outbox
from orpheus.worker.runs import PROGRESS_EVERY_S, Run


def _loops() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    if sys.platform == "win32":
        return [asyncio.new_event_loop]
    uvloop = pytest.importorskip("uvloop")
    return [asyncio.new_event_loop, uvloop.new_event_loop]


def _talking(name: str, due_in_s: float) -> Run:
    """A run that has something to say, and may say it in so many seconds."""
    return cast("Run", SimpleNamespace(run_id=name, last_told_at=time.monotonic() - PROGRESS_EVERY_S + due_in_s))


@pytest.mark.parametrize("new_loop", _loops())
def test_words_that_are_due_within_a_millisecond_do_not_end_the_report_loop(new_loop: Callable[[], Any]) -> None:
    """uvloop makes no timer of so short a wait but a plain handle; whoever speaks next must not trip over it."""

    async def body() -> None:
        outbox = Outbox(asyncio.get_running_loop())
        outbox.touch(_talking("run", 0.0004))
        await asyncio.sleep(0)  # the timer is set, and has not rung
        async with asyncio.timeout(5):
            await outbox.wait()

    for _ in range(20):
        loop = new_loop()
        try:
            loop.run_until_complete(body())
        finally:
            loop.close()


@pytest.mark.parametrize("new_loop", _loops())
def test_the_earliest_word_wakes_it(new_loop: Callable[[], Any]) -> None:
    """One that is due later has set the timer first."""

    async def body() -> float:
        outbox = Outbox(asyncio.get_running_loop())
        outbox.touch(_talking("late", 60))
        await asyncio.sleep(0)
        outbox.touch(_talking("soon", 0.05))
        begun = time.monotonic()
        async with asyncio.timeout(30):
            await outbox.wait()
        return time.monotonic() - begun

    loop = new_loop()
    try:
        assert loop.run_until_complete(body()) < 20
    finally:
        loop.close()


def test_a_report_is_bounded_by_what_its_results_weigh() -> None:
    """Encoded results count with their length, so that a report fits into what a server takes; one alone may be larger."""

    async def body() -> None:
        outbox = Outbox(asyncio.get_running_loop())
        outbox.put_back([_completed("a", BYTES_MAX // 2 - 1), _completed("b", BYTES_MAX // 2 - 1), _completed("c", 10)])
        outbox.put_back([_completed("large", BYTES_MAX + 1)])
        batches = [[item.run_id for item in outbox.gather()] for _ in range(3)]
        assert batches == [["large"], ["a", "b"], ["c"]]

    asyncio.run(body())


def _completed(name: str, size: int) -> ReportItem:
    return ReportItem(run_id=name, kind="completed", result=msgspec.Raw(b" " * size))
