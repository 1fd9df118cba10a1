"""How does a job go? First out of sight, in one transaction; then its rows and files, piece by piece.

    remove_jobs     rows of `jobs` and what leads to them go; a row of `removals` says what is left to do
    unneeded_runs   asked, and their folders removed, before …
    forget_rows     … the rest of the rows, some at a time, so that nobody waits for a job of 10,000 items
    removal_done

A crash in between leaves the row of `removals`, and everything is done again from there. Foreign keys are not enforced
(database.py), so what belongs to a job is found by the schema: every table with a column `job_no`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orpheus.core.cache_key import owner_of
from orpheus.core.job import TERMINAL
from orpheus.store.unit import Unit

KEY_KEPT_S = 86_400.0
"""An idempotency key is honoured at least this long (R21)."""
TERMINAL_STATES = tuple(str(state) for state in TERMINAL)
_APART = ("jobs", "labels", "tasks")
"""Tables with a `job_no` that are not simply emptied: labels are found by what they say, tasks are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prunable:
    """Which ended jobs may go."""

    ended_before: float
    """Seconds since the epoch."""
    states: tuple[str, ...] = TERMINAL_STATES
    workflow: str | None = None
    tenant: str | None = None


class Candidate(NamedTuple):
    job_no: int
    job_id: str
    tenant: str
    workflow: str
    state: str
    created_at: float
    finished_at: float


class Removal(NamedTuple):
    removal_no: int
    kind: str
    tenant: str
    id: str
    number: int
    key: str


Place = tuple[float, int]
"""`(created_at, job_no)` of the last one seen."""
START: Place = (-1e300, 0)


def candidate_parameters(wanted: Prunable, state: str, after: Place, *, now: float, limit: int) -> tuple[object, ...]:
    """Return the parameters of `prunable_jobs`."""
    before = wanted.ended_before
    return (state, *after, before, before, now - KEY_KEPT_S, wanted.workflow or "*", wanted.tenant or "*", limit)


class Pruning:
    """Removes, within one transaction."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def remove_jobs(self, wanted: Prunable, chosen: Sequence[Candidate], *, now: float) -> tuple[list[str], int]:
        """Take jobs out of sight, those of `chosen` that may still go.

        Returns:
            Their ids, and the cursor of the newest event among theirs.
        """
        removed, floor = [], 0
        for one in chosen:
            place = (one.created_at, one.job_no - 1)
            parameters = candidate_parameters(wanted, one.state, place, now=now, limit=1)
            row = self._unit.execute("prunable_jobs", parameters).fetchone()
            if row is None or row[0] != one.job_no:
                continue
            floor = max(floor, self._remove_job(one))
            removed.append(one.job_id)
        if removed:
            self._unit.wrote = True
            self._unit.forget_jobs(removed)
            self._keep_numbers(floor)
        return removed, floor

    def _remove_job(self, one: Candidate) -> int:
        unit = self._unit
        entry = unit.job(one.job_id)
        assert entry is not None and entry.job_no == one.job_no, f"{one.job_id} was there a moment ago"
        job = entry.job
        for key, value in job.labels.items():
            unit.execute("delete_labels", (key, value, job.created_at, one.job_no))
        for name in ("forget_job", "forget_dependents", "forget_children"):
            unit.execute(name, (one.job_no,))
        unit.execute("move_job_count", (job.tenant, job.workflow, job.state.value, -1))
        unit.execute("forget_definition", (job.definition_id, job.workflow))
        unit.execute("put_removal", ("job", job.tenant, job.job_id, one.job_no, ""))
        row = unit.execute("latest_event_of_job", (one.job_no,)).fetchone()
        return 0 if row is None else int(row[0])

    def _keep_numbers(self, floor: int) -> None:
        """Have the numbers go on growing after a restart although their highest rows may be gone."""
        counters = self._unit.counters
        known = int(self._meta("stream_floor") or 0)
        for key, value in (
            ("stream_floor", max(known, floor)),
            ("last_cursor", counters.cursor),
            ("last_job_no", counters.job_no),
            ("last_log_no", counters.log_no),
        ):
            self._unit.execute("put_meta", (key, str(value)))

    def _meta(self, key: str) -> str | None:
        row = self._unit.execute("meta", (key,)).fetchone()
        return None if row is None else str(row[0])

    def removals(self, kind: str, limit: int) -> list[Removal]:
        return [Removal(*row) for row in self._unit.execute("removals", (kind, limit))]

    def unneeded_runs(self, job_no: int) -> list[str]:
        return [row[0] for row in self._unit.execute("unneeded_runs", (job_no,))]

    def forget_rows(self, job_no: int, limit: int) -> bool:
        """Delete up to `limit` rows of a removed job; return whether there may be more."""
        unit = self._unit
        unit.wrote = True
        gone = unit.execute("forget_tasks", (job_no, limit)).fetchall()
        counts: dict[tuple[str, str], int] = {}
        for queue, state, superseded in gone:
            if not superseded:
                counts[queue, state] = counts.get((queue, state), 0) - 1
        for place, by in counts.items():
            unit.execute("move_task_count", (*place, by))
        left = limit - len(gone)
        for table, key in _tables(unit):
            if left <= 0:
                return True
            found = f"SELECT {key} FROM {table} WHERE job_no = ? LIMIT ?"  # noqa: S608 (names of our schema)
            statement = f"DELETE FROM {table} WHERE ({key}) IN ({found})"  # noqa: S608
            unit.begin()
            left -= unit.connection.execute(statement, (job_no, left)).rowcount
        return left <= 0

    def removal_done(self, removal_no: int) -> None:
        self._unit.wrote = True
        self._unit.execute("removal_done", (removal_no,))

    def remove_files(self, files: Sequence[tuple[str, str, str]]) -> int:
        """Take uploads `(file_id, tenant, key)` out of sight, those that nothing needs."""
        count = 0
        for file_id, tenant, key in files:
            if self._unit.execute("forget_file", (file_id,)).rowcount:
                self._unit.execute("put_removal", ("file", tenant, file_id, 0, key))
                self._unit.wrote = True
                count += 1
        return count

    def is_there(self, key: str) -> bool:
        """Tell whether an object may be relied on from now on: its upload is not being removed, its run's job is there, or
        somebody keeps it. (Of an upload that came with this very request there is no row yet.)"""
        owner = owner_of(key)
        if owner is None:
            return False
        if "/.files/" in key:
            return self._unit.execute("file_is_removed", (owner,)).fetchone() is None
        return bool(self._unit.execute("object_is_there", (owner,)).fetchone()[0])


def _tables(unit: Unit) -> list[tuple[str, str]]:
    """Return the tables whose rows belong to jobs, each with what names a row of it."""
    found = unit.connection.execute(
        "SELECT m.name, m.sql FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c ON c.name = 'job_no' "
        "WHERE m.type = 'table' ORDER BY m.name"
    ).fetchall()
    return [
        (name, _primary_key(unit, name) if "WITHOUT ROWID" in sql else "rowid")
        for name, sql in found
        if name not in _APART
    ]


def _primary_key(unit: Unit, table: str) -> str:
    columns = unit.connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,))
    return ", ".join(f'"{row[0]}"' for row in columns)
