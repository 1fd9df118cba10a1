"""When does work arrive? The poll loop (R8).

One question is open at any time, and it waits at the server. It says what is held and how much more would be welcome:

    answered            → take the tasks and cancellations, ask the next (seq + 1)
    connection broken   → ask the same again (same seq): the server gives the same answer, so a grant is never lost
    more room, or drain → ask the same again (same seq) with the new number; the newer question takes over, the older is
                          answered `superseded`. Were it already answered, both get the same answer, and tasks that are
                          already here are recognised by their run_id.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from orpheus.protocol.worker import Assignment, CancelNotice, Poll, PollReply
from orpheus.worker.link import Backoff, Refused, Unreachable
from orpheus.worker.runs import Runs
from orpheus.worker.session import Session

logger = logging.getLogger("orpheus.worker")

SUPERSEDE_AFTER_S = 0.004
"""A question younger than this is left alone: with a backlog it is answered before a second one would arrive, and slots
that become free meanwhile go together into the next."""

SHORT_TASK_S = 0.002
"""After tasks came, the next question waits so long: short ones have ended by then, and their slots go into it."""

LONGEST_PAUSE_S = 0.025
"""Cancellations wait at most so long while short tasks are worked off."""


class Poller:
    """Ask for work until told to end.

    Args:
        resources_free: says what could be leased now.
        on_task, on_cancel: what to do with what arrives.
    """

    def __init__(
        self,
        session: Session,
        runs: Runs,
        *,
        resources_free: Callable[[], dict[str, int]],
        on_task: Callable[[Assignment], None],
        on_cancel: Callable[[CancelNotice], None],
    ) -> None:
        self._session = session
        self._runs = runs
        self._resources_free = resources_free
        self._on_task = on_task
        self._on_cancel = on_cancel
        self._seq = 0
        self._changed = asyncio.Event()
        self._must_ask = False
        self._backoff = Backoff("poll")
        self._overtaken: set[asyncio.Task[PollReply | None]] = set()

    def room_changed(self) -> None:
        """More tasks would be welcome than before, or none any more."""
        self._changed.set()

    def held_changed(self) -> None:
        """Runs were given back: a question that names what is held has to follow, whatever the room."""
        self._must_ask = True
        self._changed.set()

    def next_seq(self) -> int:
        """Count on, for a poll that is asked outside this loop (the last one of a drain)."""
        self._seq += 1
        return self._seq

    async def run(self) -> None:
        """Poll for ever; cancel to end."""
        while True:
            self.next_seq()
            reply = await self._answer()
            self._take(reply)
            if reply.tasks:
                await self._work_off()

    async def _work_off(self) -> None:
        """Wait until the next question is worth its round trip: half of what was asked for ahead is done."""
        until = time.monotonic() + LONGEST_PAUSE_S
        while True:
            await asyncio.sleep(SHORT_TASK_S)
            if self._runs.room * 2 >= self._runs.ahead or self._must_ask or time.monotonic() >= until:
                return

    def _take(self, reply: PollReply) -> None:
        for run_id in reply.unknown:
            self._session.disown(run_id)
        for assignment in reply.tasks:
            # A drain that began while the answer was under way: not held, so it goes back at the next poll, unspent.
            if not self._runs.draining and self._runs.get(assignment.run_id) is None:
                self._on_task(assignment)
        for notice in reply.cancel:
            self._on_cancel(notice)

    async def _answer(self) -> PollReply:
        """Ask until the question with this seq is answered, superseding it whenever the room changes."""
        open_: dict[asyncio.Task[PollReply | None], int] = {}
        try:
            while True:
                self._changed.clear()
                room = self._runs.room
                newest = list(open_.values())[-1] if open_ else None
                if newest is None or room > newest or (room == 0 and newest > 0) or self._must_ask:
                    self._must_ask = False
                    question = asyncio.create_task(self._ask(room))
                    open_[question] = room
                    await asyncio.wait([question], timeout=SUPERSEDE_AFTER_S)
                reply = await self._first(open_)
                if reply is not None:
                    return reply
        except asyncio.CancelledError:
            for question in open_:
                question.cancel()
            raise
        finally:
            # Those that were overtaken are about to be answered `superseded`; letting them end keeps their connections.
            for question in open_:
                self._overtaken.add(question)
                question.add_done_callback(self._overtaken.discard)

    async def _first(self, open_: dict[asyncio.Task[PollReply | None], int]) -> PollReply | None:
        """Wait for an answer or for a change of room."""
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait([*open_, changed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        for question in [question for question in open_ if question.done()]:
            del open_[question]
            reply = question.result()
            if reply is not None and not reply.superseded:
                return reply
        return None

    async def _ask(self, room: int) -> PollReply | None:
        """Ask once. None: no answer this time, and it has been waited for a little."""
        welcome = self._session.welcome
        assert welcome is not None
        generation = self._session.generation
        asked_at = time.monotonic()
        poll = Poll(
            session_id=self._session.session_id,
            seq=self._seq,
            held=list(self._runs.held),
            free=room,
            resources_free=self._resources_free(),
        )
        try:
            reply = await self._session.link.poll(poll, wait_s=welcome.poll_wait_s)
        except Unreachable as broken:
            await self._backoff.pause(broken)
            return None
        except Refused as refused:
            if not await self._session.renew_if_unknown(refused, generation):
                await self._backoff.pause(refused)
            return None
        self._backoff.reset()
        self._session.contact.heard(asked_at)
        return reply
