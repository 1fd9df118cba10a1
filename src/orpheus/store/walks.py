"""How is a list of jobs walked? Down an index, a block of rows at a time, with leaps between.

The walk goes along one index. The other conditions are checked on the rows it meets, a block of them at a time. Before each
block the walk leaps: every index that answers one of the conditions tells by a seek where its next entry is, and above the
lowest of these nothing can fit. So a run of other jobs costs the same whatever its length. What no index answers, a text for one,
takes a look at each row: a page that is not full after `LOOK_S` is given up, and the next one goes on from there.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orpheus.core.job import Job
from orpheus.store.rows import JOB_COLUMNS, job_from_row

BLOCK = 512
"""Rows looked at between two leaps."""
ROUNDS = 8
"""Seeks of each index in one leap. Where they have not met by then, the next block is looked at all the same."""
LOOK_S = 0.03
"""A page that is not full by then is given up, after one block at least."""

Position = tuple[float, int]
"""`(created_at, job_no)`: a place in every list. Lists run from higher to lower."""
START: Position = (1e300, 1 << 62)
BOTTOM = -1e300

_COLUMNS = ", ".join(f"jobs.{column}" for column in ("job_no", *JOB_COLUMNS.split(", ")))


@dataclass(frozen=True, slots=True)
class Condition:
    """A piece of a WHERE clause over `jobs`, with its parameters."""

    sql: str
    parameters: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Walk:
    """A stretch of an index: `source` names table and index, `position` its columns in order, `fixed` what bounds the stretch."""

    source: str
    position: tuple[str, ...]
    fixed: Condition
    join: str = ""
    since: float = BOTTOM


@dataclass(frozen=True, slots=True)
class Line:
    """A condition that an index answers: the stretches that hold its jobs, walked as one, and the same as a check on a row."""

    walks: tuple[Walk, ...]
    check: Condition


@dataclass(frozen=True, slots=True)
class Plan:
    """The line to walk and where it begins, the lines that all have to pass where a job fits, and what is checked on rows."""

    walked: Line
    top: Position
    leaps: list[Line]
    checks: list[Condition]


def page(
    connection: sqlite3.Connection, plan: Plan, place: Position, limit: int
) -> tuple[list[tuple[Position, Job]], Position | None]:
    """Walk down from `place` until the page is full, the line ends, or the time is over.

    Returns:
        The jobs, each with its place, and the place below which the next page begins, None at the end.
    """
    until = time.monotonic() + LOOK_S
    found: list[tuple[Position, Job]] = []
    while True:
        if plan.leaps:
            landed = _leap(connection, plan.leaps, place)
            if landed is None:
                return found, None
            place = landed
        # Where nothing is checked, every row fits.
        end = nth(connection, plan.walked, place, BLOCK) if plan.checks else None
        found += _fitting(connection, plan, place, end, limit + 1 - len(found))
        if len(found) > limit:
            return found[:limit], found[limit - 1][0]
        if end is None or time.monotonic() >= until:
            return found, end
        place = below(end)


def _leap(connection: sqlite3.Connection, lines: list[Line], place: Position) -> Position | None:
    """Return a place at or below `place` such that between the two no job is on every line; None when none is below."""
    for _ in range(ROUNDS):
        seeks = [_select([(walk, piece) for walk in line.walks for piece in _pieces(walk, place)]) for line in lines]
        entries: list[Position] = connection.execute(
            " UNION ALL ".join(f"SELECT * FROM ({sql} LIMIT 1)" for sql, _ in seeks),  # noqa: S608 (parts are ours)
            [one for _, parameters in seeks for one in parameters],
        ).fetchall()
        if len(entries) < len(lines):
            return None
        place = min(entries)
        if place == max(entries):
            break
    return place


def nth(connection: sqlite3.Connection, line: Line, place: Position, count: int) -> Position | None:
    """Return the place of the `count`-th entry of a line from `place` downwards, None when there are fewer."""
    sql, parameters = _select([(walk, _stretch(walk, place)) for walk in line.walks])
    entry = connection.execute(f"{sql} LIMIT 1 OFFSET ?", (*parameters, count - 1)).fetchone()
    return None if entry is None else _place(entry)


def _fitting(
    connection: sqlite3.Connection, plan: Plan, place: Position, end: Position | None, most: int
) -> list[tuple[Position, Job]]:
    """Return the first jobs that fit from `place` down to `end`, both among them."""
    parts = [(walk, _stretch(walk, place, end)) for walk in plan.walked.walks]
    sql, parameters = _select(parts, columns=_COLUMNS, checks=plan.checks)
    width = len(plan.walked.walks[0].position)
    rows = connection.execute(f"{sql} LIMIT ?", (*parameters, most)).fetchall()
    return [(_place(row[:width]), job_from_row(row[width:])) for row in rows]


def _select(
    parts: Sequence[tuple[Walk, Condition]], *, columns: str = "", checks: Sequence[Condition] = ()
) -> tuple[str, list[Any]]:
    """Return a statement over parts of a line, and its parameters. It tells positions, downwards, and `columns` of their jobs."""
    selects: list[str] = []
    parameters: list[Any] = []
    for walk, bounds in parts:
        told = ", ".join((*walk.position, columns) if columns else walk.position)
        source = f"{walk.source} {walk.join}" if columns else walk.source
        conditions = (walk.fixed, bounds, *checks)
        selects.append(f"SELECT {told} FROM {source} WHERE {' AND '.join(one.sql for one in conditions)}")  # noqa: S608 (parts are ours)
        parameters += [value for one in conditions for value in one.parameters]
    order = ", ".join(f"{number} DESC" for number, _ in enumerate(parts[0][0].position, 1))
    return f"{' UNION ALL '.join(selects)} ORDER BY {order}", parameters


def _stretch(walk: Walk, place: Position, end: Position | None = None) -> Condition:
    """Return what lies from `place` down to `end`, or to the end of the walk. Each bound is one condition: of two, SQLite may seek
    by the wrong one."""
    *times, number = walk.position
    if not times:
        return Condition(f"{number} BETWEEN ? AND ?", (0 if end is None else end[1], place[1]))
    position = f"({times[0]}, {number})"
    if end is None:
        return Condition(f"{position} <= (?, ?) AND {times[0]} >= ?", (*place, walk.since))
    return Condition(f"{position} <= (?, ?) AND {position} >= (?, ?)", (*place, *end))


def _pieces(walk: Walk, place: Position) -> list[Condition]:
    """Return the same, to the end of the walk, in two pieces of which each is a seek to its first entry.

    SQLite seeks a pair by the time only: of a batch, whose jobs are all of one instant, it would pass each entry above `place`.
    """
    at, number = walk.position
    return [
        Condition(f"{at} = ? AND {number} <= ?", place),
        Condition(f"{at} < ? AND {at} >= ?", (place[0], walk.since)),
    ]


def _place(entry: Sequence[Any]) -> Position:
    """Return the place of an entry; where lists run by `job_no` alone, any time does."""
    created_at, job_no = (START[0], *entry)[-2:]
    return (created_at, job_no)


def below(place: Position) -> Position:
    return (place[0], place[1] - 1)
