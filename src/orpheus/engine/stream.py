"""Who is told what has happened? Committed events in commit order, and live messages beside them (R2).

Subscribers do not have queues of events. The latest events stand once, in a ring; each subscriber has only its place in the
stream, and reads from the ring, or, when it is further behind, from the file. So a thousand slow pages cost a thousand
integers, and none of them can miss an event. One that is further behind than `lag` is disconnected and comes back with its
cursor.

A cursor is `{epoch}.{number}`: the store's epoch, and the place in its stream. To all others it is opaque.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

from orpheus.engine.base import CursorReset, LiveMessage, PublishedEvent
from orpheus.engine.wanted import EVERYTHING, Wanted

if TYPE_CHECKING:
    from orpheus.core.decision import Event
    from orpheus.core.job import Job

    Told = tuple[int, Sequence[Event], Job]
    """A decision's events: the place of the last one, the events, their job."""


_last_place, _events = itemgetter(0), itemgetter(1)


def foreign(text: str) -> CursorReset:
    return CursorReset(
        f"cursor {text[:80]!r} is pruned or of another store",
        hint="Fetch what you show anew, then subscribe without a cursor.",
    )


class Stream:
    """The latest committed events, and who wants to hear that there are new ones."""

    def __init__(self, *, epoch: str, head: int, ring: int, floor: int = 0) -> None:
        self.epoch = epoch
        self.head = head
        """Place of the newest committed event."""
        self.floor = floor
        """Place up to which the file may lack events, because their jobs were pruned: whoever would have to read them
        there is told to begin anew."""
        self._ring: deque[Told] = deque()
        """By decision: the place of its last event, its events, its job. What subscribers are given is made when one reads: most
        events have left the ring before somebody does."""
        self._most = ring
        self._held = 0
        self._listeners: dict[Callable[[], None], None] = {}
        self._live: dict[str | None, dict[Callable[[LiveMessage], None], None]] = {}
        """Who hears live messages: of one job, or (None) of all."""

    def cursor(self, place: int) -> str:
        return f"{self.epoch}.{place}"

    def place_of(self, cursor: str) -> int:
        """Return the place a cursor names.

        Raises:
            CursorReset: it is not of this store, or names what has not happened.
        """
        epoch, dot, number = cursor.rpartition(".")
        if not dot or epoch != self.epoch or not number.isascii() or not number.isdigit() or len(number) > 18:
            raise foreign(cursor)
        place = int(number)
        if place > self.head:
            raise foreign(cursor)
        return place

    def publish(self, told: Sequence[Told]) -> None:
        """Add the events of decisions, in commit order, after the commit."""
        if not told:
            return
        ring, head, count = self._ring, told[-1][0], sum(map(len, map(_events, told)))
        assert head - count >= self.head, "events are published in the order of their cursors"
        ring.extend(told)
        held = self._held + count
        while held - self._most >= (oldest := len(ring[0][1])):
            ring.popleft()
            held -= oldest
        self._held = held
        self.head = head

    def ring_after(
        self, place: int, limit: int, wanted: Wanted = EVERYTHING
    ) -> tuple[int, list[PublishedEvent]] | None:
        """Return the place up to which was looked, and the wanted events after `place` and up to there; None when the ring
        does not reach back so far.

        Most who ask want the ends of jobs, one event in seven: of the others they are shown nothing but the type.
        """
        if place >= self.head:
            return self.head, []
        ring = self._ring
        known = bisect_right(ring, place, key=_last_place)
        if not known and (not ring or ring[0][0] - len(ring[0][1]) > place):
            return None
        after = list(islice(reversed(ring), len(ring) - known))  # from the end, where most who ask are
        tenant, types, jobs, epoch = wanted.tenant, wanted.types, wanted.jobs, self.epoch
        found: list[PublishedEvent] = []
        for last, events, job in reversed(after):
            if tenant is not None and job.tenant != tenant:
                continue
            chosen = (
                events
                if types is None or (jobs and job.job_id in jobs)
                else [event for event in events if event.type in types]
            )
            for event in chosen:
                at = last - events[-1].seq + event.seq  # a decision's events are numbered without a gap
                if at > place:
                    found.append(PublishedEvent(event, job.job_id, job.tenant, job.correlation_id, epoch, at))
                    if len(found) == limit:  # a map's decision may have ten thousand
                        return at, found
        return self.head, found

    # Who listens

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Have `heard` called after each commit that brought events; return what ends it."""
        self._listeners[heard] = None

        def stop() -> None:
            self._listeners.pop(heard, None)

        return stop

    def tell(self) -> None:
        for heard in list(self._listeners):
            heard()

    def listen_live(self, heard: Callable[[LiveMessage], None], job_id: str | None) -> Callable[[], None]:
        """Have `heard` called with progress and log messages, of one job or of all; return what ends it."""
        self._live.setdefault(job_id, {})[heard] = None

        def stop() -> None:
            listeners = self._live.get(job_id, {})
            listeners.pop(heard, None)
            if not listeners:
                self._live.pop(job_id, None)

        return stop

    @property
    def subscribers(self) -> int:
        return len(self._listeners) + sum(len(listeners) for listeners in self._live.values())

    def wants_live(self) -> bool:
        return bool(self._live)

    def say(self, message: LiveMessage) -> None:
        """Pass on a live message; it is not kept."""
        for heard in (*self._live.get(message.job_id, ()), *self._live.get(None, ())):
            heard(message)
