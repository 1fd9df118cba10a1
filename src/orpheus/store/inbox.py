"""What waits for a person's decision? Jobs that nobody has approved, and approval nodes of jobs that run: part of the reader."""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Callable
from typing import TypeVar

import msgspec

from orpheus.core.errors import InvalidRequest
from orpheus.core.graph import Graph, NodeKind
from orpheus.core.job import Job
from orpheus.core.task import NODE, Task
from orpheus.store import rows
from orpheus.store.queries import query

T = TypeVar("T")
LOOKED_AT = 20_000
"""Jobs, and nodes with a time-out, that are looked at: some 20 ms of a reader's thread. Of more the rest appears as these are
decided."""

Place = tuple[float, str, str]
"""`(since, job_id, node)`: the order of the inbox. The node is empty where the whole job waits."""


class InboxReads:
    """The reader's answer about what waits for somebody."""

    async def _run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read as of one instant, beside the writer."""
        raise NotImplementedError

    def _graph(self, connection: sqlite3.Connection, definition_id: str) -> Graph | None:
        raise NotImplementedError

    async def inbox(
        self, *, tenant: str | None, limit: int, cursor: str | None
    ) -> tuple[list[tuple[Job, Task | None]], str | None]:
        """Return a page of what waits, the longest waiting first; the task is None where the whole job waits.

        Raises:
            InvalidRequest: the cursor is not one of this list.
        """
        after = None if cursor is None else _place_of(cursor)

        def read(connection: sqlite3.Connection) -> tuple[list[tuple[Job, Task | None]], str | None]:
            places = sorted(place for place in self._places(connection, tenant) if after is None or place > after)
            found = [_entry(connection, place) for place in places[:limit]]
            return found, _cursor_of(places[limit - 1]) if len(places) > limit else None

        return await self._run(read)

    def _places(self, connection: sqlite3.Connection, tenant: str | None) -> list[Place]:
        found: list[Place] = [
            (since, job_id, node)
            for since, job_id, node, _ in connection.execute(query("jobs_to_approve"), (tenant, LOOKED_AT))
        ]
        kinds: dict[tuple[str, str], bool] = {}
        for since, job_id, node, definition_id in connection.execute(query("nodes_that_wait"), (tenant, LOOKED_AT)):
            asked = kinds.get((definition_id, node))
            if asked is None:
                graph = self._graph(connection, definition_id)
                asked = graph is not None and node in graph.nodes and graph.nodes[node].kind is NodeKind.APPROVAL
                kinds[definition_id, node] = asked
            if asked:
                found.append((since, job_id, node))
        return found


def _entry(connection: sqlite3.Connection, place: Place) -> tuple[Job, Task | None]:
    _, job_id, node = place
    row = connection.execute(query("job_by_id"), (job_id,)).fetchone()
    if not node:
        return rows.job_from_row(row), None
    task = connection.execute(query("current_task"), (row[0], node, NODE)).fetchone()
    return rows.job_from_row(row), rows.task_from_row(job_id, task)


def _cursor_of(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _place_of(cursor: str) -> Place:
    try:
        place: Place = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=Place)
    except (ValueError, binascii.Error, RecursionError):
        raise InvalidRequest("the cursor is not one of this list", hint="leave it out to begin anew") from None
    return place
