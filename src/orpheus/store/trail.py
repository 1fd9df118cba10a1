"""Who did what, when? Two trails read as one, newest first: the `audit` table, and the orders among jobs' events.

Both are walked backwards by their numbers, a bounded stretch for each page: a filter that matches little gives short pages with a
cursor, not one long read. The two are merged by their instants.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import json
import sqlite3
from typing import Any, Protocol

from orpheus.core.errors import InvalidRequest
from orpheus.store import rows
from orpheus.store.queries import query, with_events

STRETCHES = (100_000, 25_000)
"""Orders and events looked at for one page; events are taken out of their groups for it."""


class AuditQuery(Protocol):
    """What `engine.audit.AuditFilter` holds."""

    @property
    def actor(self) -> str | None: ...
    @property
    def type(self) -> str | None: ...
    @property
    def tenant(self) -> str | None: ...
    @property
    def after(self) -> float | None: ...
    @property
    def before(self) -> float | None: ...


def read_trail(
    connection: sqlite3.Connection, filters: AuditQuery, *, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of records and the cursor of the next one, None at the end."""
    top = (_one(connection, "last_audit_no") + 1, _one(connection, "newest_cursor") + 1)
    before = top if cursor is None else _place(cursor)
    conditions = {
        "actor": filters.actor,
        "type": filters.type,
        "tenant": filters.tenant,
        "after_at": -1e300 if filters.after is None else filters.after,
        "before_at": 1e300 if filters.before is None else filters.before,
        "limit": limit,
    }
    found: list[list[tuple[int, dict[str, Any]]]] = []
    floors: list[int] = []
    trails = ((query("audit_page"), _order, before[0]), (with_events(query("audit_job_events")), _event, before[1]))
    for (read_by, read, start), stretch in zip(trails, STRETCHES, strict=True):
        floor = max(0, start - stretch)
        page = connection.execute(read_by, {**conditions, "before": start, "from": floor}).fetchall()
        found.append([(row[0], read(row)) for row in page])
        # With a full page the stretch below its last row has not been looked at.
        floors.append(page[-1][0] if len(page) == limit else floor)
    merged = list(
        heapq.merge(
            *([(place, trail, record) for place, record in page] for trail, page in enumerate(found)),
            key=lambda entry: -entry[2]["at"],
        )
    )
    ends = list(before)
    for place, trail, _record in merged[:limit]:
        ends[trail] = place
    for trail in (0, 1):
        if not any(entry[1] == trail for entry in merged[limit:]):
            ends[trail] = floors[trail]  # everything down to here was shown or did not match
    more = len(merged) > limit or any(end > 0 and _older(connection, trail, end) for trail, end in enumerate(ends))
    return [record for _, _, record in merged[:limit]], _cursor(ends) if more else None


def _older(connection: sqlite3.Connection, trail: int, end: int) -> bool:
    return _one(connection, ("first_audit_no", "oldest_cursor")[trail]) < end


def _one(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(query(name)).fetchone()[0])


def _order(row: rows.Row) -> dict[str, Any]:
    _no, at, kind, actor, subject, tenant, correlation_id, data = row
    return {
        "at": at,
        "type": kind,
        "actor": actor,
        "subject": subject,
        "tenant": tenant,
        "correlation_id": correlation_id,
        "data": rows.read_mapping(data),
    }


def _event(row: rows.Row) -> dict[str, Any]:
    _cursor, at, kind, actor, job_id, tenant, correlation_id, data, task, index, run_id, seq = row
    return {
        "at": at,
        "type": kind,
        "actor": actor,
        "subject": job_id,
        "tenant": tenant,
        "correlation_id": correlation_id,
        "data": rows.read_mapping(data),
        "job_id": job_id,
        "seq": seq,
        "task": task,
        "index": index,
        "run_id": run_id,
    }


def _cursor(ends: list[int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(ends).encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[int, int]:
    try:
        orders, events = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not all(isinstance(place, int) and 0 <= place < 1 << 62 for place in (orders, events)):
            raise ValueError(cursor)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise InvalidRequest("the cursor is not one of this list", hint="leave it out to begin anew") from None
    return orders, events
