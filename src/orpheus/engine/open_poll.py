"""A poll between its arrival and its answer: what it waits for are news of its round, and what became of its reports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from orpheus.core.errors import OrpheusError
from orpheus.engine.base import PollAnswer


class OpenPoll:
    """A future, and no coroutine: whoever serves the poll is woken by the commit itself, not by a task in between.

    Args:
        has_reports: outcomes of reports belong to the answer; it is not given without them.
    """

    def __init__(self, *, has_reports: bool) -> None:
        self.future: asyncio.Future[PollAnswer] = asyncio.get_running_loop().create_future()
        self._given: PollAnswer | None = None
        self._outcomes: Sequence[OrpheusError | None] | None = None if has_reports else ()

    def answer(self, given: PollAnswer | OrpheusError) -> None:
        """The round has an answer, or the poll is refused."""
        if isinstance(given, PollAnswer):
            self._given = given
            self._give()
        elif not self.future.done():
            self.future.set_exception(given)

    def reported(self, outcomes: Sequence[OrpheusError | None]) -> None:
        """Every report of this poll has its outcome."""
        self._outcomes = outcomes
        self._give()

    def _give(self) -> None:
        given, outcomes = self._given, self._outcomes
        if given is None or outcomes is None or self.future.done():
            return
        # The round keeps its answer for a repeat; outcomes are this request's alone.
        self.future.set_result(msgspec.structs.replace(given, reported=tuple(outcomes)) if outcomes else given)
