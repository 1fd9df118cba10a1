"""One WebSocket: what the client says, and what it is told.

The client says `{"subscribe": [topics], "after"?: cursor}`, `{"unsubscribe": [topics]}` or `{"ping": …}`. It is told:

    events, each with `cursor`                       as on every stream
    {"type": "subscribed", "topics", "cursor"}       from this cursor on nothing is missed
    {"type": "progress" | "log", "job_id", …}        unnumbered, for `job:<id>` topics
    {"type": "tick", "cursor"}                       nothing of yours happened up to here: come back with this cursor
    {"type": "reset", "cursor"}                      `after` is of no use any more: fetch anew what you show
    {"type": "pong", "ping"}, {"type": "error", "code", "message", "hint"}

Three kinds of tasks: one listens, one pumps events, one per watched job pumps live messages. All send through one lock
with a time limit: a reader that takes nothing is disconnected and comes back with its cursor (R2).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.types import Receive, Send

from orpheus.api import render
from orpheus.api.calls import Call
from orpheus.api.topics import Topics
from orpheus.core.errors import InvalidRequest, OrpheusError
from orpheus.engine.base import CursorReset, SlowReader

TICK_S = 15.0
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
    """Serves one accepted connection."""

    def __init__(self, call: Call, receive: Receive, send: Send) -> None:
        self._call = call
        self._services = call.services
        self._receive = receive
        self._send = send
        self._lock = asyncio.Lock()
        self._topics = Topics(call.identity.tenant)
        self._cursor = call.services.engine.cursor()
        self._restart = asyncio.Event()
        self._after: str | None = None
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._last_sent = time.monotonic()

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
            self._topics.remove(said.unsubscribe)
        if said.subscribe:
            self._topics.add(said.subscribe)
        if said.subscribe or said.unsubscribe:
            if said.after is not None:
                self._after = said.after
                self._restart.set()
            self._watch()
            shown = said.after if said.after is not None else self._cursor
            await self._say({"type": "subscribed", "topics": self._topics.names(), "cursor": shown})

    # Events ----------------------------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        while True:
            self._restart.clear()
            if self._after is not None:
                self._cursor, self._after = self._after, None
            try:
                await self._pump_after(self._cursor)
            except CursorReset:
                self._cursor = self._services.engine.cursor()
                await self._say({"type": "reset", "cursor": self._cursor})
            except SlowReader:
                raise _Closed(TRY_AGAIN, "too slow: come back with your cursor") from None

    async def _pump_after(self, after: str) -> None:
        source = self._services.engine.subscribe_pages(after=after)
        restart = asyncio.ensure_future(self._restart.wait())
        coming: asyncio.Future[Any] | None = None
        try:
            while True:
                coming = asyncio.ensure_future(_next(source))
                await asyncio.wait({coming, restart}, return_when=asyncio.FIRST_COMPLETED)
                if self._restart.is_set():
                    return
                page = coming.result()
                if page is _END:
                    raise _Closed(GOING_DOWN, "the server is going down")
                for event in page or (None,):
                    await self._tell(event)
                    if self._restart.is_set():
                        return
        finally:
            restart.cancel()
            if coming is not None and not coming.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            await _close(source)

    async def _tell(self, item: Any) -> None:
        if item is None:
            await self._say({"type": "tick", "cursor": self._cursor})
            return
        if self._topics.match(item):
            await self._say(render.published_event(item))
            self._cursor = item.cursor
            return
        self._cursor = item.cursor
        if time.monotonic() - self._last_sent > TICK_S:
            await self._say({"type": "tick", "cursor": self._cursor})

    # Progress and logs
    # -------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        wanted = list(self._topics.jobs)[:MOST_WATCHED]
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
        try:
            async with self._lock, asyncio.timeout(self._services.options.send_timeout_s):
                await self._send({"type": "websocket.send", "text": text})
        except TimeoutError:
            raise _Closed(TRY_AGAIN, "too slow: come back with your cursor") from None
        except (OSError, RuntimeError):
            raise _Closed(0) from None
        self._last_sent = time.monotonic()


_END: Any = object()


async def _next(source: AsyncIterator[Any]) -> Any:
    return await anext(source, _END)


async def _close(source: AsyncIterator[Any]) -> None:
    close = getattr(source, "aclose", None)
    if close is not None:
        with contextlib.suppress(RuntimeError):
            await close()
