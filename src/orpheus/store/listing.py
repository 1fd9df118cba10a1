"""Which jobs fit a filter? Newest first, page by page, each page at bounded cost.

A list walks one index in `(created_at, job_no)` order: that of a label, a state, a tenant, a workflow or of time, whichever holds
the fewest rows by the counters (`walks.py` tells how). A search that meets few rows is given up for this page after a while: the
page is then short, or empty, and its cursor goes on from there. A reader may skip ahead along the index: its entries are
counted without their rows.

The relatives of a job are walked by `job_no` alone, as the indexes of pairs have them: the same order, unless the clock was set
back. Nothing leaps there.

These statements are put together from parts, so they live here and in `walks.py`, not in `queries/`.
"""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from orpheus.core.errors import InvalidRequest
from orpheus.core.job import Job
from orpheus.store.queries import query
from orpheus.store.walks import BOTTOM, START, Condition, Line, Plan, Position, Walk, below, nth, page

NO_PARENT = "none"
"""Filters by the absence of a parent."""

_BY_TIME = ("jobs.created_at", "jobs.job_no")


class JobQuery(Protocol):
    """What `engine.base.JobFilter` holds; all conditions apply."""

    @property
    def states(self) -> tuple[str, ...]: ...
    @property
    def workflow(self) -> str | None: ...
    @property
    def tenant(self) -> str | None: ...
    @property
    def labels(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def q(self) -> str | None: ...
    @property
    def created_after(self) -> float | None: ...
    @property
    def created_before(self) -> float | None: ...
    @property
    def parent(self) -> str | None: ...
    @property
    def depends_on(self) -> str | None: ...
    @property
    def needed_by(self) -> str | None: ...
    @property
    def failure(self) -> str | None: ...


def list_jobs(
    connection: sqlite3.Connection, filters: JobQuery, *, limit: int, cursor: str | None, skip: int = 0
) -> tuple[list[Job], str | None]:
    """Return a page of jobs and the cursor of the next one, None at the end. With a cursor it may be short, or empty.

    The page begins `skip` jobs after the cursor.

    Times are a half-open window: `created_after` is in it, `created_before` is not. Text is found whatever its case (of
    ASCII letters).

    Raises:
        InvalidRequest: the cursor is not one of ours, or skipping would take a look at each row.
    """
    assert limit >= 1, "a page has room for a job"
    place = START if cursor is None else below(_position_of(cursor))
    plan = _plan(connection, filters)
    place = min(place, plan.top)
    if filters.created_after is not None and place[0] < filters.created_after:
        return [], None
    if skip:
        last = _skipped(connection, plan, place, skip)
        if last is None:
            return [], None
        place = below(last)
    found, end = page(connection, plan, place, limit)
    return [job for _, job in found], None if end is None else _cursor_of(end)


def states_of(connection: sqlite3.Connection, job_ids: Sequence[str], tenant: str | None) -> dict[str, str]:
    """Return the states of the jobs among these that exist (and are the tenant's): two columns, without their rows."""
    return dict(connection.execute(query("states_of_jobs"), (json.dumps(job_ids), tenant)).fetchall())


def _skipped(connection: sqlite3.Connection, plan: Plan, place: Position, count: int) -> Position | None:
    """Return the place of the `count`-th entry from `place` downwards, None when there are fewer.

    Raises:
        InvalidRequest: there are conditions that the walked index does not answer.
    """
    if plan.checks:
        raise InvalidRequest(
            "skip goes with one filter at most: a state or several, a tenant, a workflow, a label, a time",
            hint="leave skip out, and follow the cursors",
            details=[{"path": "/skip", "message": "goes with one filter at most", "in": "query"}],
        )
    return nth(connection, plan.walked, place, count)


def _plan(connection: sqlite3.Connection, filters: JobQuery) -> Plan:
    """Choose the index to walk, and what becomes of the other conditions."""
    since = BOTTOM if filters.created_after is None else filters.created_after
    asked = _asked(filters)
    labels = [_label(*label, since) for label in dict.fromkeys(filters.labels)]
    columns = {name: _column(name, values, since) for name, values in asked.items()}
    lines = [*labels, *columns.values()]
    checks = _text(filters)
    if filters.parent == NO_PARENT:
        checks.append(_ORPHANS)
    if filters.failure is not None:
        checks.append(Condition(_OF_GROUP, (filters.failure,)))
    kin = _kin(filters)
    if kin:
        walked, *others = [*kin, *lines]
        return Plan(walked, START, [], [*_window(filters), *(other.check for other in others), *checks])
    if labels:
        walked = labels[0]
    elif columns:
        walked = columns[_fewest(connection, asked)]
    else:
        walked = _every(since)
    top = START if filters.created_before is None else (filters.created_before, -1)
    checks = [*(line.check for line in lines if line is not walked), *checks]
    return Plan(walked, top, lines if len(lines) > 1 else [], checks)


def _asked(filters: JobQuery) -> dict[str, tuple[str, ...]]:
    """Return what the columns of `jobs` with an index may hold, by column."""
    asked = {
        "state": tuple(dict.fromkeys(filters.states)),
        "tenant": () if filters.tenant is None else (filters.tenant,),
        "workflow": () if filters.workflow is None else (filters.workflow,),
    }
    return {column: values for column, values in asked.items() if values}


def _fewest(connection: sqlite3.Connection, asked: Mapping[str, Collection[str]]) -> str:
    """Return the column that leaves the fewest rows, by the counters."""

    def count(column: str) -> int:
        return sum(connection.execute(query(f"count_of_{column}"), (value,)).fetchone()[0] for value in asked[column])

    return min(asked, key=count) if len(asked) > 1 else next(iter(asked))


# What indexes answer


def _every(since: float) -> Line:
    walk = Walk("jobs INDEXED BY jobs_by_time", _BY_TIME, Condition("1", ()), since=since)
    return Line((walk,), walk.fixed)


def _column(column: str, values: tuple[str, ...], since: float) -> Line:
    """Walk the jobs that have one of these values in a column."""
    source = f"jobs INDEXED BY jobs_by_{column}"
    walks = (Walk(source, _BY_TIME, Condition(f"jobs.{column} = ?", (value,)), since=since) for value in values)
    return Line(tuple(walks), Condition(f"+jobs.{column} IN ({', '.join('?' * len(values))})", values))


def _label(key: str, value: str, since: float) -> Line:
    walk = Walk(
        "labels",
        ("labels.created_at", "labels.job_no"),
        Condition("labels.key = ? AND labels.value = ?", (key, value)),
        join="CROSS JOIN jobs ON jobs.job_no = labels.job_no",
        since=since,
    )
    check = Condition(
        "EXISTS (SELECT 1 FROM labels AS other WHERE other.key = ? AND other.value = ? "
        "AND other.created_at = jobs.created_at AND other.job_no = jobs.job_no)",
        (key, value),
    )
    return Line((walk,), check)


def _kin(filters: JobQuery) -> list[Line]:
    """Return the lines of relatives: one for each job whose relatives are asked for."""
    found = []
    if filters.parent not in (None, NO_PARENT):
        found.append(_relatives(filters.parent, "children", "children_of_parent", shown="job_no", of="parent_no"))
    if filters.depends_on is not None:
        found.append(_relatives(filters.depends_on, "dependencies", None, shown="job_no", of="on_job_no"))
    if filters.needed_by is not None:
        found.append(
            _relatives(filters.needed_by, "dependencies", "dependencies_of_job", shown="on_job_no", of="job_no")
        )
    return found


def _relatives(job_id: str | None, table: str, index: str | None, *, shown: str, of: str) -> Line:
    """Walk the rows of a table of pairs that hold one job in the column `of`; the others stand in `shown`.

    Pairs have no times: they are walked by `job_no` alone.
    """
    number = "(SELECT job_no FROM jobs AS p WHERE p.job_id = ?)"
    walk = Walk(
        table if index is None else f"{table} INDEXED BY {index}",
        (f"{table}.{shown}",),
        Condition(f"{table}.{of} = {number}", (job_id,)),
        join=f"CROSS JOIN jobs ON jobs.job_no = {table}.{shown}",
    )
    exists = f"EXISTS (SELECT 1 FROM {table} AS pairs WHERE pairs.{shown} = jobs.job_no AND pairs.{of} = {number})"  # noqa: S608 (parts are ours)
    return Line((walk,), Condition(exists, (job_id,)))


# What is looked at in rows

_OF_GROUP = "EXISTS (SELECT 1 FROM failures WHERE failures.job_no = jobs.job_no AND failures.failure = ?)"
_ORPHANS = Condition("NOT EXISTS (SELECT 1 FROM children WHERE children.job_no = jobs.job_no)", ())


def _window(filters: JobQuery) -> list[Condition]:
    bounds = (("jobs.created_at >= ?", filters.created_after), ("jobs.created_at < ?", filters.created_before))
    return [Condition(sql, (at,)) for sql, at in bounds if at is not None]


def _text(filters: JobQuery) -> list[Condition]:
    if not filters.q:
        return []
    escaped = filters.q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    # With a bare parameter as its pattern, SQLite would prepare the statement anew for each block.
    like = r"LIKE ('%' || ? || '%') ESCAPE '\'"
    return [
        Condition(
            f"(jobs.job_id {like} OR jobs.workflow {like} OR jobs.labels {like} OR "  # noqa: S608 (parts are ours)
            f"EXISTS (SELECT 1 FROM job_params WHERE job_params.job_no = jobs.job_no AND params {like}))",
            (escaped,) * 4,
        )
    ]


def _cursor_of(position: Position) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def _position_of(cursor: str) -> Position:
    try:
        created_at, job_no = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(created_at, int | float) or not isinstance(job_no, int) or abs(job_no) > 1 << 62:
            raise ValueError(cursor)
        return (float(created_at), job_no)
    except (ValueError, TypeError, binascii.Error, RecursionError, OverflowError):
        raise InvalidRequest("the cursor is not one of this list", hint="leave it out to begin anew") from None
