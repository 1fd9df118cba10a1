"""The process that writes large transactions: what it does is in `writer.py`, which begins it. `python -m … DATABASE`"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from orpheus.store import database
from orpheus.store.queries import query
from orpheus.store.writer import DONE, encode, guarded, receive, send

_statements = msgspec.msgpack.Decoder(list[tuple[str, list[list[Any]]]]).decode


def write(connection: sqlite3.Connection, statements: list[tuple[str, list[list[Any]]]]) -> bytes:
    """Commit a transaction; return the answer."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        for name, rows in statements:
            met = connection.executemany(query(name), rows).rowcount
            if met != len(rows):
                connection.execute("ROLLBACK")
                return encode(("guard", guarded(name, len(rows), met)))
    except sqlite3.Error as error:
        # As when the server writes itself: a statement that fails is undone, and the server looks for whose fault it was.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return encode(("guard", f"{type(error).__name__}: {error}"))
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        return encode(("commit", f"COMMIT failed: {error}"))
    return DONE


def main(path: Path) -> None:
    """Write what comes through the pipe until it ends."""
    connection = database.connect(path)
    # A server that was killed does not hear the last answer.
    with open(0, "rb", buffering=0) as orders, open(1, "wb", buffering=0) as answers, suppress(BrokenPipeError):
        while (content := receive(orders)) is not None:
            send(answers, write(connection, _statements(content)))
    connection.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
