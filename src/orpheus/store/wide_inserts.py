"""Rows that are written by the hundred go several to a statement.

Each time a statement runs it opens the table and all its indexes, ten for a job, and passes through the sqlite3 module, which lets go of
the interpreter's lock and takes it again. Thirty-two rows in one VALUES share that: replayed, a job's inserts cost 9 µs instead of 12,
with eight 11. An UPDATE would have to join its rows (`UPDATE … FROM`), which costs more than it saves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain

from orpheus.store.queries import query
from orpheus.store.rows import Row

WIDE = frozenset(
    ("insert_new_job", "insert_job", "insert_params", "insert_new_task", "insert_task", "insert_item", "insert_events")
)
"""What batches insert; each is a plain `INSERT … VALUES (…)`."""
WIDTHS = (32, 8)
"""Rows in a statement, the most first. What is left over goes one by one."""


def write(connection: sqlite3.Connection, name: str, rows: Sequence[Row]) -> int:
    """Run the statement of that name for each row, in their order; return how many rows of the file it met."""
    if name not in WIDE or len(rows) < WIDTHS[-1]:
        return connection.executemany(query(name), rows).rowcount
    met = done = 0
    for width in WIDTHS:
        statement = _of_width(name, width)
        while done + width <= len(rows):
            values = tuple(chain.from_iterable(rows[done : done + width]))
            met += connection.execute(statement, values).rowcount
            done += width
    if done < len(rows):
        met += connection.executemany(query(name), rows[done:]).rowcount
    return met


@cache
def _of_width(name: str, width: int) -> str:
    columns, values = query(name).split("VALUES")
    return f"{columns}VALUES {', '.join([values.strip()] * width)}"
