"""What does a client hear that does not speak HTTP? The envelope of every other error, not a line of plain text.

Such requests never reach the application: the parser refuses them (an unknown method, a URL beyond its limit, two
lengths for one body), so the answer is made where the connection is.

And how do answers go out? One that is whole as one piece (`Exchange.send_whole`), others message by message as uvicorn does it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from orpheus.api.calls import Headers
from orpheus.api.errors import MalformedBody, envelope
from orpheus.api.known_heads import MOST_BYTES, KnownHeads

MALFORMED = MalformedBody(
    "this is not an HTTP request that can be read",
    hint="look at the method, the length of the URL and the headers; one length for the body is enough",
)


TOGETHER_BYTES = 64 * 1024
"""Beyond so much nothing is held back: sending costs more than a system call then."""


_PLAIN_NAMES = re.compile(rb"[a-z-]*")
_UNSAFE_VALUES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class WritesTogether:
    """A transport that sends what is written in one step of the loop by one system call.

    uvicorn writes the head of an answer and its body one after the other, and each woke the other side: ten of the system
    calls of a job that is submitted, claimed, reported and waited for.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.is_closing = transport.is_closing
        """Asked after every answer."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > TOGETHER_BYTES:
            self.flush()

    def writelines(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.write(piece)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def write_now(self, data: bytes) -> None:
        """Send `data`, and before it what is held."""
        if self._held:
            self.flush()
        self._transport.write(data)

    def flush(self) -> None:
        """Send what is held, now."""
        held, self._held, self._held_bytes = self._held, [], 0
        if held:
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))


class Exchange(RequestResponseCycle):
    """A request and its answer. Both may be whole: then neither is told piece by piece, nor waited for.

    Those that uvicorn has read (`Http1.on_headers_complete`) are told as uvicorn does it.
    """

    transport: WritesTogether  # type: ignore[assignment]
    disconnected = False
    waiting_for_100_continue = False
    response_started = False
    response_complete = False
    chunked_encoding = None
    expected_content_length = 0
    more_body = False
    whole_body: bytes | None = None
    """Until it is told."""

    def __init__(self, connection: Http1, scope: Any, body: bytes) -> None:
        """Begin one whose request has come whole, with a head that keeps the connection."""
        self.scope = scope
        self.whole_body = body
        self.keep_alive = True
        self.transport = connection.transport  # type: ignore[assignment]
        self.flow = connection.flow
        self.logger = connection.logger
        self.access_logger = connection.access_logger
        self.access_log = connection.access_log
        self.default_headers = connection.server_state.default_headers
        self.on_response = connection.on_response_complete

    @cached_property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]
        """Made when first waited for: a request that came whole, and is answered whole, tells nobody of more."""
        return asyncio.Event()

    async def receive(self) -> Any:
        body = self.take_whole_body()
        if body is None:
            return await super().receive()
        return {"type": "http.request", "body": body, "more_body": False}

    def take_whole_body(self) -> bytes | None:
        """Return what `receive` would tell now, as the whole body; None where it would tell something else, or has told it."""
        body, self.whole_body = self.whole_body, None
        return None if self.disconnected or self.response_complete else body

    def send_whole(self, status: int, headers: Headers, lines: bytes, body: bytes) -> bool:
        """Send what `send` would send for these two messages, with a tenth of its work; tell whether that could be done.

        Nothing was done where more is to be looked at than goes on here: a client that is slow or gone, an answer without its body, the
        connection's end, or a header that `send` would refuse.

        Args:
            headers: what goes before `lines`.
            lines: headers as they travel, of which it is known that `send` would take them; among them the length of the body.
        """
        if (
            self.flow.write_paused
            or self.disconnected
            or self.response_started
            or not self.keep_alive
            or self.access_log
            or self.default_headers
            or len(body) > TOGETHER_BYTES
            or self.scope["method"] == "HEAD"
        ):
            return False
        if headers:
            names, values = zip(*headers, strict=True)
            if (
                b"connection" in names
                or _PLAIN_NAMES.fullmatch(b"".join(names)) is None
                or _UNSAFE_VALUES.search(b"".join(values)) is not None
            ):
                return False
            lines = b"".join([b"%b: %b\r\n" % header for header in headers]) + lines
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write_now(b"%b%b\r\n%b" % (STATUS_LINE[status], lines, body))
        if "message_event" in self.__dict__:
            self.message_event.set()
        self.on_response()
        return True


class Http1(HttpToolsProtocol):
    """uvicorn's protocol, with errors in the one shape there is, requests that are known at a glance, and answers sent whole."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", WritesTogether(transport, self.loop)))
        self._when_gone: dict[Callable[[], None], None] = {}
        self._known_heads = KnownHeads()
        self._is_between_requests = True
        """What comes next begins a request."""

    def data_received(self, data: bytes) -> None:
        """Take bytes: a request of a kind that was made before begins at once, the rest is for uvicorn to read."""
        if (
            not self._is_between_requests
            or len(data) > MOST_BYTES
            or (self.cycle is not None and not self.cycle.response_complete)
        ):
            super().data_received(data)
            return
        request = self._known_heads.read(data)
        if request is not None:
            self._unset_keepalive_if_required()
            self._begin(*request)
            return
        before = self.cycle
        super().data_received(data)
        if (
            self._is_between_requests
            and self.cycle is not before
            and self.cycle.keep_alive
            and not self.limit_concurrency
        ):
            self._known_heads.remember(data, cast("dict[str, Any]", self.scope))

    def _begin(self, scope: dict[str, Any], body: bytes) -> None:
        scope["state"] = self.app_state.copy()
        self.scope = scope  # type: ignore[assignment]
        self.cycle = Exchange(self, scope, body)
        self._start_asgi_task(self.cycle, self.app)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_between_requests = False
        self.scope["orpheus.connection"] = self  # type: ignore[typeddict-unknown-key]  # see Call.when_gone

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_between_requests = True

    def on_headers_complete(self) -> None:
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self.cycle.__class__ = Exchange  # uvicorn has no place to say so, and its own method is long

    def when_gone(self, do: Callable[[], None]) -> Callable[[], None]:
        """Have `do` called when the connection is lost; return what ends the watching."""
        self._when_gone[do] = None
        return lambda: self._when_gone.pop(do, None)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._known_heads.forget()
        if self.scope is not None:
            self.scope.pop("orpheus.connection", None)  # type: ignore[typeddict-item]  # or the two would hold each other
        for do in list(self._when_gone):
            do()

    def on_response_complete(self) -> None:
        """The answer is whole: it goes out before anything else is done, since somebody waits for it."""
        transport = cast("WritesTogether", self.transport)
        transport.flush()
        if self.pipeline or self.flow.read_paused or self.timeout_keep_alive_task is not None or transport.is_closing():
            super().on_response_complete()
            return
        # As uvicorn, where nothing else is left to do than to wait for the next request.
        self.server_state.total_requests += 1
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and hang up: where the next request begins is not known."""
        correlation_id = secrets.token_hex(16)
        body = envelope(MALFORMED, correlation_id)
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n"
            f"x-correlation-id: {correlation_id}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
