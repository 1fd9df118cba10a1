"""Which answer belongs to which question (R8)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orpheus.protocol.worker import Assignment, Poll, PollReply
from orpheus.worker.contact import Contact
from orpheus.worker.polling import SUPERSEDE_AFTER_S, Poller
from orpheus.worker.runs import Run, Runs
from orpheus.worker.session import Session


class ScriptedLink:
    """Keeps every question open until the test answers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Poll, asyncio.Future[PollReply]]] = []
        self.changed = asyncio.Condition()

    async def poll(self, poll: Poll, *, wait_s: float) -> PollReply:
        answer: asyncio.Future[PollReply] = asyncio.get_running_loop().create_future()
        async with self.changed:
            self.asked.append((poll, answer))
            self.changed.notify_all()
        return await answer

    async def question(self, number: int) -> tuple[Poll, asyncio.Future[PollReply]]:
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: len(self.asked) > number)
        return self.asked[number]


def _session(link: ScriptedLink) -> Session:
    standing = SimpleNamespace(
        link=link, welcome=SimpleNamespace(poll_wait_s=20.0), generation=1, session_id="s" * 16, contact=Contact()
    )
    return cast("Session", standing)


def _assignment(run_id: str) -> Assignment:
    return Assignment(
        run_id=run_id, run_token="", job_id="j", task="t", index=None, handler="h", version=1, attempt=1,
        max_retries=0, tenant="default", correlation_id="c",
    )  # fmt: skip


def _run(run_id: str) -> Run:
    return cast("Run", SimpleNamespace(run_id=run_id, assignment=_assignment(run_id)))


def test_a_second_answer_to_an_old_question_is_not_one_to_the_next(run_async: Any) -> None:
    """Two questions of one seq crossed with the answer, and both got it. The late copy must not stand for the answer to the
    next question: what that one brings would be lost until it goes back."""

    async def body() -> None:
        link, runs, taken = ScriptedLink(), Runs(slots=1, prefetch=100), asyncio.Queue[str]()
        for n in range(60):  # much is under way, so that the next question waits a little
            runs.add(_run(str(n)))
        poller = Poller(
            _session(link),
            runs,
            resources_free=dict,
            on_task=lambda assignment: taken.put_nowait(assignment.run_id),
            on_cancel=lambda notice: None,
        )
        loop = asyncio.create_task(poller.run())
        first, first_answer = await link.question(0)
        await asyncio.sleep(SUPERSEDE_AFTER_S * 2)
        poller.held_changed()  # asks again under the same number
        again, again_answer = await link.question(1)
        assert first.seq == again.seq

        both = PollReply(seq=first.seq, tasks=[_assignment("one")])
        first_answer.set_result(both)
        assert await asyncio.wait_for(taken.get(), 30) == "one"
        again_answer.set_result(both)
        following, following_answer = await link.question(2)
        assert following.seq == first.seq + 1
        following_answer.set_result(PollReply(seq=following.seq, tasks=[_assignment("two")]))
        assert await asyncio.wait_for(taken.get(), 30) == "two"
        loop.cancel()

    run_async(body)


def test_what_nobody_foresaw_ends_the_loop(run_async: Any) -> None:
    """A worker whose poll loop stands still would only look alive."""

    async def body() -> None:
        link = ScriptedLink()
        poller = Poller(
            _session(link),
            Runs(slots=1, prefetch=0),
            resources_free=dict,
            on_task=lambda _: None,
            on_cancel=lambda notice: None,
        )
        loop = asyncio.create_task(poller.run())
        _, answer = await link.question(0)
        answer.set_exception(RuntimeError("nobody foresaw this"))
        with pytest.raises(RuntimeError, match="foresaw"):
            await asyncio.wait_for(loop, 30)

    run_async(body)


def test_a_slot_more_beside_many_is_no_new_question(run_async: Any) -> None:
    """With ninety free slots offered, the ninety-first is not worth a request; the first one is."""

    async def body() -> None:
        link, runs = ScriptedLink(), Runs(slots=100, prefetch=0)
        poller = Poller(
            _session(link), runs, resources_free=dict, on_task=lambda _: None, on_cancel=lambda notice: None
        )
        loop = asyncio.create_task(poller.run())
        held = [_run(str(n)) for n in range(100)]
        for run in held:
            runs.add(run)
        runs.on_room = poller.room_changed
        poll, _ = await link.question(0)
        assert poll.free == 0
        frees = []
        for number, run in enumerate(held):
            runs.vacate(run, completed=False)
            await asyncio.sleep(SUPERSEDE_AFTER_S * 2 if number < 10 else 0)
        await asyncio.sleep(SUPERSEDE_AFTER_S * 4)
        frees = [poll.free for poll, _ in link.asked]
        assert frees[1] == 1, "the first free slot is told at once"
        assert 50 <= frees[-1] <= 100 and len(frees) <= 10, f"{frees}: each time the room had doubled"
        loop.cancel()

    run_async(body)
