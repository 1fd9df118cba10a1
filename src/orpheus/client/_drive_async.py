"""Carries out operations on an event loop: aiohttp, `asyncio.sleep`, tasks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from orpheus.client.address import CONNECT_TIMEOUT_S, Address
from orpheus.client.effects import Effect, Listen, Operation, Pause, Pull, Together
from orpheus.client.errors import ConnectionLost, error_from_reply
from orpheus.client.requests import CHUNK_BYTES, Reply, Request, Source

T = TypeVar("T")

_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class AsyncDriver:
    """Runs operations to their end in the calling task. The session is opened by the first request."""

    def __init__(self, address: Address, timeout_s: float, connections: int) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def run(self, operation: Operation[T]) -> T:
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
                outcome = await self._perform(effect)
            except Exception as error:  # the operation decides whether that is the end
                failure = error
            except BaseException:  # cancelled: let the operation clean up
                operation.close()
                raise

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Request():
                return await self._round_trip(effect)
            case Pause():
                return await asyncio.sleep(effect.seconds)
            case Together():
                return await self._together(effect)
            case Pull():
                return await self._pull(effect)
            case Listen():
                return await self._listen(effect)

    async def _round_trip(self, request: Request) -> Reply:
        async with self._open(request, self._timeout_s + request.extra_wait_s) as response:
            return Reply(response.status, _lowered(response), await response.read())

    async def _pull(self, effect: Pull) -> Reply:
        async with self._open(effect.request, self._timeout_s) as response:
            headers = _lowered(response)
            if response.status >= 400:
                return Reply(response.status, headers, await response.read())
            effect.begin(response.status)
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                effect.write(chunk)
            return Reply(response.status, headers)

    async def _listen(self, effect: Listen) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(effect.limit_s), self.stream(effect.request, effect.idle_s) as chunks:
                if effect.opened is not None and await self.run(effect.opened):
                    return
                async for chunk in chunks:
                    if effect.take(chunk):
                        return

    async def _together(self, effect: Together) -> list[Any]:
        results: dict[int, Any] = {}
        waiting: dict[asyncio.Task[Any], int] = {}
        operations = enumerate(effect.operations)
        exhausted = False
        try:
            while True:
                while not exhausted and len(waiting) < effect.limit:
                    number, operation = next(operations, (0, None))
                    if operation is None:
                        exhausted = True
                    else:
                        waiting[asyncio.create_task(self.run(operation))] = number
                if not waiting:
                    return [results[number] for number in sorted(results)]
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    results[waiting.pop(task)] = task.result()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def stream(self, request: Request, idle_s: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an endless answer and give its chunks.

        Raises:
            ConnectionLost: it broke, or was silent for `idle_s`.
            OrpheusHTTPError: the server refused.
        """
        async with self._open(request, idle_s) as response:
            if response.status >= 400:
                raise error_from_reply(response.status, _lowered(response), await response.read())
            yield response.content.iter_any()

    @contextlib.asynccontextmanager
    async def _open(self, request: Request, read_s: float) -> AsyncIterator[aiohttp.ClientResponse]:
        body = _aiter(request.body) if isinstance(request.body, Source) else request.body
        url = URL(self._address.url + request.path, encoded=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=read_s)
        with _translated(self._address.url):
            async with self._opened().request(
                request.method,
                url.update_query(request.query) if request.query else url,
                data=body,
                headers=dict(request.headers),
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                yield response

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._address.headers,
                connector=aiohttp.TCPConnector(limit=self._connections),
                read_bufsize=CHUNK_BYTES,
                trust_env=True,
            )
        return self._session


async def _aiter(source: Source) -> AsyncIterator[bytes]:
    """Read a file off the loop: a slow disk must not stop everything else."""
    chunks = source.chunks()
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk


def _lowered(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn what aiohttp and the socket raise into `ConnectionLost`."""
    try:
        yield
    except aiohttp.ClientError as error:
        cause = getattr(error, "os_error", None) or error
        text = "connection refused" if isinstance(cause, ConnectionRefusedError) else str(cause) or type(error).__name__
        raise ConnectionLost(f"cannot reach {url}: {text}", sent=not isinstance(error, _NEVER_SENT)) from error
