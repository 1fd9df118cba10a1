"""Live: `/ws` and `/stream` (design.md section 5, R2). Both send every later event once, in order, each with its
cursor."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeAlias

import msgspec
from starlette.types import Receive, Scope, Send

from orpheus.api import render
from orpheus.api.auth import authorise
from orpheus.api.calls import Call, Streamed
from orpheus.api.ending import ends_with_key
from orpheus.api.frames import writer_of
from orpheus.api.route import Media, Routes
from orpheus.api.socket import Socket
from orpheus.api.topics import Topics
from orpheus.core.errors import InvalidRequest
from orpheus.engine.base import CursorReset, PublishedEvent, SlowReader

routes = Routes("streams", "Everything live.")

Tell: TypeAlias = Callable[[str, Sequence[PublishedEvent]], bytes]
"""Makes the messages of a page of events, which is complete up to the cursor."""


class StreamQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    topic: list[str] = []
    """`jobs`, `jobs:created`, `jobs:completed` …, `job:<id>`; without any, `jobs`."""
    after: str | None = None
    """Cursor of the last event seen; the header `Last-Event-ID` goes before it."""
    ticket: str | None = None
    """Of `POST /ws-ticket`, for those who can send neither header nor cookie."""
    brief: bool = False
    """Be told only which events of which jobs: all that came together in one message `brief`, its data
    `[["job.completed", ["<id>", …]], …]` in their order, its id the cursor of the last."""


@routes.get(
    "/stream",
    role="read",
    query=StreamQuery,
    answers={
        200: Media("text/event-stream", "`id` is the cursor, `event` the type, `data` the event.", {"type": "string"})
    },
    errors=(InvalidRequest,),
    request_headers={"Last-Event-ID": "Cursor of the last event seen."},
    timed=False,
)
async def stream(call: Call) -> Streamed:
    """Follow events as server-sent events.

    `event: reset` means that the cursor is of no use any more: fetch anew what you show.
    """
    query: StreamQuery = call.query
    topics = Topics(call.identity.tenant)
    topics.add(query.topic or ["jobs"])
    after = call.header(b"last-event-id") or query.after
    return Streamed(
        _events(call, topics, after or call.services.engine.cursor(), _brief if query.brief else _whole),
        content_type=b"text/event-stream",
        headers=[(b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")],
    )


async def _events(call: Call, topics: Topics, after: str, tell: Tell) -> AsyncIterator[bytes]:
    services = call.services
    services.metrics.sockets.labels("sse").inc()
    try:
        yield b": welcome\nretry: 1000\n\n"
        while not services.stopping.is_set():
            try:
                async for chunk in _until_reset(call, topics, after, tell):
                    yield chunk
                return
            except CursorReset:
                after = services.engine.cursor()
                yield b"event: reset\nid: %b\ndata: {}\n\n" % after.encode()
            except SlowReader:
                return
    finally:
        services.metrics.sockets.labels("sse").dec()


async def _until_reset(call: Call, topics: Topics, after: str, tell: Tell) -> AsyncIterator[bytes]:
    services = call.services
    source = services.engine.subscribe_wanted(topics.wanted, after=after)
    try:
        while True:
            told = await services.unless_stopping(_next(source))
            if told is None or told is _END or services.stopping.is_set():
                return
            cursor, page = told
            if page:
                # One piece for all that came together: told one by one, each event cost two tasks, a timer and a write.
                yield tell(cursor, page)
            else:
                # A comment keeps proxies from hanging up; the id lets a reader that filters come back near the end.
                yield b": tick\nid: %b\n\n" % cursor.encode()
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            with contextlib.suppress(RuntimeError):
                await close()


def _whole(_cursor: str, page: Sequence[PublishedEvent]) -> bytes:
    return b"".join([_message(event) for event in page])


def _brief(cursor: str, page: Sequence[PublishedEvent]) -> bytes:
    """For those who follow thousands of jobs: making each message cost more than all else that is done for a reader."""
    told = [
        (type_, [event.job_id for event in together])
        for type_, together in itertools.groupby(page, key=lambda published: published.event.type)
    ]
    return b"id: %b\nevent: brief\ndata: %b\n\n" % (cursor.encode(), msgspec.json.encode(told))


def _message(published: PublishedEvent) -> bytes:
    cursor = published.cursor
    event = published.event
    data = msgspec.json.encode(render.event_info(event, published.job_id, published.correlation_id, cursor))
    return f"id: {cursor}\nevent: {event.type}\ndata: ".encode() + data + b"\n\n"


_END: Any = object()


async def _next(source: AsyncIterator[Any]) -> Any:
    return await anext(source, _END)


class WebSocket:
    """Serves `/ws`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call: Call = scope["orpheus.call"]
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        authorise(call.identity, "read")
        gauge = call.services.metrics.sockets.labels("ws")
        gauge.inc()
        try:
            await send({"type": "websocket.accept"})
            scope["orpheus.accepted"] = True
            with ends_with_key(call):
                await Socket(call, receive, send, writer_of(scope)).run()
        finally:
            gauge.dec()


__all__ = ["WebSocket", "routes"]
