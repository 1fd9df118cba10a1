"""The process beside the server, played in the simulation: it writes when it is asked for its answer, or not at all.

What the server decides meanwhile is decided ahead (ADR 0035). When the server ends, its writer may have come to any of what was
handed to it, in order.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from pathlib import Path
from random import Random

from orpheus.store import database
from orpheus.store.errors import CommitFailed
from orpheus.store.writer import DONE, Writer, decoded
from orpheus.store.writer_process import write


class LaterWriter(Writer):
    """Writes through a connection of its own."""

    def __init__(self, path: Path, *, least_rows: int) -> None:
        self.least_rows = least_rows
        self._path = path
        self._waiting: deque[bytes] = deque()
        self._connection: sqlite3.Connection | None = None
        self._over = False

    def is_ready(self) -> bool:
        if self._connection is None:
            self._connection = database.connect(self._path)
            self._connection.execute("PRAGMA synchronous = OFF")
        return True

    def send(self, transaction: bytes) -> None:
        self._waiting.append(transaction)

    def has_answer(self) -> bool:
        return bool(self._waiting)

    def receive(self) -> None:
        if self._over:
            raise CommitFailed("the writer has ended")
        self._write()

    def _write(self) -> None:
        assert self._connection is not None
        answer = write(self._connection, decoded(self._waiting.popleft()))
        if answer != DONE:
            self._over = True
            raise CommitFailed(answer.decode())

    def orphaned(self, rng: Random) -> None:
        """The server has ended: write some of what is in the pipe."""
        self._over = True
        for _ in range(rng.randint(0, len(self._waiting))):
            self._write()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
