"""Which jobs fit a filter? Newest first, page by page, each page at bounded cost.

A list walks one index in `(created_at, job_no)` order: that of a label, a state, a tenant, a workflow or of time, whichever holds
the fewest rows by the counters. The other conditions are checked on the rows it meets. A search that meets few rows is given
up for this page after `MAX_SCANNED` of them: the page is then short, or empty, and its cursor goes on from there. Several
states are several walks, merged. A reader may skip ahead along the index: its entries are counted without their rows.

These statements are put together from parts, so they live here and not in `queries/`.
"""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orpheus.core.errors import InvalidRequest
from orpheus.core.job import Job
from orpheus.store.queries import query
from orpheus.store.rows import JOB_COLUMNS, job_from_row

SCAN = 10_000
"""Rows between two looks at whether the page is full."""
MAX_SCANNED = 200_000
"""Rows looked at for one page: some 0.2 s of a reader's thread."""

NO_PARENT = "none"
"""Filters by the absence of a parent."""

Position = tuple[float, int]
"""`(created_at, job_no)`: a place in every list. Lists run from higher to lower."""
START: Position = (1e300, 1 << 62)


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


@dataclass(frozen=True, slots=True)
class Condition:
    """A piece of a WHERE clause over `jobs`, with its parameters."""

    sql: str
    parameters: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Walk:
    """One index to walk: `source` names tables and index, `position` its two columns, `fixed` what they stand behind."""

    source: str
    position: tuple[str, str]
    fixed: Condition
    join: str = ""


@dataclass(slots=True)
class Found:
    """Rows of one walk, newest first, and down to where the walk is complete (None: to its end)."""

    rows: list[tuple[Any, ...]]
    complete_to: Position | None


def list_jobs(
    connection: sqlite3.Connection, filters: JobQuery, *, limit: int, cursor: str | None, skip: int = 0
) -> tuple[list[Job], str | None]:
    """Return a page of jobs and the cursor of the next one, None at the end.

    The page begins `skip` jobs after the cursor.

    Times are a half-open window: `created_after` is in it, `created_before` is not. Text is found whatever its case (of
    ASCII letters).

    Raises:
        InvalidRequest: the cursor is not one of ours, or skipping would take a look at each row.
    """
    assert limit >= 1, "a page has room for a job"
    start = START if cursor is None else _position_of(cursor)
    if filters.created_before is not None:
        start = min(start, (filters.created_before, -1))
    walks, rest = _plan(connection, filters)
    if skip:
        place = _skipped(connection, walks, rest, start=start, created_after=filters.created_after, count=skip)
        if place is None:
            return [], None
        start = place
    founds = [
        _walk(connection, walk, rest, start=start, created_after=filters.created_after, limit=limit) for walk in walks
    ]
    complete_to = max((found.complete_to for found in founds if found.complete_to is not None), default=None)
    rows = sorted((row for found in founds for row in found.rows), key=_position, reverse=True)
    if complete_to is not None:
        rows = [row for row in rows if _position(row) >= complete_to]
    if len(rows) > limit:
        rows = rows[:limit]
        return [job_from_row(row) for row in rows], _cursor_of(_position(rows[-1]))
    return [job_from_row(row) for row in rows], None if complete_to is None else _cursor_of(complete_to)


def states_of(connection: sqlite3.Connection, job_ids: Sequence[str], tenant: str | None) -> dict[str, str]:
    """Return the states of the jobs among these that exist (and are the tenant's): two columns, without their rows."""
    return dict(connection.execute(query("states_of_jobs"), (json.dumps(job_ids), tenant)).fetchall())


def _skipped(
    connection: sqlite3.Connection,
    walks: list[Walk],
    rest: list[Condition],
    *,
    start: Position,
    created_after: float | None,
    count: int,
) -> Position | None:
    """Return the place of the `count`-th entry from `start` downwards, None when there are fewer.

    Raises:
        InvalidRequest: there are conditions that no index answers.
    """
    if rest:
        raise InvalidRequest(
            "skip goes with one filter at most: a state or several, a tenant, a workflow, a label, a time",
            hint="leave skip out, and follow the cursors",
            details=[{"path": "/skip", "message": "goes with one filter at most", "in": "query"}],
        )
    parts, parameters = [], ()
    for walk in walks:
        where, given = _where(_bounds(walk, start, created_after))
        parts.append(f"SELECT {', '.join(walk.position)} FROM {walk.source} WHERE {where}")  # noqa: S608 (parts are ours)
        parameters = (*parameters, *given)
    sql = f"{' UNION ALL '.join(parts)} ORDER BY 1 DESC, 2 DESC LIMIT 1 OFFSET ?"
    found: Position | None = connection.execute(sql, (*parameters, count - 1)).fetchone()
    return found


