"""What the API shows of schedules: part of the reader (R27)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from orpheus.core.schedule import Firing, Schedule
from orpheus.store.queries import query
from orpheus.store.schedules import NEWEST, firing_from_row, schedule_from_row

T = TypeVar("T")


class ScheduleReads:
    """The reader's answers about schedules."""

    async def _run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read as of one instant, beside the writer."""
        raise NotImplementedError

    async def schedule(self, tenant: str, name: str) -> Schedule | None:
        def read(connection: sqlite3.Connection) -> Schedule | None:
            row = connection.execute(query("schedule"), (tenant, name)).fetchone()
            return None if row is None else schedule_from_row(row)

        return await self._run(read)

    async def schedules(self, *, tenant: str | None, after: tuple[str, str], limit: int) -> list[Schedule]:
        """Return a page in the order of tenant and name; `after` is the last one seen."""

        def read(connection: sqlite3.Connection) -> list[Schedule]:
            if tenant is None:
                found = connection.execute(query("schedules"), (*after, limit))
            else:
                found = connection.execute(query("schedules_of_tenant"), (tenant, after[1], limit))
            return [schedule_from_row(row) for row in found]

        return await self._run(read)

    async def firings(self, schedule_id: str, *, before: int | None, limit: int) -> list[tuple[int, Firing]]:
        """Return what became of a schedule's slots, the newest first, with their numbers."""

        def read(connection: sqlite3.Connection) -> list[tuple[int, Firing]]:
            place = NEWEST if before is None else before
            found = connection.execute(query("firings"), (schedule_id, place, limit))
            return [(row[0], firing_from_row(row)) for row in found]

        return await self._run(read)
