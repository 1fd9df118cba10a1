"""One request as a handler sees it (`Call`), and what a handler gives back (`Answer`, `Streamed`).

Thin on purpose: on the hot path a request is a dictionary of headers, one decode, one engine call, one encode.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import msgspec
from starlette.types import Message, Receive, Scope, Send

from orpheus.api.auth import Identity

if TYPE_CHECKING:
    from orpheus.api.services import Services

Headers = list[tuple[bytes, bytes]]
JSON = b"application/json"
_encode = msgspec.json.Encoder().encode


class ClientGone(Exception):
    """The client hung up; there is nobody to answer."""


class Call(msgspec.Struct):
    """One request. `query` and `body` are what the route declared, decoded."""

    services: Services
    scope: Scope
    receive: Receive
    headers: dict[bytes, bytes]
    """Names in lower case; of a repeated header the last."""
    identity: Identity
    correlation_id: str
    traceparent: str
    correlation_given: bool = False
    query: Any = None
    body: Any = None
    waits: bool = False
    """Its answer is held back on purpose, so how long it takes says nothing of the server."""

    @property
    def path(self) -> dict[str, str]:
        params: dict[str, str] = self.scope.get("path_params", {})
        return params

    @property
    def root_path(self) -> str:
        return str(self.scope.get("root_path", ""))

    def header(self, name: bytes) -> str | None:
        """Return a header as text; bytes beyond Latin-1 cannot come."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def wait_gone(self) -> None:
        """Return when the client has hung up. What is left of the body is read and dropped."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def when_gone(self, do: Callable[[], None]) -> Callable[[], None]:
        """Have `do` called when the client hangs up; return what ends the watching. The body has been read."""
        connection = self.scope.get("orpheus.connection")
        if connection is not None:  # ours (http1.py) tells without a task that waits for it
            return cast("Callable[[], None]", connection.when_gone(do))
        watching = asyncio.ensure_future(self.wait_gone())
        watching.add_done_callback(lambda ended: None if ended.cancelled() else do())

        def stop() -> None:
            watching.cancel()

        return stop


class Stamping:
    """`send` as the gate hands it on: it puts the gate's headers on the answer, and remembers the answer's status."""

    __slots__ = ("_call", "_send", "status")

    def __init__(self, send: Send, call: Call) -> None:
        self._send = send
        self._call = call
        self.status = 0
        """0 until the answer begins."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *stamp(self._call)]
        await self._send(message)

    def whole(self, answer: Answer) -> bool:
        """Send an answer by one call, where the server can (`http1.Exchange.send_whole`); tell whether it did."""
        send_whole = getattr(getattr(self._send, "__self__", None), "send_whole", None)
        if send_whole is None or answer.content_type != JSON:
            return False
        call, body = self._call, answer.body
        lines = (  # as `_headers` and `stamp` have them
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nx-correlation-id: {call.correlation_id}\r\n"
            f"traceparent: {call.traceparent}\r\nx-content-type-options: nosniff\r\n"
        )
        if not send_whole(answer.status, answer.headers, lines.encode(), body):
            return False
        self.status = answer.status
        return True


class Answer(msgspec.Struct):
    """A whole response in memory."""

    body: bytes = b""
    status: int = 200
    content_type: bytes | None = JSON
    headers: Headers = msgspec.field(default_factory=list)

    async def send(self, call: Call, send: Send) -> None:
        del call
        headers = _headers(self.headers, self.content_type, len(self.body))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


@dataclass(slots=True)
class Streamed:
    """A response in pieces. `length` in bytes where it is known. The iterator is closed however the response ends."""

    chunks: AsyncIterator[bytes]
    status: int = 200
    content_type: bytes = b"application/octet-stream"
    length: int | None = None
    headers: Headers = field(default_factory=list)

    async def send(self, call: Call, send: Send) -> None:
        start: Message = {
            "type": "http.response.start",
            "status": self.status,
            "headers": _headers(self.headers, self.content_type, self.length),
        }
        if call.scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        pump = asyncio.create_task(self._pump(start, send, call.services.options.send_timeout_s))
        gone = asyncio.create_task(call.wait_gone())
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            pump.cancel()
            results = await asyncio.gather(pump, gone, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    async def _pump(self, start: Message, send: Send, timeout_s: float) -> None:
        try:
            # The first piece is made before the status goes out, so that a missing object is still a proper error.
            first = await anext(self.chunks, b"")
            await send(start)
            async with asyncio.timeout(timeout_s):
                await send({"type": "http.response.body", "body": first, "more_body": True})
            async for chunk in self.chunks:
                async with asyncio.timeout(timeout_s):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            raise ClientGone from None
        finally:
            close = getattr(self.chunks, "aclose", None)
            if close is not None:
                with contextlib.suppress(RuntimeError):
                    await close()


def _headers(extra: Headers, content_type: bytes | None, length: int | None) -> Headers:
    headers = list(extra)
    if content_type is not None:
        headers.append((b"content-type", content_type))
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    return headers


def stamp(call: Call) -> Headers:
    """Return what stands on every answer. Call's names of the request were made here or are of a form that cannot do harm."""
    return [
        (b"x-correlation-id", call.correlation_id.encode()),
        (b"traceparent", call.traceparent.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]


def json_answer(value: Any, *, status: int = 200, headers: Headers | None = None) -> Answer:
    """Return `value` as JSON."""
    return Answer(_encode(value), status, JSON, headers or [])


NO_CONTENT = Answer(b"", 204, None)
