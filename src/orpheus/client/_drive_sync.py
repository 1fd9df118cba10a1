"""Carries out operations by blocking calls: connections of our own for small questions, urllib3 for files and streams (its
pools may be used from many threads), sleep, threads."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from orpheus.client._connections import Connections, NotSent
from orpheus.client.address import CONNECT_TIMEOUT_S, Address
from orpheus.client.effects import Effect, Listen, Operation, Pause, Pull, Together
from orpheus.client.errors import ConnectionLost, error_from_reply
from orpheus.client.requests import CHUNK_BYTES, Reply, Request, Source
from orpheus.protocol.http import BadAnswer, Endpoint

T = TypeVar("T")

_NEVER_SENT = (NewConnectionError, ConnectTimeoutError, NameResolutionError)


class SyncDriver:
    """Runs operations to their end in the calling thread."""

    def __init__(self, address: Address, timeout_s: float, connections: int) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._pool = urllib3.connection_from_url(
            address.url, maxsize=connections, block=False, retries=False, headers=address.headers
        )
        self._prefix = urllib3.util.parse_url(address.url).path or ""
        self._endpoint = Endpoint(address.url, address.headers)
        self._connections = Connections(self._endpoint, connect_s=CONNECT_TIMEOUT_S, kept=connections)

    def close(self) -> None:
        self._pool.close()
        self._connections.close()

    def run(self, operation: Operation[T]) -> T:
        """Perform effect after effect until the operation returns or raises."""
        outcome: Any = None
        failure: Exception | None = None
        while True:
            try:
                effect = operation.send(outcome) if failure is None else operation.throw(failure)
            except StopIteration as stop:
                done: T = stop.value
                return done
            outcome, failure = None, None
            try:
                outcome = self._perform(effect)
            except Exception as error:  # the operation decides whether that is the end
                failure = error

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Request():
                return self._round_trip(effect)
            case Pause():
                return time.sleep(effect.seconds)
            case Together():
                return self._together(effect)
            case Pull():
                return self._pull(effect)
            case Listen():
                return self._listen(effect)

    def _round_trip(self, request: Request) -> Reply:
        read_s = self._timeout_s + request.extra_wait_s
        if isinstance(request.body, Source):
            with self._open(request, read_s) as response:
                return Reply(response.status, _lowered(response), response.read())
        whole = self._endpoint.request(request.method, _target(request), request.headers, request.body)
        try:
            return self._connections.ask(whole, read_s, twice=request.repeatable)
        except (OSError, BadAnswer) as error:
            raise _lost(self._address.url, error) from error

    def _pull(self, effect: Pull) -> Reply:
        with self._open(effect.request, self._timeout_s) as response:
            headers = _lowered(response)
            if response.status >= 400:
                return Reply(response.status, headers, response.read())
            effect.begin(response.status)
            for chunk in response.stream(CHUNK_BYTES, decode_content=True):
                effect.write(chunk)
            return Reply(response.status, headers)

    def _listen(self, effect: Listen) -> None:
        deadline = None if effect.limit_s is None else time.monotonic() + effect.limit_s
        idle_s = effect.idle_s if effect.limit_s is None else min(effect.idle_s, effect.limit_s)
        with self.stream(effect.request, idle_s) as chunks:
            if effect.opened is not None and self.run(effect.opened):
                return
            try:
                for chunk in chunks:
                    if effect.take(chunk) or (deadline is not None and time.monotonic() >= deadline):
                        return
            except ConnectionLost:
                if deadline is None or time.monotonic() < deadline:
                    raise

    def _together(self, effect: Together) -> list[Any]:
        results: dict[int, Any] = {}
        waiting: dict[Future[Any], int] = {}
        operations = enumerate(effect.operations)
        with ThreadPoolExecutor(effect.limit, thread_name_prefix="orpheus-client") as threads:
            exhausted = False
            while True:
                while not exhausted and len(waiting) < effect.limit:
                    number, operation = next(operations, (0, None))
                    if operation is None:
                        exhausted = True
                    else:
                        waiting[threads.submit(self.run, operation)] = number
                if not waiting:
                    return [results[number] for number in sorted(results)]
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    results[waiting.pop(future)] = future.result()

    @contextlib.contextmanager
    def stream(self, request: Request, idle_s: float) -> Iterator[Iterator[bytes]]:
        """Open an endless answer and give its chunks.

        Raises:
            ConnectionLost: it broke, or was silent for `idle_s`.
            OrpheusHTTPError: the server refused.
        """
        with self._open(request, idle_s) as response:
            if response.status >= 400:
                raise error_from_reply(response.status, _lowered(response), response.read())
            yield _chunks(response)

    @contextlib.contextmanager
    def _open(self, request: Request, read_s: float) -> Iterator[urllib3.BaseHTTPResponse]:
        body = request.body.chunks() if isinstance(request.body, Source) else request.body
        with _translated(self._address.url):
            response = self._pool.urlopen(
                request.method,
                self._prefix + _target(request),
                body=body,
                headers={**self._address.headers, **request.headers},
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=read_s),
                redirect=False,
                preload_content=False,
                assert_same_host=False,
            )
            try:
                yield response
            finally:
                response.close()  # read to its end, the connection went back to the pool and stays open


def _target(request: Request) -> str:
    return f"{request.path}?{_query_text(request.query)}" if request.query else request.path


_query_text = lru_cache(256)(urlencode)
"""Most questions have the same query as one before: how long to wait, which page."""


def _lost(url: str, error: OSError | BadAnswer) -> ConnectionLost:
    cause = error.__cause__ if isinstance(error, NotSent) and error.__cause__ is not None else error
    text = _plain(cause)
    if isinstance(cause, TimeoutError):
        text = "no connection in time" if isinstance(error, NotSent) else "no answer in time"
    return ConnectionLost(f"cannot reach {url}: {text}", sent=not isinstance(error, NotSent))


def _chunks(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield what has come as soon as it has come; `stream()` would wait for a full chunk."""
    while True:
        chunk = response.read1(CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


def _lowered(response: urllib3.BaseHTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn what urllib3 and the socket raise into `ConnectionLost`."""
    try:
        yield
    except HTTPError as error:  # urllib3 wraps what the socket raises; other OSErrors are about files on this side
        cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        sent = not isinstance(cause, _NEVER_SENT)
        text = "no answer in time" if isinstance(cause, ReadTimeoutError) else _plain(cause)
        raise ConnectionLost(f"cannot reach {url}: {text}", sent=sent) from error


def _plain(error: BaseException) -> str:
    text = str(error)
    if "refused" in text:
        return "connection refused"
    return text.rsplit("): ", maxsplit=1)[-1] if "): " in text else text or type(error).__name__
