"""Watchers are told together: each hears what it asked for, once, in order, whoever else listens (R2)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from orpheus.api import share
from orpheus.api.broadcast import Broadcast
from orpheus.api.frames import text_frame
from orpheus.api.topics import Topics
from orpheus.core.decision import Event
from orpheus.engine.base import PublishedEvent


def say(ws, **message):
    ws.send(json.dumps(message))


def hear(ws, timeout=20):
    return json.loads(ws.recv(timeout=timeout))


def test_many_watchers_hear_each_what_they_asked_for(live, submit):
    url = live.url.replace("http", "ws", 1) + "/ws"
    first = submit()["job_id"]
    with ExitStack() as stack:
        sockets = [stack.enter_context(connect(url)) for _ in range(12)]
        for number, ws in enumerate(sockets):
            say(ws, subscribe=["jobs:created"] if number % 2 else ["jobs"])
            assert hear(ws)["type"] == "subscribed"
        made = [submit()["job_id"] for _ in range(20)]
        for number, ws in enumerate(sockets):
            heard: list[dict[str, Any]] = []
            while sum(event["type"] == "job.created" for event in heard) < len(made):
                heard.append(hear(ws))
            assert [event["job_id"] for event in heard if event["type"] == "job.created"] == made
            if number % 2:
                assert {event["type"] for event in heard} == {"job.created"}
            places = [int(event["cursor"].rpartition(".")[2]) for event in heard]
            assert places == sorted(set(places))
        # Other topics, and an older place, while the others go on.
        say(sockets[0], unsubscribe=["jobs"])
        while hear(sockets[0])["type"] != "subscribed":
            pass
        say(sockets[0], subscribe=[f"job:{first}"], after=live.engine.server_epoch() + ".0")
        assert hear(sockets[0])["topics"] == [f"job:{first}"]
        assert [hear(sockets[0])["type"] for _ in range(2)] == ["job.created", "job.queued"]
        last = submit()["job_id"]
        heard = [hear(sockets[1])]
        assert heard[-1]["job_id"] == last


class StandIn:
    """An engine of which only the stream is asked: pages are put in by the test."""

    def __init__(self) -> None:
        self.head = 0
        self._pages: asyncio.Queue[Sequence[PublishedEvent]] = asyncio.Queue()
        self.begun_after: list[str] = []

    def cursor(self) -> str:
        return f"e.{self.head}"

    async def subscribe_pages(self, *, after: str) -> AsyncGenerator[Sequence[PublishedEvent], None]:
        self.begun_after.append(after)
        while True:
            yield await self._pages.get()

    def happen(self, *types: str, job_id: str = "a", tenant: str = "ada") -> None:
        page = []
        for kind in types:
            self.head += 1
            page.append(PublishedEvent(Event(self.head, kind, 1.0, "worker"), job_id, tenant, "c", "e", self.head))
        self._pages.put_nowait(page)


class Watcher:
    """Hears frames; `takes` says whether it does."""

    def __init__(self, *topics: str, tenant: str | None = None) -> None:
        self.topics = Topics(tenant)
        self.topics.add(topics)
        self.last_sent = time.monotonic()
        self.takes = True
        self.heard: list[str] = []
        self.alone: list[str | None] = []

    def take(self, frames: bytes) -> bool:
        if self.takes:
            while frames:
                size, start = (frames[1], 2) if frames[1] < 126 else (int.from_bytes(frames[2:4], "big"), 4)
                message = json.loads(frames[start : start + size])
                self.heard.append(f"{message['type']} {message['cursor']}")
                frames = frames[start + size :]
        return self.takes

    def read_alone(self, cursor: str | None) -> None:
        self.alone.append(cursor)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_who_does_not_take_a_page_goes_on_alone_from_before_it() -> None:
    async def told() -> None:
        engine = StandIn()
        broadcast = Broadcast(lambda: engine)
        quick, slow, late = Watcher("jobs"), Watcher("jobs"), Watcher("job:a")
        foreign = Watcher("jobs", tenant="grace")
        for watcher in (quick, slow, foreign):
            assert broadcast.may_join("e.0", None)
            broadcast.join(watcher, "e.0", None)
        engine.happen("job.created", "task.ready")
        await settled()
        assert broadcast.cursor_of(quick) == "e.2"
        slow.takes = False
        engine.happen("job.started")
        await settled()
        assert slow.alone == ["e.2"]
        assert quick.alone == []
        assert not broadcast.may_join("e.2", 2), "what came since was told to the others already"
        assert broadcast.may_join("e.3", None)
        broadcast.join(late, "e.3", None)
        engine.happen("task.completed", "job.completed")
        await settled()
        assert quick.heard == ["job.created e.1", "job.started e.3", "job.completed e.5"]
        assert slow.heard == ["job.created e.1"]
        assert late.heard == ["task.completed e.4", "job.completed e.5"]
        assert foreign.heard == []
        assert broadcast.leave(late) == "e.5"
        assert broadcast.leave(late) is None
        for watcher in (quick, foreign):
            broadcast.leave(watcher)
        broadcast.join(quick, "e.5", None)
        await settled()
        assert engine.begun_after == ["e.0", "e.5"], "nobody reads while nobody follows"
        broadcast.leave(quick)

    asyncio.run(told())


def test_a_follower_ahead_of_the_others_hears_nothing_twice() -> None:
    async def told() -> None:
        engine = StandIn()
        broadcast = Broadcast(lambda: engine)
        first, ahead = Watcher("jobs"), Watcher("jobs")
        broadcast.join(first, "e.0", None)
        engine.happen("job.created", "job.queued")
        broadcast.join(ahead, "e.1", 1)
        assert broadcast.cursor_of(ahead) is None
        await settled()
        assert first.heard == ["job.created e.1", "job.queued e.2"]
        assert ahead.heard == ["job.queued e.2"]
        broadcast.leave(first)
        broadcast.leave(ahead)

    asyncio.run(told())


def test_telling_rests_while_the_loop_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    async def rest(length_s: float) -> None:
        rests.append(length_s)

    monkeypatch.setattr(share, "_rest", rest)
    turns = share.Share()

    async def work() -> None:
        for _ in range(3):
            async with turns:
                turns.add(0.01)

    asyncio.run(work())
    assert len(rests) == 2
    assert all(0.01 <= length_s < 1.0 for length_s in rests)


@pytest.mark.parametrize("size", [0, 5, 125, 126, 65_535, 65_536])
def test_a_frame_is_what_the_protocol_says(size: int) -> None:
    text = b"x" * size
    assert text_frame(text) == Frame(Opcode.TEXT, text).serialize(mask=False)
