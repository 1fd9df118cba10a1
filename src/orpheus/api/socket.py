"""One WebSocket: what the client says, and what it is told.

The client says `{"subscribe": [topics], "after"?: cursor}`, `{"unsubscribe": [topics]}` or `{"ping": …}`. It is told:

    events, each with `cursor`                       as on every stream
    {"type": "subscribed", "topics", "cursor"}       from this cursor on nothing is missed
    {"type": "progress" | "log", "job_id", …}        unnumbered, for `job:<id>` topics
    {"type": "tick", "cursor"}                       nothing of yours happened up to here: come back with this cursor
    {"type": "reset", "cursor"}                      `after` is of no use any more: fetch anew what you show
    {"type": "pong", "ping"}, {"type": "error", "code", "message", "hint"}

Three kinds of tasks: one listens, one brings events, one per watched job pumps live messages. Events are read by the socket itself
until it has caught up, and then told together with the other sockets (broadcast.py). All else is sent through one lock with a time
limit: a reader that takes nothing is disconnected and comes back with its cursor (R2).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from starlette.types import Receive, Send

from orpheus.api import render
from orpheus.api.broadcast import TICK_S
from orpheus.api.calls import Call
from orpheus.api.frames import FrameWriter
from orpheus.api.topics import Topics
from orpheus.core.errors import InvalidRequest, OrpheusError
from orpheus.engine.base import CursorReset, PublishedEvent, SlowReader

MOST_WATCHED = 100
"""Jobs whose progress and logs one socket may follow at a time."""
TRY_AGAIN, GOING_DOWN = 1013, 1012


class ClientSays(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    subscribe: list[str] = []
    unsubscribe: list[str] = []
    after: str | None = None
    ping: Any = msgspec.UNSET


class _Closed(Exception):
    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


_decoder = msgspec.json.Decoder(ClientSays)


class Socket:
    """Serves one accepted connection.

    Args:
        writer: the connection, if frames can be written straight to it; else events are sent one by one.
    """

    def __init__(self, call: Call, receive: Receive, send: Send, writer: FrameWriter | None) -> None:
        self._call = call
        self._services = call.services
        self._receive = receive
        self._send = send
        self._writer = writer
        self._broadcast = call.services.broadcast
        self._lock = asyncio.Lock()
        self.topics = Topics(call.identity.tenant)
        self._cursor = call.services.engine.cursor()
        self._place: int | None = None
        """Of the event that the cursor names, once one was read."""
        self._restart = asyncio.Event()
        self._after: str | None = None
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self.last_sent = time.monotonic()

    async def run(self) -> None:
        """Serve until the client goes, is too slow, or the server stops."""
        tasks = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._pump()),
            asyncio.create_task(self._services.stopping.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            code, reason = GOING_DOWN, "the server is going down"
            for task in done:
                fault = task.exception()
                if isinstance(fault, _Closed):
                    code, reason = fault.code, fault.reason
                elif fault is not None:
                    raise fault
            if code:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(1.0):
                        await self._send({"type": "websocket.close", "code": code, "reason": reason})
        finally:
            everything = [*tasks, *self._watchers.values()]
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                raise _Closed(0)
            raw = message.get("text") or message.get("bytes") or b""
            try:
                await self._hear(raw)
            except OrpheusError as error:
                await self._say({"type": "error", "code": error.code, "message": error.message, "hint": error.hint})

    async def _hear(self, raw: str | bytes) -> None:
        try:
            said = _decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise InvalidRequest(
                f"this is not understood: {error}", hint='say {"subscribe": ["jobs"], "after": cursor}'
            ) from None
        if said.ping is not msgspec.UNSET:
            await self._say({"type": "pong", "ping": said.ping})
        if said.unsubscribe:
            self.topics.remove(said.unsubscribe)
        if said.subscribe:
            self.topics.add(said.subscribe)
        if said.subscribe or said.unsubscribe:
            self._broadcast.topics_changed(self)
            shown = self._broadcast.cursor_of(self) or self._cursor
            if said.after is not None:
                self._after = shown = said.after
                self.read_alone(self._broadcast.leave(self))
            self._watch()
            await self._say({"type": "subscribed", "topics": self.topics.names(), "cursor": shown})

    # Events ----------------------------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        while True:
            self._restart.clear()
            if self._after is not None:
                self._told(self._after)
                self._after = None
            try:
                await self._catch_up()
            except CursorReset:
                self._told(self._services.engine.cursor())
                await self._say({"type": "reset", "cursor": self._cursor})
            except SlowReader:
                raise _Closed(TRY_AGAIN, "too slow: come back with your cursor") from None
            else:
                await self._follow()

    async def _catch_up(self) -> None:
        """Read until what is new may be told together with others, or the client wants to begin elsewhere."""
        if self._may_follow():
            return
        source = self._services.engine.subscribe_pages(after=self._cursor)
        restart = asyncio.ensure_future(self._restart.wait())
        coming: asyncio.Future[Any] | None = None
        try:
            while not self._may_follow():
                coming = asyncio.ensure_future(_next(source))
                await asyncio.wait({coming, restart}, return_when=asyncio.FIRST_COMPLETED)
                if self._restart.is_set():
                    return
                page = coming.result()
                if page is _END:
                    raise _Closed(GOING_DOWN, "the server is going down")
                await self._tell(page)
                if self._restart.is_set():
                    return
        finally:
            restart.cancel()
            if coming is not None and not coming.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            await _close(source)

    async def _tell(self, page: Sequence[PublishedEvent]) -> None:
        async with self._broadcast.share:
            wanted = [event for event in page if self.topics.match(event)]
            frames = [self._broadcast.frame(event) for event in wanted] if self._writer is not None else ()
            if page:  # before it is sent: topics that are added meanwhile begin after this page
                self._cursor, self._place = page[-1].cursor, page[-1].place
        if wanted and self._writer is not None:
            await self._write(self._writer, b"".join(frames))
        elif wanted:
            for event in wanted:
                await self._say(render.published_event(event))
        elif not page or time.monotonic() - self.last_sent > TICK_S:
            await self._say({"type": "tick", "cursor": self._cursor})

    # Told with others (broadcast.Follower)

    def _may_follow(self) -> bool:
        return self._writer is not None and self._broadcast.may_join(self._cursor, self._place)

    async def _follow(self) -> None:
        if self._restart.is_set():
            return
        self._broadcast.join(self, self._cursor, self._place)
        try:
            await self._restart.wait()
        finally:
            self._told(self._broadcast.leave(self))

    def take(self, frames: bytes) -> bool:
        return self._writer is not None and self._writer.write(frames)

    def read_alone(self, cursor: str | None) -> None:
        self._told(cursor)
        self._restart.set()

    def _told(self, cursor: str | None) -> None:
        if cursor is not None:
            self._cursor, self._place = cursor, None

    # Progress and logs
    # -------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        wanted = list(self.topics.jobs)[:MOST_WATCHED]
        for job_id in [each for each in self._watchers if each not in wanted]:
            self._watchers.pop(job_id).cancel()
        for job_id in wanted:
            if job_id not in self._watchers:
                self._watchers[job_id] = asyncio.create_task(self._pump_live(job_id))

    async def _pump_live(self, job_id: str) -> None:
        tenant = self._call.identity.tenant
        source = self._services.engine.subscribe_live(job_id=job_id)
        try:
            async for message in source:
                if tenant is None or message.tenant == tenant:
                    await self._say(render.live_message(message))
        finally:
            await _close(source)

    async def _say(self, message: Any) -> None:
        text = msgspec.json.encode(message).decode()
        async with self._sending():
            await self._send({"type": "websocket.send", "text": text})

    async def _write(self, writer: FrameWriter, frames: bytes) -> None:
        async with self._sending():
            while not writer.write(frames):
                if writer.gone:
                    raise _Closed(0)
                await writer.writable.wait()

    @contextlib.asynccontextmanager
    async def _sending(self) -> AsyncIterator[None]:
        """One at a time, and not for ever."""
        try:
            async with self._lock, asyncio.timeout(self._services.options.send_timeout_s):
                yield
        except TimeoutError:
            raise _Closed(TRY_AGAIN, "too slow: come back with your cursor") from None
        except (OSError, RuntimeError):
            raise _Closed(0) from None
        self.last_sent = time.monotonic()


_END: Any = object()


async def _next(source: AsyncIterator[Any]) -> Any:
    return await anext(source, _END)


async def _close(source: AsyncIterator[Any]) -> None:
    close = getattr(source, "aclose", None)
    if close is not None:
        with contextlib.suppress(RuntimeError):
            await close()
