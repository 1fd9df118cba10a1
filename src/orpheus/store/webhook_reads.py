"""What the API shows of webhook deliveries, and what the sender takes: part of the reader (R28)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from orpheus.core.webhooks import Delivery
from orpheus.store.queries import query
from orpheus.store.webhooks import delivery_from_row

T = TypeVar("T")

_COLUMNS = (
    "delivery_no, delivery_id, destination, webhook_id, url, tenant, job_id, seq, type, at, about, state, attempts, "
    "tries, next_at, last_at, last_status, last_error"
)


class WebhookReads:
    """The reader's answers about deliveries."""

    async def _run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read as of one instant, beside the writer."""
        raise NotImplementedError

    async def deliveries(self, *, before: int | None, limit: int, **filters: str | None) -> list[Delivery]:
        """Return deliveries, the newest first; filters are `tenant`, `webhook_id`, `job_id` and `state`."""
        return await self._run(
            lambda connection: list_deliveries(connection, before=before, limit=limit, filters=filters)
        )

    async def delivery(self, delivery_id: str) -> Delivery | None:
        def read(connection: sqlite3.Connection) -> Delivery | None:
            row = connection.execute(query("delivery"), (delivery_id,)).fetchone()
            return None if row is None else delivery_from_row(row)

        return await self._run(read)

    async def due_deliveries(self, destination: str, now: float, limit: int) -> tuple[list[Delivery], float | None]:
        """Return what is due of a destination, and when its next delivery is due, whether taken or not."""
        return await self._run(
            lambda connection: (
                due_deliveries(connection, destination, now, limit),
                next_delivery(connection, destination),
            )
        )


def due_deliveries(connection: sqlite3.Connection, destination: str, now: float, limit: int) -> list[Delivery]:
    return [delivery_from_row(row) for row in connection.execute(query("due_deliveries"), (destination, now, limit))]


def next_delivery(connection: sqlite3.Connection, destination: str) -> float | None:
    found: float | None = connection.execute(query("next_delivery"), (destination,)).fetchone()[0]
    return found


_FILTERS = {"job_id": "job_id", "webhook_id": "destination", "tenant": "tenant", "state": "state"}
"""By what the filter is called, the narrowest first: the column."""


def list_deliveries(
    connection: sqlite3.Connection, *, before: int | None, limit: int, filters: Mapping[str, str | None]
) -> list[Delivery]:
    """Return deliveries, the newest first."""
    conditions: list[str] = []
    parameters: list[Any] = []
    for name, column in _FILTERS.items():
        if filters.get(name) is not None:
            # Only the first may choose the index: `+` keeps the planner from the others.
            conditions.append(f"{'+' if conditions else ''}{column} = ?")
            parameters.append(filters[name])
    if before is not None:
        conditions.append("delivery_no < ?")
        parameters.append(before)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = f"SELECT {_COLUMNS} FROM deliveries {where} ORDER BY delivery_no DESC LIMIT ?"  # noqa: S608 (columns of ours)
    return [delivery_from_row(row) for row in connection.execute(sql, (*parameters, limit))]
