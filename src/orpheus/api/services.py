"""What every handler may use: made once per app, handed to each call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from orpheus.api.broadcast import Broadcast
from orpheus.api.catalog import Catalog
from orpheus.api.metrics import Metrics
from orpheus.api.options import ApiOptions
from orpheus.api.probe import Probe
from orpheus.api.tickets import Tickets
from orpheus.artifacts.store import ObjectStore
from orpheus.engine.base import Engine

T = TypeVar("T")


@dataclass(slots=True)
class Services:
    engine: Engine
    objects: ObjectStore
    options: ApiOptions
    catalog: Catalog
    metrics: Metrics
    tickets: Tickets = field(default_factory=Tickets)
    probe: Probe = field(default_factory=Probe)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server goes down: whoever waits answers with what there is."""
    waits: set[asyncio.Future[Any]] = field(default_factory=set)
    """What is let go then, see `unless_stopping`."""
    broadcast: Broadcast = field(init=False)
    """Tells WebSockets."""

    def __post_init__(self) -> None:
        self.broadcast = Broadcast(lambda: self.engine)

    def now(self) -> float:
        """Return the time of day, seconds since the epoch: the API's only clock."""
        return time.time()

    async def unless_stopping(self, waiting: Awaitable[T]) -> T | None:
        """Wait for something, but return None when the server goes down first. What was waited for is cancelled."""
        task = asyncio.ensure_future(waiting)
        self.waits.add(task)
        if self.stopping.is_set():
            task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            if self.stopping.is_set() and task.cancelled():
                return None
            raise
        finally:
            self.waits.discard(task)

    def stop(self) -> None:
        """Let go whoever waits: the server goes down."""
        self.stopping.set()
        for task in list(self.waits):
            task.cancel()
