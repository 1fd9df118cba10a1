"""Which answer belongs to which question (R8)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orpheus.protocol.worker import Assignment, Poll, PollReply, ReportItem, ReportResult
from orpheus.worker.capture import Redactor
from orpheus.worker.contact import Contact
from orpheus.worker.outbox import Outbox
from orpheus.worker.polling import SUPERSEDE_AFTER_S, Poller
from orpheus.worker.reporting import Reporter
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
        link=link,
        welcome=SimpleNamespace(poll_wait_s=20.0, poll_reports=True),
        generation=1,
        session_id="s" * 16,
        contact=Contact(),
    )
    return cast("Session", standing)


def _reporter(link: ScriptedLink, runs: Runs) -> Reporter:
    return Reporter(_session(link), Outbox(asyncio.get_running_loop()), runs)


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
            _reporter(link, runs),
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
            runs := Runs(slots=1, prefetch=0),
            _reporter(link, runs),
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
            _session(link),
            runs,
            _reporter(link, runs),
            resources_free=dict,
            on_task=lambda _: None,
            on_cancel=lambda notice: None,
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
            if number == 0:
                await link.question(1)
            await asyncio.sleep(SUPERSEDE_AFTER_S * 2 if number < 10 else 0)
        await asyncio.sleep(SUPERSEDE_AFTER_S * 4)
        frees = [poll.free for poll, _ in link.asked]
        assert frees[1] == 1, "the first free slot is told at once"
        assert 50 <= frees[-1] <= 100 and len(frees) <= 10, f"{frees}: each time the room had doubled"
        loop.cancel()

    run_async(body)


TRIES = 20
"""Of what a busy machine may be too late for once in a while."""


class Quick:
    """A poller whose tasks are known to be quick, and end when the test says so."""

    def __init__(self) -> None:
        self.link, self.runs = ScriptedLink(), Runs(slots=4, prefetch=0)
        self.outbox = Outbox(asyncio.get_running_loop())
        session = _session(self.link)
        self.reporter = Reporter(session, self.outbox, self.runs)
        self.begun: list[Run] = []
        self.on_begun: Callable[[Run], None] = lambda run: None
        self.poller = Poller(
            session,
            self.runs,
            self.reporter,
            resources_free=dict,
            on_task=self._begin,
            on_cancel=lambda notice: None,
        )
        known = _run("before")
        self.runs.add(known)
        self.runs.begins(known, time.monotonic())
        self.runs.vacate(known, completed=True)
        self.runs.forget("before")

    def _begin(self, assignment: Assignment) -> None:
        run = Run.arrived(assignment, redactor=Redactor(), log_bytes_max=1000, on_news=lambda run: None)
        self.runs.add(run)
        self.runs.begins(run, time.monotonic())
        self.begun.append(run)
        self.on_begun(run)

    def end(self, run: Run) -> None:
        self.outbox.end(run, ReportItem(run_id=run.run_id, kind="completed", result=1))
        self.runs.vacate(run, completed=False)

    async def give(self, number: int, run_id: str, reported: int) -> Poll:
        """Answer the question with a task; return the next one."""
        poll, answer = await self.link.question(number)
        given = PollReply(seq=poll.seq, tasks=[_assignment(run_id)], reported=[ReportResult(ok=True)] * reported)
        answer.set_result(given)
        return (await self.link.question(number + 1))[0]


def test_a_question_waits_a_moment_for_the_end_of_a_quick_task(run_async: Any) -> None:
    """It goes out once they have ended, and tells of the room that they leave."""

    async def body() -> None:
        quick, loop = Quick(), asyncio.get_running_loop()
        quick.on_begun = lambda run: loop.call_soon(loop.call_soon, loop.call_soon, quick.end, run)
        polling, reporting = loop.create_task(quick.poller.run()), loop.create_task(quick.reporter.run())
        carried = 0
        for number in range(TRIES):
            poll = await quick.give(number, f"run-{number}", reported=carried)
            carried = len(poll.reports)
            if carried:
                assert ([item.run_id for item in poll.reports], poll.free) == ([f"run-{number}"], 4)
                break
        assert carried, "no question has waited"
        assert not quick.reporter.idle, "it is not acknowledged yet"
        await quick.give(number + 1, "next", reported=1)
        assert quick.runs.get(f"run-{number}") is None
        polling.cancel()
        reporting.cancel()

    run_async(body)


def test_but_not_for_one_that_takes_longer_than_it_should(run_async: Any) -> None:
    async def body() -> None:
        quick, loop = Quick(), asyncio.get_running_loop()
        polling = loop.create_task(quick.poller.run())
        poll = await quick.give(0, "slow", reported=0)
        assert (poll.reports, poll.held, poll.free) == ([], ["slow"], 3)
        quick.end(quick.begun[0])
        await asyncio.wait_for(quick.outbox.wait(), 30)  # the report loop is not held off any more
        assert [item.run_id for item in quick.outbox.gather()] == ["slow"]
        polling.cancel()

    run_async(body)


def test_nothing_is_carried_past_a_report_in_flight(run_async: Any) -> None:
    """It may hold words of the same run, which must not come after its end."""

    async def body() -> None:
        quick, loop = Quick(), asyncio.get_running_loop()
        in_flight = asyncio.Event()

        async def report(_report: Any) -> Any:
            in_flight.set()
            await asyncio.sleep(3600)

        cast("Any", quick.link).report = report
        reporting = loop.create_task(quick.reporter.run())
        quick._begin(_assignment("first"))
        quick.end(quick.begun[0])
        await asyncio.wait_for(in_flight.wait(), 30)
        quick.on_begun = quick.end
        polling = loop.create_task(quick.poller.run())
        poll = await quick.give(0, "second", reported=0)
        assert (poll.reports, poll.held) == ([], ["first", "second"])
        assert len(quick.outbox) == 1
        polling.cancel()
        reporting.cancel()

    run_async(body)
