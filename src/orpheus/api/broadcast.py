"""Who hears of an event? One reader of the stream for all WebSockets that are up to date (R2).

    page of the stream ─► each event: which audiences want it? ─► its frame, made once ─► one write per socket and page

An audience is all sockets of one tenant with the same topics. So an event costs a look at an index, whatever the number of sockets,
and one that many want is rendered once. A socket that comes with an older cursor, or does not take what is written, reads by
itself (socket.py) until it has caught up; it tells `join` how far it is. All of it is paced by a `Share` of the loop's time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from orpheus.api import render
from orpheus.api.frames import text_frame
from orpheus.api.share import Share
from orpheus.api.topics import Topics
from orpheus.engine.base import CursorReset, Engine, PublishedEvent, SlowReader

log = logging.getLogger("orpheus.api")

TICK_S = 15.0
LOOK_S = 1.0
"""How often it is looked at who has heard nothing for so long."""
WRITE_S = 40e-6
"""What a write costs the loop after it was handed over: the system call."""
KEPT = 4096
"""Frames kept for sockets that read by themselves."""


class Follower(Protocol):
    """A socket that is told together with others."""

    topics: Topics
    last_sent: float

    def take(self, frames: bytes) -> bool:
        """Write; False when it does not go, and the socket then reads by itself."""

    def read_alone(self, cursor: str | None) -> None:
        """It has left, having been told up to the cursor (None: nothing): it did not take more, or the stream was pruned."""


class _Audience:
    """Followers with the same topics, and what of the present page is for them."""

    def __init__(self, topics: Topics) -> None:
        self.topics = topics
        self.followers: dict[Follower, int] = {}
        """With the place from which on each is told."""
        self.frames: list[tuple[int, bytes]] = []


class Broadcast:
    """Made once per app; runs while somebody follows."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine
        self.share = Share()
        self._audiences: dict[object, _Audience] = {}
        self._by_topic: dict[str, dict[_Audience, None]] = {}
        self._of: dict[Follower, object] = {}
        self._reader: asyncio.Task[None] | None = None
        self._cursor = ""
        self._place = 0
        self._ticked = 0.0
        self._frames: dict[int, bytes] = {}

    # Who follows

    def may_join(self, cursor: str, place: int | None) -> bool:
        """Tell whether a socket at this cursor has missed nothing that others were told already."""
        if cursor == self._engine().cursor():
            return True
        return self._reader is not None and place is not None and place >= self._place

    def join(self, follower: Follower, cursor: str, place: int | None) -> None:
        """Tell it whatever comes after the cursor; `may_join` has just said yes."""
        place = _place_of(cursor) if place is None else place
        if self._reader is None:
            self._cursor, self._place = cursor, place
            self._reader = asyncio.create_task(self._read(), name="orpheus-broadcast")
        self._add(follower, place)

    def topics_changed(self, follower: Follower) -> None:
        """Its topics are others from the next event on."""
        if follower in self._of:
            place = self._remove(follower)
            self._add(follower, place)

    def leave(self, follower: Follower) -> str | None:
        """Tell it no more; return the cursor up to which it was told, None when it was told nothing."""
        if follower not in self._of:
            return None
        joined = self._remove(follower)
        cursor = self._cursor if self._place > joined else None
        if not self._of and self._reader is not None:
            self._reader.cancel()
            self._reader = None
        return cursor

    def cursor_of(self, follower: Follower) -> str | None:
        """Return the cursor up to which it was told, None when it was told nothing yet."""
        name = self._of.get(follower)
        if name is None or self._place <= self._audiences[name].followers[follower]:
            return None
        return self._cursor

    def _add(self, follower: Follower, place: int) -> None:
        topics = follower.topics
        name = topics.identity()
        audience = self._audiences.get(name)
        if audience is None:
            audience = self._audiences[name] = _Audience(topics.copy())
            for topic in topics.names():
                self._by_topic.setdefault(topic, {})[audience] = None
        audience.followers[follower] = place
        self._of[follower] = name

    def _remove(self, follower: Follower) -> int:
        name = self._of.pop(follower)
        audience = self._audiences[name]
        place = audience.followers.pop(follower)
        if not audience.followers:
            del self._audiences[name]
            for topic in audience.topics.names():
                bearers = self._by_topic[topic]
                del bearers[audience]
                if not bearers:
                    del self._by_topic[topic]
        return place

    # What they are told

    async def _read(self) -> None:
        while True:
            try:
                async with contextlib.aclosing(self._engine().subscribe_pages(after=self._cursor)) as pages:  # type: ignore[type-var]
                    async for page in pages:
                        async with self.share:
                            self._tell(page)
                return  # the server goes down, and closes the sockets itself
            except SlowReader:
                continue  # it is we who are slow, for the sake of others: go on from the same place
            except CursorReset:
                self._part_with(list(self._of))  # each hears of it when it reads by itself
            except Exception:
                log.exception("watchers could not be told together; each reads by itself")
                self._part_with(list(self._of))

    def _part_with(self, followers: Sequence[Follower]) -> None:
        for follower in followers:
            follower.read_alone(self.leave(follower))

    def _tell(self, page: Sequence[PublishedEvent]) -> None:
        touched: dict[_Audience, None] = {}
        for event in page:
            for audience in self._wanting(event):
                audience.frames.append((event.place, self.frame(event)))
                touched[audience] = None
        behind: list[Follower] = []
        now = time.monotonic()
        for audience in touched:
            self._write(audience, now, behind)
        self._part_with(behind)
        if page:
            self._cursor, self._place = page[-1].cursor, page[-1].place
        if not page or now - self._ticked > LOOK_S:
            self._tick(now, everybody=not page)

    def _wanting(self, event: PublishedEvent) -> Sequence[_Audience]:
        kind = event.event.type
        found: dict[_Audience, None] = {}
        for topic in (f"job:{event.job_id}", *(("jobs", f"jobs:{kind[4:]}") if kind.startswith("job.") else ())):
            bearers = self._by_topic.get(topic)
            if bearers:
                found.update(bearers)
        return [audience for audience in found if audience.topics.match(event)] if found else ()

    def frame(self, event: PublishedEvent) -> bytes:
        """Return the event as a message to all; made once for those who read at about the same time."""
        frame = self._frames.get(event.place)
        if frame is None:
            frame = self._frames[event.place] = text_frame(msgspec.json.encode(render.published_event(event)))
            if len(self._frames) > KEPT:
                del self._frames[next(iter(self._frames))]
        return frame

    def _write(self, audience: _Audience, now: float, behind: list[Follower]) -> None:
        frames, audience.frames = audience.frames, []
        first = frames[0][0]
        together = b"".join([frame for _place, frame in frames])
        for follower, place in audience.followers.items():
            mine = together
            if place >= first:
                mine = b"".join([frame for at, frame in frames if at > place])
            if not mine:
                continue
            if follower.take(mine):
                follower.last_sent = now
                self.share.add(WRITE_S)
            else:
                behind.append(follower)

    def _tick(self, now: float, *, everybody: bool) -> None:
        """Tell those to whom nothing of theirs happened where they may come back."""
        self._ticked = now
        late = [
            follower
            for audience in self._audiences.values()
            for follower, place in audience.followers.items()
            if place <= self._place and (everybody or now - follower.last_sent > TICK_S)
        ]
        if late:
            tick = text_frame(msgspec.json.encode({"type": "tick", "cursor": self._cursor}))
            for follower in late:
                follower.last_sent = now
                follower.take(tick)
                self.share.add(WRITE_S)


def _place_of(cursor: str) -> int:
    return int(cursor.rpartition(".")[2])
