"""What do a worker and its child processes say to each other? Length-prefixed msgpack messages over a socket pair.

A frame is four bytes of length (big endian) and one message. The worker side is asynchronous, the child side blocks.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import msgspec

from orpheus.protocol.worker import LogLine, ReportedArtifact, ReportedError

_LENGTH = struct.Struct(">I")


class Setup(msgspec.Struct, tag=True, kw_only=True):
    """First message to a child: what to load and how to reach files."""

    sys_path: list[str]
    imports: list[str]
    objects_root: str | None
    """None: files travel over HTTP."""
    server: str
    api_key: str | None
    cache_dir: str
    cache_bytes: int
    memory_bytes: int | None
    parent_pid: int


class Start(msgspec.Struct, tag=True, kw_only=True):
    """Make one attempt."""

    assignment: bytes
    """JSON of the `Assignment`, markers but `$file` resolved."""
    folder: str
    """The attempt's own folder on this machine."""
    devices: list[int]
    hidden: tuple[str, ...] = ()
    """Texts that neither logs nor errors may show: secrets, and sensitive arguments."""


class Stop(msgspec.Struct, tag=True):
    """The attempt is to stop; the worker has sent SIGTERM too."""


class Exit(msgspec.Struct, tag=True):
    """No more work: close resources and end."""


class Ready(msgspec.Struct, tag=True):
    """The child has loaded its modules, or says why it could not."""

    error: str = ""


class Progressed(msgspec.Struct, tag=True):
    fraction: float | None
    stage: str | None


class Beat(msgspec.Struct, tag=True):
    details: Any


class Spent(msgspec.Struct, tag=True):
    amount: float


class Logged(msgspec.Struct, tag=True):
    line: LogLine


class GroupStarted(msgspec.Struct, tag=True):
    """The handler started a subprocess in a process group of its own; it has to go when the attempt goes."""

    pgid: int


class GroupEnded(msgspec.Struct, tag=True):
    pgid: int


class Done(msgspec.Struct, tag=True, kw_only=True):
    """The attempt has ended. Exactly one of `result` (JSON), `waiting_s` and `error` is set, or `stopped`."""

    result: bytes | None = None
    waiting_s: float | None = None
    """The result comes by a callback, within so long."""
    error: ReportedError | None = None
    stopped: bool = False
    artifacts: list[ReportedArtifact] = []


ToChild = Setup | Start | Stop | Exit
FromChild = Ready | Progressed | Beat | Spent | Logged | GroupStarted | GroupEnded | Done

_encoder = msgspec.msgpack.Encoder()
_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
_from_child: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)


def encode_frame(message: ToChild | FromChild) -> bytes:
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


async def read_from_child(stream: asyncio.StreamReader) -> FromChild | None:
    """Return the next message, or None at the end of the stream (the child is gone)."""
    try:
        (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
        return _from_child.decode(await stream.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def read_from_parent(connection: socket.socket) -> ToChild | None:
    """Block for the next message; None when the worker is gone."""
    head = _read_exactly(connection, _LENGTH.size)
    if head is None:
        return None
    body = _read_exactly(connection, _LENGTH.unpack(head)[0])
    return None if body is None else _to_child.decode(body)


def _read_exactly(connection: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        try:
            part = connection.recv(min(count - len(parts), 1 << 20))
        except ConnectionError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)
