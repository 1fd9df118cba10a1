"""When does work arrive? The poll loop (R8).

One question is open at any time, and it waits at the server. It says what is held and how much more would be welcome:

    answered            → take the tasks and cancellations, ask the next (seq + 1)
    connection broken   → ask the same again (same seq): the server gives the same answer, so a grant is never lost
    more room, or drain → ask the same again (same seq) with the new number; the newer question takes over, the older is
                          answered `superseded`. Were it already answered, both get the same answer, and tasks that are
                          already here are recognised by their run_id.

Each question is a task while it waits. The one that brings the answer acts on it and goes on to ask the next: for a job
alone nobody else is woken.

A question takes along what there is to report when it goes out, and after a few quick tasks it waits a moment for their ends:
a job alone, or each step of a chain, then costs one request instead of two. Its answer acknowledges them, also one that is
`superseded`; what was not acknowledged is the report loop's again, or the next question's (docs/adr/0032).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from orpheus.protocol.worker import Assignment, CancelNotice, Poll, PollReply
from orpheus.worker.link import Backoff, Refused, UnknownSession, Unreachable
from orpheus.worker.reporting import Reporter
from orpheus.worker.runs import Run, Runs
from orpheus.worker.session import Session

logger = logging.getLogger("orpheus.worker")

SUPERSEDE_AFTER_S = 0.004
"""A question younger than this is left alone: with a backlog it is answered before a second one would arrive, and slots
that become free meanwhile go together into the next."""

WORTH_ASKING = 2
"""A question is superseded when the room has grown by this factor since. One slot more beside ninety gains nothing; the
answer to the old question is followed by the next one at once."""

LONGEST_PAUSE_S = 0.025
"""Cancellations wait at most so long while short tasks are worked off."""


QUICK_TASKS_MAX = 8
"""So few tasks of one answer may have their ends waited for; with more, the server had better hear of the room at once."""

QUICK_WAIT_S = 0.002
"""The longest such wait. Less than `SUPERSEDE_AFTER_S`: meanwhile no other question goes out."""


class Poller:
    """Ask for work until told to end.

    Args:
        reporter: what is to be reported; questions take it along.
        resources_free: says what could be leased now.
        on_task, on_cancel: what to do with what arrives.
    """

    def __init__(
        self,
        session: Session,
        runs: Runs,
        reporter: Reporter,
        *,
        resources_free: Callable[[], dict[str, int]],
        on_task: Callable[[Assignment], None],
        on_cancel: Callable[[CancelNotice], None],
    ) -> None:
        self._session = session
        self._runs = runs
        self._reporter = reporter
        self._resources_free = resources_free
        self._on_task = on_task
        self._on_cancel = on_cancel
        self._seq = 0
        self._changed = asyncio.Event()
        self._must_ask = False
        self._backoff = Backoff("poll")
        self._open: dict[asyncio.Task[None], tuple[int, float] | None] = {}
        """Questions with the present seq, the newest last: the room they tell of, and when they were asked. None for one that is
        yet to go out, and will tell of everything then."""
        self._paused = asyncio.Event()
        self._listening: asyncio.Event | None = self._changed
        """Who is to hear of changes: the loop, or the question that is yet to go out and pauses; nobody where that is a matter of a
        moment."""
        self._awaited: list[Run] = []
        """The quick tasks whose ends the next question is to take along."""
        self._ends_came: asyncio.Future[None] | None = None
        """What it waits for, once that is worth it."""
        self._overtaken: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None

    def room_changed(self) -> None:
        """More tasks would be welcome than before, or none any more."""
        if self._listening is not None:
            self._listening.set()

    def held_changed(self) -> None:
        """Runs were given back, or resources: a question that names them has to follow, whatever the room."""
        self._must_ask = True
        self.room_changed()

    def next_seq(self) -> int:
        """Count on; from outside for the last poll of a drain, after which the question under way is not followed by another."""
        self._seq += 1
        return self._seq

    async def run(self) -> None:
        """Poll for ever; cancel to end. Questions follow each other by themselves: here they are superseded when the room
        changes enough, and asked again when they came to nothing."""
        self.next_seq()
        try:
            while True:
                self._changed.clear()
                later_s = self._ask_if_worth_it()
                timer = None if later_s is None else asyncio.get_running_loop().call_later(later_s, self._changed.set)
                await self._changed.wait()
                if timer is not None:
                    timer.cancel()
                if self._failure is not None:
                    raise self._failure
        finally:
            for question in self._open:
                question.cancel()

    async def _work_off(self) -> None:
        """Wait until the next question is worth its round trip: half of what was asked for ahead is done.

        With room to spare it goes out before the handlers begin: the server takes it in while they work, and has it when
        their reports make the next tasks ready.
        """
        paused = self._listening = self._paused
        overdue = asyncio.get_running_loop().call_later(LONGEST_PAUSE_S, paused.set)
        until = time.monotonic() + LONGEST_PAUSE_S
        try:
            while not (self._runs.are_half_worked_off or self._must_ask or time.monotonic() >= until):
                paused.clear()
                await paused.wait()
        finally:
            overdue.cancel()
            self._listening = self._changed

    def _take(self, reply: PollReply) -> list[Run]:
        """Act on an answer; return the tasks it brought if all of them will end in a moment."""
        for run_id in reply.unknown:
            self._session.disown(run_id)
        begun: list[str] = []
        runs = self._runs
        for assignment in reply.tasks:
            # A drain that began while the answer was under way: not held, so it goes back at the next poll, unspent.
            if not runs.draining and runs.get(assignment.run_id) is None:
                self._on_task(assignment)
                begun.append(assignment.run_id)
        for notice in reply.cancel:
            self._on_cancel(notice)
        if len(begun) > QUICK_TASKS_MAX:
            return []
        held = [run for run_id in begun if (run := runs.get(run_id)) is not None]
        return held if all(map(runs.is_quick, held)) else []

    def _ask_if_worth_it(self) -> float | None:
        """Ask, unless a question that waits does as well. Return when to look again, if that is to be soon."""
        if self._open:
            newest = next(reversed(self._open.values()))
            if newest is None:
                return None
            if not self._must_ask:
                told, asked_at = newest
                room = self._runs.room
                if not (room >= max(1, told * WORTH_ASKING) and room > told) and not (room == 0 and told > 0):
                    return None
                age_s = time.monotonic() - asked_at
                if age_s < SUPERSEDE_AFTER_S:
                    return SUPERSEDE_AFTER_S - age_s
        question = asyncio.create_task(self._question(self._seq))
        self._open[question] = None
        return None

    async def _question(self, seq: int) -> None:
        """Ask, act on the answer, ask the next, and so on until another question brings the answer first, or there is none."""
        task = asyncio.current_task()
        assert task is not None, "it is one"
        try:
            while True:
                reply = await self._ask(task, seq)
                if reply is None or reply.superseded or seq != self._seq:
                    return
                seq = self.next_seq()
                self._open.pop(task, None)
                if self._open:
                    # They are about to be answered `superseded`; letting them end keeps their connections.
                    self._overtaken.update(self._open)
                    self._open.clear()
                self._open[task] = None
                quick = self._take(reply)
                if reply.tasks and not self._runs.are_half_worked_off:
                    await self._work_off()
                if quick and self._reporter.may_carry:
                    await self._ends_of(quick)
                elif reply.tasks:
                    await asyncio.sleep(0)  # their first steps: what ends with them makes room, and goes along
                if seq != self._seq:  # one was asked outside this loop, the last
                    self._reporter.leave_to(None)
                    return
        except Exception as unforeseen:  # the loop ends by it, and with it the worker
            self._failure = unforeseen
        finally:
            self._open.pop(task, None)
            self._overtaken.discard(task)
            self._changed.set()

    async def _ends_of(self, quick: list[Run]) -> None:
        """Wait until these runs have ended, or a moment. Those whose handlers never wait have once the loop has come to them."""
        self._awaited, self._listening = quick, None
        self._reporter.leave_to(self._look)  # until `carry`
        try:
            await asyncio.sleep(0)
            if not _have_ended(quick):
                loop = asyncio.get_running_loop()
                self._ends_came = came = loop.create_future()
                timer = loop.call_later(QUICK_WAIT_S, _settle, came)
                try:
                    await came
                finally:
                    timer.cancel()
        except BaseException:
            self._reporter.leave_to(None)
            raise
        finally:
            self._awaited, self._listening, self._ends_came = [], self._changed, None

    def _look(self) -> None:
        """An attempt has ended."""
        if self._ends_came is not None and _have_ended(self._awaited):
            _settle(self._ends_came)

    async def _ask(self, task: asyncio.Task[None], seq: int) -> PollReply | None:
        """Ask once. None: no answer this time, and it has been waited for a little."""
        welcome = self._session.welcome
        assert welcome is not None
        generation = self._session.generation
        asked_at = time.monotonic()
        reports = self._reporter.carry()
        room = self._runs.room
        self._must_ask = False
        if task in self._open:
            self._open[task] = (room, asked_at)
        poll = Poll(
            session_id=self._session.session_id,
            seq=seq,
            held=self._runs.held,
            free=room,
            resources_free=self._resources_free(),
            reports=reports,
        )
        try:
            reply = await self._session.link.poll(poll, wait_s=welcome.poll_wait_s)
        except Unreachable as broken:
            self._reporter.undelivered(reports, refused=False)
            await self._backoff.pause(broken)
            return None
        except Refused as refused:
            self._reporter.undelivered(reports, refused=not isinstance(refused, UnknownSession))
            if not await self._session.renew_if_unknown(refused, generation):
                await self._backoff.pause(refused)
            return None
        except BaseException:  # the loop is told to end
            self._reporter.undelivered(reports, refused=False)
            raise
        self._reporter.delivered(reports, reply.reported)
        self._backoff.reset()
        self._session.contact.heard(asked_at)
        return reply


def _settle(came: asyncio.Future[None]) -> None:
    if not came.done():
        came.set_result(None)


def _have_ended(runs: list[Run]) -> bool:
    for run in runs:  # noqa: SIM110 (a generator costs as much again, for each job alone)
        if not run.finished:
            return False
    return True
