"""What runs together in one transaction, and what is still to be said of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from orpheus.core.errors import OrpheusError
from orpheus.engine.aftermath import Untold
from orpheus.engine.work import Operation, Reply, Work


class Entry(msgspec.Struct):
    operation: Operation
    reply: Reply | None
    queued_at: float

    def apart(self) -> list[Entry]:
        """Return what is to run by itself after a fault."""
        return [Entry(part, reply, self.queued_at) for part, reply in self.operation.apart()] or [self]


class Batch(msgspec.Struct):
    """What ran in one transaction and waits for its commit."""

    work: Work
    done: list[tuple[Entry, Any]] = []
    refused: list[tuple[Entry, OrpheusError]] = []
    """Those of `done` that were refused."""
    began: float = 0.0
    ran: float = 0.0
    alone: bool = False
    """Its operation met a fault among others, and runs again by itself."""
    number: int = 0
    """Of the transaction whose answer it waits for, when it was handed over (`Store.handed_over`)."""
    untold: Untold | None = None
    """What is left to tell, once the memory has followed."""
    sayings: list[Callable[[], None]] = []
    """What was to be said outside while it was on its way, and may rest on it."""

    @property
    def wrote(self) -> bool:
        """Tell whether the commit has to wait for the disk."""
        return self.work.tx.wrote

    @property
    def written_apart(self) -> bool:
        """Tell whether the commit is another process's work."""
        return self.work.tx.written_apart
