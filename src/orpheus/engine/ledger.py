"""What is written now and then instead of each time? Small facts that nobody waits for, in one transaction every few seconds.

When keys were last used, for one. A crash loses the last few seconds of it, which harms nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from orpheus.engine.orders import Call
from orpheus.engine.work import Operation, Work

EVERY_S = 5.0


class Book(Protocol):
    """Something kept in memory whose news reach the rows now and then."""

    def news(self) -> Callable[[Work], None] | None:
        """Return what writes the news down (and, after the commit, knows that they are written); None when there are none."""


class Ledger:
    """Writes the news of all books together."""

    def __init__(self, *books: Book, queue: Callable[[Operation], None]) -> None:
        self._books = books
        self._queue = queue
        self._looked: float | None = None

    def tick(self, mono: float) -> None:
        if self._looked is not None and mono - self._looked < EVERY_S:
            return
        self._looked = mono
        self.write()

    def write(self) -> None:
        """Queue whatever is to be written, now."""
        writers = [writer for book in self._books if (writer := book.news()) is not None]
        if writers:
            self._queue(Call("ledger", partial(_write, writers)))


def _write(writers: list[Callable[[Work], None]], work: Work) -> None:
    for writer in writers:
        writer(work)