def _bounds(walk: Walk, start: Position, created_after: float | None) -> list[Condition]:
    """Return what of a walk's index lies between two times, or a place and a time."""
    at, number = walk.position
    bounds = [walk.fixed, Condition(f"({at}, {number}) < (?, ?)", start)]
    return bounds if created_after is None else [*bounds, Condition(f"{at} >= ?", (created_after,))]


def _plan(connection: sqlite3.Connection, filters: JobQuery) -> tuple[list[Walk], list[Condition]]:
    """Choose the index to walk, and the conditions left to check on each row."""
    kin = _kin(filters)
    if kin:
        (walk, _), *others = kin
        walks = [walk]
        rest = [*(condition for _, condition in others), *_states(filters), *_named(filters), *_labels(filters)]
        rest += _text(filters)
    else:
        walks, rest = _plan_of(connection, filters)
    if filters.parent == NO_PARENT:
        rest = [*rest, _ORPHANS]
    return walks, rest if filters.failure is None else [*rest, Condition(_OF_GROUP, (filters.failure,))]


def _plan_of(connection: sqlite3.Connection, filters: JobQuery) -> tuple[list[Walk], list[Condition]]:
    if filters.labels:
        (key, value), *others = dict.fromkeys(filters.labels)
        walk = Walk(
            "labels",
            ("labels.created_at", "labels.job_no"),
            Condition("labels.key = ? AND labels.value = ?", (key, value)),
            join="CROSS JOIN jobs ON jobs.job_no = labels.job_no",
        )
        return [walk], [*_states(filters), *_named(filters), *(_label(*other) for other in others), *_text(filters)]

    def count(name: str, value: str) -> int:
        found: int = connection.execute(query(name), (value,)).fetchone()[0]
        return found

    choices: list[tuple[int, str]] = []
    if filters.states:
        choices.append((sum(count("count_of_state", state) for state in dict.fromkeys(filters.states)), "state"))
    if filters.tenant is not None:
        choices.append((count("count_of_tenant", filters.tenant), "tenant"))
    if filters.workflow is not None:
        choices.append((count("count_of_workflow", filters.workflow), "workflow"))
    _rows, chosen = min(choices, default=(0, "time"))
    if chosen == "state":
        walks = [_index("state", state) for state in dict.fromkeys(filters.states)]
        return walks, [*_named(filters), *_text(filters)]
    if chosen == "time":
        walk = Walk("jobs INDEXED BY jobs_by_time", ("jobs.created_at", "jobs.job_no"), Condition("1", ()))
        return [walk], _text(filters)
    walks = [_index(chosen, filters.tenant if chosen == "tenant" else filters.workflow)]
    return walks, [*_states(filters), *_named(filters, without=chosen), *_text(filters)]


def _index(column: str, value: str | None) -> Walk:
    return Walk(
        f"jobs INDEXED BY jobs_by_{column}",
        ("jobs.created_at", "jobs.job_no"),
        Condition(f"jobs.{column} = ?", (value,)),
    )


def _states(filters: JobQuery) -> list[Condition]:
    if not filters.states:
        return []
    places = ", ".join("?" * len(filters.states))
    return [Condition(f"+jobs.state IN ({places})", filters.states)]


def _named(filters: JobQuery, *, without: str = "") -> list[Condition]:
    named = (("tenant", filters.tenant), ("workflow", filters.workflow))
    return [
        Condition(f"+jobs.{column} = ?", (value,)) for column, value in named if value is not None and column != without
    ]


def _kin(filters: JobQuery) -> list[tuple[Walk, Condition]]:
    """Return, for each job whose relatives are asked for, the walk over them and the same as a condition."""
    found = []
    if filters.parent not in (None, NO_PARENT):
        found.append(_relatives(filters.parent, "children", "children", shown="job_no", of="parent_no"))
    if filters.depends_on is not None:
        found.append(_relatives(filters.depends_on, "dependencies", "dependencies", shown="job_no", of="on_job_no"))
    if filters.needed_by is not None:
        source = "dependencies INDEXED BY dependencies_of_job"
        found.append(_relatives(filters.needed_by, source, "dependencies", shown="on_job_no", of="job_no"))
    return found


