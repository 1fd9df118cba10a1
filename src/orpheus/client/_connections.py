"""How do the blocking client's small questions reach the server? Connections that stay open, one request at a time on each.

May be used by threads. Why this is not urllib3, which carries files and streams: docs/adr/0021.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Mapping

from urllib3.util import wait_for_read

from orpheus.client.requests import Reply
from orpheus.protocol.http import READ_BYTES, AnswerReader, BadAnswer, Endpoint

_NOT_READ: Mapping[str, str] = {}


class NotSent(OSError):
    """There was no connection to send anything over; the cause says why."""


class Connections:
    """Ask a server.

    Args:
        connect_s: how long connecting may take.
        kept: how many connections stay open that nobody uses.
    """

    def __init__(self, endpoint: Endpoint, *, connect_s: float, kept: int) -> None:
        self._endpoint = endpoint
        self._connect_s = connect_s
        self._kept = kept
        self._idle: list[_Connection] = []

    def ask(self, request: bytes, read_s: float, *, twice: bool) -> Reply:
        """Send a whole request and return its answer; headers only of an error, as nobody looks at others.

        Args:
            read_s: how long the server may be silent.
            twice: whether asking a second time does no harm, when a connection that had been idle turns out closed.

        Raises:
            NotSent: it never left.
            OSError, BadAnswer: no answer, or a broken one.
        """
        while (idle := self._take()) is not None:
            try:
                return self._exchange(idle, request, read_s)
            except (ConnectionError, BadAnswer):
                if not twice or idle.reader.has_begun:
                    raise
        return self._exchange(self._open(), request, read_s)

    def close(self) -> None:
        """Close those that nobody uses; the others close when they come back."""
        self._kept = 0
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> _Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:  # taken by another thread, or none was there
                return None
            if not connection.is_stale():
                return connection
            connection.close()

    def _exchange(self, connection: _Connection, request: bytes, read_s: float) -> Reply:
        try:
            connection.exchange(request, read_s)
        except BaseException:
            connection.close()
            raise
        reader = connection.reader
        reply = Reply(reader.status, reader.headers if reader.status >= 400 else _NOT_READ, reader.body)
        if reader.keeps_alive and len(self._idle) < self._kept:
            reader.begin()  # before another thread may take it
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    def _open(self) -> _Connection:
        endpoint = self._endpoint
        try:
            opened = socket.create_connection((endpoint.host, endpoint.port), timeout=self._connect_s)
        except OSError as error:
            raise NotSent(str(error)) from error
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.tls is not None:
                opened = endpoint.tls.wrap_socket(opened, server_hostname=endpoint.host)
        except OSError as error:
            opened.close()
            raise NotSent(str(error)) from error
        return _Connection(opened)


class _Connection:
    def __init__(self, opened: socket.socket) -> None:
        self.reader = AnswerReader()
        self._socket = opened
        self._read_s: float | None = None
        self.is_stale = _watch(opened)
        """Tells whether the server has hung up, or says what nobody asked for."""

    def exchange(self, request: bytes, read_s: float) -> None:
        """Send a request and read until `reader` has the answer."""
        if read_s != self._read_s:
            self._socket.settimeout(read_s)
            self._read_s = read_s
        self._socket.sendall(request)
        while True:
            data = self._socket.recv(READ_BYTES)
            if not data:
                self.reader.end()
                return
            if self.reader.feed(data):
                return

    def close(self) -> None:
        self._socket.close()


def _watch(opened: socket.socket) -> Callable[[], bool]:
    """Return a function that tells whether there is something to read, at once."""
    if not hasattr(select, "poll"):
        return lambda: wait_for_read(opened, timeout=0.0)
    poll = select.poll()  # kept: to make one costs more than to ask it
    poll.register(opened, select.POLLIN)
    return lambda: bool(poll.poll(0))
