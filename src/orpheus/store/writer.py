"""A process beside the server that writes its large transactions: SQLite's work for them needs no share of the server's core.

    server: decisions ─► rows of a transaction ──pipe──► writer: BEGIN, statements, COMMIT ──► "done" ─► effects, answers
            the next decisions …                         one transaction after the other, in the order of the pipe

SQLite needs a third of what a job costs, and the interpreter's lock is taken and given up at each row of a statement, so a
thread would stand in the loop's way. There is still one writer at a time: the server's own connection writes nothing between the
sending of a transaction and its answer (`Unit.begin`). Where files speak of readers beside "the writer", it is whichever of the two
writes at that moment.

The writer ends with its pipe, that is with the server, however that ends. Until it has ended it holds a lock (`flock` on a file
beside the database) which the next server waits for before it reads a row: nothing is written behind its back.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from orpheus.store.errors import CommitFailed, DataInUse, GuardFailed

log = logging.getLogger("orpheus.store")

Statement = tuple[str, Sequence[Sequence[Any]]]
"""The name of a statement and the parameters of each row; every row has to meet one row of the file."""

PIPE_BYTES = 1 << 20
"""Room in the pipe for some thousand rows, so that handing them over waits for nobody (where the system lets it be set)."""
WAIT_S = 10.0
"""How long the writer of an earlier server is waited for: it has a few COMMITs to make, and ends."""
_PAUSE_S = 0.01
_MODULE = "orpheus.store.writer_process"
_LENGTH = struct.Struct(">Q")
_encode = msgspec.msgpack.Encoder().encode
decoded = msgspec.msgpack.Decoder(list[tuple[str, list[tuple[Any, ...]]]]).decode
"""Returns the statements of a transaction again."""
READY, DONE = b"ready", b""


WRITE_APART_FROM = 40
"""Rows of jobs and tasks from which on a transaction is left to the process: the way there and back takes 0.1 to 0.2 ms."""


def wait_for_writer(path: Path) -> None:
    """Return when no process writes for a server that has ended: for who opens the file without a `Writer`.

    Raises:
        DataInUse: it is still alive after `WAIT_S`.
    """
    try:
        lock = os.open(_lock_of(path), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # there never was one
    try:
        _take(lock, path)
    finally:
        os.close(lock)


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + "-writer")


def _take(lock: int, path: Path) -> None:
    until = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise DataInUse(
                    f"the process that writes {path} for another server is still alive",
                    hint=f"end it with SIGKILL, nothing acknowledged is lost: it is one of `pgrep -f {_MODULE}`",
                ) from None
            time.sleep(_PAUSE_S)
        else:
            return


def encoded(statements: Sequence[Statement]) -> bytes:
    """Return a transaction as it goes through the pipe.

    Raises:
        GuardFailed: it holds what no column can hold.
    """
    try:
        return _encode(statements)
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        raise GuardFailed(f"{type(error).__name__}: {error}") from error


class Writer:
    """The server's side.

    Args:
        path: the database.
        least_rows: changed rows of jobs and tasks from which on a transaction is left to the process (`Unit.finish`).

    Raises:
        DataInUse: the writer of an earlier server is still alive after `WAIT_S`.
    """

    def __init__(self, path: Path, *, least_rows: int = WRITE_APART_FROM) -> None:
        self.least_rows = least_rows
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False
        self._fails = False
        """One could not be started, or ended before it began to write: the next would too."""
        self._lock = os.open(_lock_of(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _take(self._lock, path)
        except BaseException:
            os.close(self._lock)
            raise
        fcntl.flock(self._lock, fcntl.LOCK_UN)  # until there is a process to hold it

    @property
    def pid(self) -> int | None:
        """Its process, if it was begun."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Begin the process, which takes a third of a second; nobody waits for it. One that cannot be started is done without."""
        if self._process is None and not self._fails:
            try:
                _take(self._lock, self._path)
                self._process = subprocess.Popen(  # noqa: S603 (our own interpreter)
                    # -P: what lies in the folder that the server was started in is nobody's module.
                    [sys.executable, "-P", "-m", _MODULE, str(self._path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    bufsize=0,
                    pass_fds=(self._lock,),
                    start_new_session=True,  # signals of the terminal are for the server, which still has something to write
                )
            except (OSError, DataInUse) as error:
                self._fails = True
                log.warning("the process that writes large transactions could not be started: %s", error)
            else:
                _widen(self._process.stdin)

    def is_ready(self) -> bool:
        """Tell whether the process writes what it is sent."""
        if not self._is_ready and self._process is not None and self.has_answer():
            assert self._process.stdout is not None
            self._is_ready = receive(self._process.stdout) == READY
            if not self._is_ready:
                self._fails = True
                log.warning("the process that writes large transactions has ended before it began to")
                self._end()
        return self._is_ready

    def send(self, transaction: bytes) -> None:
        """Hand over what `encoded` has made; those before it need not have been answered.

        Raises:
            CommitFailed: the process is gone.
        """
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        try:
            send(self._process.stdin, transaction)
        except OSError as error:
            raise CommitFailed(f"the writer of {self._path} cannot be reached: {error}") from error

    @property
    def descriptor(self) -> int:
        """What can be read once there is an answer."""
        assert self._process is not None and self._process.stdout is not None
        return self._process.stdout.fileno()

    def has_answer(self) -> bool:
        """Tell whether `receive` would not have to wait."""
        return _readable(self.descriptor, 0)

    def has_ended(self) -> bool:
        """Tell whether the process is gone, while it has nothing to answer; then it is done without until the next `start`."""
        if not self.has_answer():
            return False
        log.warning("the process that writes large transactions has ended; this one writes them until there is another")
        self._end()
        return True

    def receive(self) -> None:
        """Wait for the answer to the oldest transaction that has none: it is on disk when this returns.

        Raises:
            CommitFailed: whether it is on disk is unknown, or it cannot be, and others were decided on it: the process must
                end (R3).
        """
        assert self._process is not None and self._process.stdout is not None
        answer = receive(self._process.stdout)
        if answer is None:
            raise CommitFailed(f"the writer of {self._path} ended without an answer")
        if answer != DONE:
            raise CommitFailed(answer.decode())

    def close(self) -> None:
        """End the process, when nothing is being written. Safe to call twice."""
        self._end()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _end(self) -> None:
        process, self._process = self._process, None
        self._is_ready = False
        if process is not None:
            with process:
                assert process.stdin is not None
                process.stdin.close()


def _widen(pipe: IO[bytes] | None) -> None:
    """Make room in the pipe, where the system has such a call and allows as much."""
    if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _readable(descriptor: int, wait_ms: int | None) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(wait_ms))


def send(pipe: IO[bytes], content: bytes) -> None:
    """Write a message."""
    left = memoryview(_LENGTH.pack(len(content)) + content)
    while left:
        left = left[pipe.write(left) :]


def receive(pipe: IO[bytes]) -> bytes | None:
    """Return the next message; None when the other side is gone, be it in the middle of one."""
    head = _read(pipe, _LENGTH.size)
    return None if head is None else _read(pipe, _LENGTH.unpack(head)[0])


def _read(pipe: IO[bytes], length: int) -> bytes | None:
    parts = []
    while length:
        part: bytes | None = pipe.read(length)
        if part is None:  # a loop that listens to it has made it one that does not block
            _readable(pipe.fileno(), None)
            continue
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
