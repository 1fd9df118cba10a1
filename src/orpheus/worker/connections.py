"""How do the worker's requests reach the server? Connections that stay open, each with one request on its way.

A poll waits on one while its successor and the reports go over others, so their number is not limited; after a moment
there are two or three. Why this is not a general HTTP client: docs/adr/0021.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

from orpheus.protocol.http import AnswerReader, BadAnswer, Endpoint

CONNECT_TIMEOUT_S = 10.0
_NO_MORE_HEADERS: Mapping[str, str] = {}


class Connections:
    """Ask a server. Use on one loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()

    async def ask(self, target: str, body: bytes, timeout_s: float) -> tuple[int, bytes]:
        """POST `body`; return status and body of the answer. What is asked has to be safe to ask twice.

        Raises:
            OSError, BadAnswer: no answer, or a broken one; nobody knows whether the server acted. (A TimeoutError is an
                OSError.)
        """
        request = self._endpoint.request("POST", target, _NO_MORE_HEADERS, body)
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._exchange(connection, request, deadline)
            except (ConnectionError, BadAnswer):
                if connection.reader.has_begun:
                    raise
                # It has been idle, and the server closed it in this very moment: a fresh one will tell.
        return await self._exchange(await self._open(deadline), request, deadline)

    def close(self) -> None:
        for connection in list(self._all):
            connection.abort()

    async def _exchange(self, connection: _Connection, request: bytes, deadline: float) -> tuple[int, bytes]:
        try:
            answered = connection.send(request)
            # Not `asyncio.timeout`, which does as much again as everything else here.
            overdue = asyncio.get_running_loop().call_at(deadline, _time_out, answered)
            try:
                await answered
            finally:
                overdue.cancel()
        except BaseException:
            connection.abort()
            raise
        reader = connection.reader
        if reader.keeps_alive and connection.is_open:
            self._idle.append(connection)
        else:
            connection.abort()
        return reader.status, reader.body

    async def _open(self, deadline: float) -> _Connection:
        endpoint = self._endpoint
        loop = asyncio.get_running_loop()
        async with asyncio.timeout_at(min(loop.time() + CONNECT_TIMEOUT_S, deadline)):
            _, connection = await loop.create_connection(
                lambda: _Connection(self._lost), endpoint.host, endpoint.port, ssl=endpoint.tls
            )
        self._all.add(connection)
        return connection

    def _lost(self, connection: _Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


def _time_out(answered: asyncio.Future[None]) -> None:
    if not answered.done():
        answered.set_exception(TimeoutError())


class _Connection(asyncio.Protocol):
    """One connection. asyncio sets TCP_NODELAY by itself."""

    def __init__(self, lost: Callable[[_Connection], None]) -> None:
        self.reader = AnswerReader()
        self.is_open = False
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[None] | None = None

    def send(self, request: bytes) -> asyncio.Future[None]:
        """Send a request; what is returned is done once `reader` has the answer."""
        if self._transport is None or not self.is_open or self._transport.is_closing():
            raise ConnectionResetError("the server hung up")
        self.reader.begin()
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answered

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._answered is None or self._answered.done():
            self.abort()  # nothing was asked
            return
        try:
            if self.reader.feed(data):
                self._answered.set_result(None)
        except BadAnswer as bad:
            self._answered.set_exception(bad)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._lost(self)
        if self._answered is None or self._answered.done():
            return
        try:
            self.reader.end()
            self._answered.set_result(None)
        except BadAnswer as bad:
            self._answered.set_exception(error or bad)