def _relatives(job_id: str | None, source: str, table: str, *, shown: str, of: str) -> tuple[Walk, Condition]:
    """Walk the rows of a table of pairs that hold one job in the column `of`; the others stand in `shown`."""
    number = "(SELECT job_no FROM jobs AS p WHERE p.job_id = ?)"
    walk = Walk(
        f"{source} CROSS JOIN jobs ON jobs.job_no = {table}.{shown}",
        ("jobs.created_at", "jobs.job_no"),
        Condition(f"{table}.{of} = {number}", (job_id,)),
    )
    exists = f"EXISTS (SELECT 1 FROM {table} AS pairs WHERE pairs.{shown} = jobs.job_no AND pairs.{of} = {number})"  # noqa: S608 (parts are ours)
    return walk, Condition(exists, (job_id,))


_OF_GROUP = "EXISTS (SELECT 1 FROM failures WHERE failures.job_no = jobs.job_no AND failures.failure = ?)"
_ORPHANS = Condition("NOT EXISTS (SELECT 1 FROM children WHERE children.job_no = jobs.job_no)", ())


def _labels(filters: JobQuery) -> list[Condition]:
    return [_label(*label) for label in dict.fromkeys(filters.labels)]


def _label(key: str, value: str) -> Condition:
    return Condition(
        "EXISTS (SELECT 1 FROM labels AS other WHERE other.key = ? AND other.value = ? "
        "AND other.created_at = jobs.created_at AND other.job_no = jobs.job_no)",
        (key, value),
    )


def _text(filters: JobQuery) -> list[Condition]:
    if not filters.q:
        return []
    escaped = filters.q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    pattern = f"%{escaped}%"
    return [
        Condition(
            "(jobs.job_id LIKE ? ESCAPE '\\' OR jobs.workflow LIKE ? ESCAPE '\\' OR jobs.labels LIKE ? ESCAPE '\\' OR "
            "EXISTS (SELECT 1 FROM job_params WHERE job_params.job_no = jobs.job_no AND params LIKE ? ESCAPE '\\'))",
            (pattern,) * 4,
        )
    ]


def _walk(
    connection: sqlite3.Connection,
    walk: Walk,
    rest: list[Condition],
    *,
    start: Position,
    created_after: float | None,
    limit: int,
) -> Found:
    """Walk an index from `start` downwards until the page is full, the index ends, or enough rows were looked at."""
    at, number = walk.position
    found: list[tuple[Any, ...]] = []
    scanned = 0
    while True:
        bounds = _bounds(walk, start, created_after)
        end: Position | None = None
        if rest:
            # Rows checked one by one: look no further than the next SCAN of them.
            where, parameters = _where(bounds)
            end = connection.execute(
                f"SELECT {at}, {number} FROM {walk.source} WHERE {where} "  # noqa: S608 (parts are ours)
                f"ORDER BY {at} DESC, {number} DESC LIMIT 1 OFFSET {SCAN - 1}",
                parameters,
            ).fetchone()
            if end is not None:
                bounds.append(Condition(f"({at}, {number}) >= (?, ?)", tuple(end)))
        where, parameters = _where([*bounds, *rest])
        found += connection.execute(
            f"SELECT jobs.job_no, {_COLUMNS} FROM {walk.source} {walk.join} WHERE {where} "  # noqa: S608
            f"ORDER BY {at} DESC, {number} DESC LIMIT ?",
            (*parameters, limit + 1 - len(found)),
        ).fetchall()
        if len(found) > limit:
            return Found(found, _position(found[-1]))
        if end is None:
            return Found(found, None)
        scanned += SCAN
        start = (end[0], end[1])
        if scanned >= MAX_SCANNED:
            return Found(found, start)


_COLUMNS = ", ".join(f"jobs.{column}" for column in JOB_COLUMNS.split(", "))


def _where(conditions: list[Condition]) -> tuple[str, tuple[Any, ...]]:
    return " AND ".join(one.sql for one in conditions), tuple(p for one in conditions for p in one.parameters)


def _position(row: tuple[Any, ...]) -> Position:
    return (row[7], row[0])


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
