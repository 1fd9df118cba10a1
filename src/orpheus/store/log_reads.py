"""What the API shows of attempts' logs: part of the reader."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from orpheus.core.log_lines import EVERY_LINE, LogFilter
from orpheus.store import rows
from orpheus.store.queries import query

T = TypeVar("T")

Line = tuple[int, Mapping[str, Any]]
"""Its number, and what it says."""


class LogReads:
    """The reader's answers about logs."""

    async def _run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read as of one instant, beside the writer."""
        raise NotImplementedError

    async def logs(self, job_id: str, *, after: int, limit: int, filters: LogFilter = EVERY_LINE) -> list[Line]:
        """Return `(number, line)`; the number of the last one is where the next page begins."""

        def read(connection: sqlite3.Connection) -> list[Line]:
            row = connection.execute(query("job_no"), (job_id,)).fetchone()
            return [] if row is None else read_logs(connection, row[0], after=after, limit=limit, filters=filters)

        return await self._run(read)


def read_logs(connection: sqlite3.Connection, job_no: int, *, after: int, limit: int, filters: LogFilter) -> list[Line]:
    """Read lines of one job. A filter looks at the job's lines one by one: there are at most some thousands an attempt."""
    conditions = ["job_no = ?", "log_no > ?"]
    parameters: list[Any] = [job_no, after]
    exact: list[tuple[str, Any]] = [("node", filters.node), ('"index"', filters.index), ("attempt", filters.attempt)]
    for column, value in exact:
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    if filters.levels:
        conditions.append(f"level IN ({', '.join('?' * len(filters.levels))})")
        parameters += filters.levels
    if filters.q:
        conditions.append("instr(lower(message), lower(?)) > 0")
        parameters.append(filters.q)
    sql = query("logs_of_job").replace("job_no = ? AND log_no > ?", " AND ".join(conditions))
    return [(row[0], _record(row)) for row in connection.execute(sql, (*parameters, limit))]


def _record(row: rows.Row) -> dict[str, Any]:
    names = ("at", "node", "index", "attempt", "run_id", "level", "stream", "message")
    return {**dict(zip(names, row[1:9], strict=True)), "fields": rows.read_mapping(row[9])}
