"""What every request passes: the outermost ASGI layer.

1. The correlation id and `traceparent` are taken, when they are well-formed, or made, and stand on every answer.
2. The Host must be one of ours (against DNS rebinding), and an Origin must be the server's own or an allowed one
(against
   foreign pages). The health checks are open: probes use addresses.
3. The identity is established (`auth.py`).
4. Whatever is raised becomes the error envelope; what is our fault is logged with the correlation id.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import re
import secrets
import time
from collections.abc import Awaitable, Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from orpheus.api.auth import identify
from orpheus.api.calls import Call, ClientGone, Headers, Stamping, stamp
from orpheus.api.errors import (
    Forbidden,
    MethodNotAllowed,
    NotFound,
    RangeNotSatisfiable,
    TooLarge,
    Unauthorized,
    envelope,
    internal_error,
)
from orpheus.api.options import LOCAL_HOSTS
from orpheus.api.route import Endpoint
from orpheus.api.services import Services
from orpheus.core.errors import OrpheusError, QuotaExceeded
from orpheus.core.suggest import did_you_mean
from orpheus.telemetry import Span, Tracing

log = logging.getLogger("orpheus.api")

_CORRELATION = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SAFE = ("GET", "HEAD")
_OPEN_PATHS = ("/healthz", "/readyz")
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_S = 2.0
_KNOWN_HOSTS_MAX = 100
"""Different ways of writing our names and ports; a caller may make up any number of them."""

# Names of requests guard nothing, so they need not cost a system call each.
_names = random.Random(secrets.randbits(256))  # noqa: S311
_NAME_BITS = 128 + 128 + 64
_NOT_ZERO = 1 | 1 << 64 | 1 << 192


def _let_go(scope: Scope) -> None:
    """The request is over: part it from its call, which knows it too. Else the two, and all that the body held, would be kept until the
    garbage collector comes, which it does rarely (engine/collector.py)."""
    scope.pop("orpheus.call", None)


def _new_names() -> tuple[str, str]:
    """Return a correlation id and a traceparent; none of their three numbers is zero."""
    digits = f"{_names.getrandbits(_NAME_BITS) | _NOT_ZERO:080x}"
    return digits[:32], f"00-{digits[32:64]}-{digits[64:]}-01"


class Gate:
    """Wraps the router of one app."""

    def __init__(self, app: ASGIApp, services: Services, paths: Mapping[str, object]) -> None:
        self._app = app
        self._services = services
        self._paths = paths
        options = services.options
        self._any_host = "*" in options.allowed_hosts
        self._hosts = frozenset(host.lower() for host in (*LOCAL_HOSTS, *options.allowed_hosts))
        self._known_hosts: set[bytes] = set()
        """Headers that were found to name this server."""
        self._origins = frozenset(origin.lower().rstrip("/") for origin in options.allowed_origins)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            return self._http(scope, receive, send)
        if scope["type"] == "websocket":
            return self._websocket(scope, receive, send)
        return self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        call = self._call(scope, receive)
        tracing = self._services.options.tracing
        span = None if tracing is None else _begin_span(tracing, scope, call)
        stamping = Stamping(send, call)
        try:
            self._check_sender(scope, call)
            await self._app(scope, receive, stamping)
        except ClientGone:
            stamping.status = stamping.status or 499
        except Exception as error:
            if stamping.status:
                if isinstance(error, Unauthorized):
                    return  # cut off in the middle: the key came to its end
                if not isinstance(error, OrpheusError):
                    log.exception("failed in the middle of an answer", extra=_where(scope, call))
                raise
            await self._answer_error(error, scope, call, stamping)
            error.__traceback__ = None  # a frame of it may know the error, by way of what it waited for
        finally:
            endpoint: Endpoint | None = scope.get("orpheus.endpoint")
            if span is not None:
                _end_span(span, scope, endpoint, stamping.status)
            self._services.metrics.answered(
                scope["method"] if endpoint else "-",
                endpoint.path if endpoint else "-",
                stamping.status,
                time.perf_counter() - began,
                timed=(endpoint is None or endpoint.timed) and not call.waits,
            )
            _let_go(scope)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._call(scope, receive)
        try:
            self._check_sender(scope, call)
            await self._app(scope, receive, send)
        except ClientGone:
            return
        except Unauthorized as error:
            if scope.get("orpheus.accepted"):
                await send({"type": "websocket.close", "code": 1008, "reason": error.message})
            else:
                await _refuse_socket(scope, send, error, call)
        except HTTPException:
            await _refuse_socket(scope, send, NotFound(f"there is no socket at {scope['path']}"), call)
        except OrpheusError as error:
            await _refuse_socket(scope, send, error, call)
        finally:
            _let_go(scope)

    def _call(self, scope: Scope, receive: Receive) -> Call:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        correlation_id, traceparent = _new_names()
        given = headers.get(b"x-correlation-id")
        taken = given is not None and _CORRELATION.fullmatch(given) is not None
        if given is not None and taken:
            correlation_id = given.decode()
        trace = headers.get(b"traceparent")
        if trace is not None and _TRACEPARENT.fullmatch(trace):
            traceparent = trace.decode()
        call = Call(
            services=self._services,
            scope=scope,
            receive=receive,
            headers=headers,
            identity=identify(self._services, scope, headers),
            correlation_id=correlation_id,
            traceparent=traceparent,
            correlation_given=taken,
        )
        scope["orpheus.call"] = call
        return call

    def _check_sender(self, scope: Scope, call: Call) -> None:
        said_host = call.headers.get(b"host", b"")
        origin = call.headers.get(b"origin")
        if said_host in self._known_hosts and origin is None and not call.identity.by_cookie:
            return  # as nearly all requests of programs
        host = said_host.decode("latin-1").lower()
        if not self._any_host and scope["path"] not in _OPEN_PATHS:
            name = host.rpartition(":")[0] if re.search(r":\d*$", host) else host
            if name not in self._hosts:
                raise Forbidden(
                    f"this server is not called {name[:80]!r}",
                    hint="add the name to the setting allowed_hosts if it should be",
                )
            if len(self._known_hosts) < _KNOWN_HOSTS_MAX:
                self._known_hosts.add(said_host)
        if origin is None and call.identity.by_cookie and scope.get("method") not in _SAFE:
            # SameSite=Strict keeps foreign pages from sending the cookie; this holds where a browser does not know it.
            raise Forbidden(
                "a change with a session's cookie has to say its Origin",
                hint="browsers do; programs send `Authorization: Bearer KEY`",
            )
        if origin is not None:
            said = origin.decode("latin-1").lower().rstrip("/")
            if said not in self._origins and said.partition("://")[2] != host:
                raise Forbidden(
                    f"pages of {said[:80]!r} may not call this server",
                    hint="add the origin to the setting allowed_origins if they should",
                )

    async def _answer_error(self, error: Exception, scope: Scope, call: Call, send: Send) -> None:
        headers: Headers = []
        if isinstance(error, HTTPException):
            error = self._of_router(error, scope)
        if isinstance(error, OrpheusError):
            status, body = error.status, envelope(error, call.correlation_id)
            if isinstance(error, MethodNotAllowed):
                headers.append((b"allow", error.allow.encode()))
            elif isinstance(error, RangeNotSatisfiable):
                headers.append((b"content-range", b"bytes */%d" % error.size_bytes))
            elif isinstance(error, QuotaExceeded):
                headers.append((b"retry-after", b"%d" % math.ceil(error.retry_after_s)))
            elif status == 401:
                headers.append((b"www-authenticate", b"Bearer"))
            elif status == 503:
                headers.append((b"retry-after", b"1"))
            if status >= 500:
                log.error("%s: %s", error.code, error.message, extra=_where(scope, call))
        else:
            log.error("unexpected error", exc_info=error, extra=_where(scope, call))
            status, body = 500, internal_error(call.correlation_id)
        closes = isinstance(error, TooLarge) or status == 413
        if closes:
            headers.append((b"connection", b"close"))
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if closes:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await _drain(call.receive)
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "http.response.body", "body": body})

    def _of_router(self, error: HTTPException, scope: Scope) -> OrpheusError:
        path = scope["path"]
        if error.status_code == 405:
            allow = (error.headers or {}).get("Allow", "")
            return MethodNotAllowed(f"{scope['method']} is not possible at {path[:200]}", allow=allow)
        return NotFound(
            f"there is nothing at {path[:200]}", hint=did_you_mean(path, self._paths, otherwise="see /docs")
        )


async def _drain(receive: Receive) -> None:
    """Read on for a moment and drop it: closing while the client still sends would make its system throw our answer
    away."""
    left = _DRAIN_BYTES
    try:
        async with asyncio.timeout(_DRAIN_S):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return


async def _refuse_socket(scope: Scope, send: Send, error: OrpheusError, call: Call) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": error.code})
        return
    body = envelope(error, call.correlation_id)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *stamp(call)]
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def _begin_span(tracing: Tracing, scope: Scope, call: Call) -> Span | None:
    """Begin the span of a request that changes something; a job it creates goes on from there."""
    if scope["method"] in ("GET", "HEAD", "OPTIONS") or "/worker/" in scope["path"]:
        return None
    taken = call.headers.get(b"traceparent") == call.traceparent.encode()
    given = call.traceparent if taken else None
    about = {"http.request.method": scope["method"], "orpheus.correlation_id": call.correlation_id}
    span = tracing.begin(f"{scope['method']}", "server", given, about)
    call.traceparent = span.traceparent
    return span


def _end_span(span: Span, scope: Scope, endpoint: Endpoint | None, status: int) -> None:
    if endpoint is not None:
        span.rename(f"{scope['method']} {endpoint.path}")
        span.note(http__route=endpoint.path)
    span.note(http__response__status_code=status)
    if status >= 500:
        span.fail(f"answered {status}")
    span.end()


def _where(scope: Scope, call: Call) -> dict[str, str]:
    return {
        "correlation_id": call.correlation_id,
        "method": scope.get("method", "WS"),
        "path": scope["path"],
    }
