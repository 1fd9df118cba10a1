"""The process that writes large transactions: what it does is in `writer.py`, which begins it. `python -m … DATABASE`"""

from __future__ import annotations

import os
import signal

if __name__ == "__main__":
    # Before the imports that take long. A service manager that stops the server signals all of its processes at once, and the server
    # still has something to write; this one ends with its pipe.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from orpheus.store import database, wide_inserts
from orpheus.store.library import count_no_memory
from orpheus.store.writer import DONE, READY, decoded, receive, send


def write(connection: sqlite3.Connection, statements: list[tuple[str, list[tuple[Any, ...]]]]) -> bytes:
    """Commit a transaction; return the answer: DONE, or why it is not there."""
    _begin(connection)
    try:
        for name, rows in statements:
            met = wide_inserts.write(connection, name, rows)
            if met != len(rows):
                raise sqlite3.DataError(f"{name}: {len(rows)} rows were decided on, {met} were as they had been read")
        connection.execute("COMMIT")
    except (sqlite3.Error, OverflowError) as error:  # the latter: an integer of more than 64 bits
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return f"{type(error).__name__}: {error}".encode()
    return DONE


def _begin(connection: sqlite3.Connection) -> None:
    """Begin a transaction, however long somebody else keeps the file locked: others were decided on this one."""
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            print(f"orpheus: the database is locked by another program: {error}", file=sys.stderr)
        else:
            return


def main(path: Path) -> None:
    """Write what comes through the pipe until it ends."""
    count_no_memory()
    connection = database.connect(path)
    # A server that was killed does not hear the last answer.
    with open(0, "rb", buffering=0) as orders, open(1, "wb", buffering=0) as answers, suppress(BrokenPipeError):
        send(answers, READY)
        while (content := receive(orders)) is not None:
            answer = write(connection, decoded(content))
            send(answers, answer)
            if answer != DONE:
                break  # what is in the pipe was decided on this one
    # Not by way of closing the connection: the last one to close brings the whole log into the database and removes the files beside
    # it. Who kills a server and then moves or removes its files would have them move under his hands.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
