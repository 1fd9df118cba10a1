"""Schedules and their firings as rows (R27)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from orpheus.core.schedule import Firing, Missed, Overlap, Schedule
from orpheus.store import rows
from orpheus.store.rows import Row
from orpheus.store.unit import Unit

KEPT = 200
"""Firings kept of each schedule."""
NEWEST = 1 << 62

_COLUMNS = (
    *("schedule_id", "tenant", "name", "paused", "seen_until", "next_run_at"),
    *("created_at", "created_by", "updated_at", "updated_by"),
)
_SPEC = tuple(field.name for field in fields(Schedule) if field.name not in _COLUMNS)


class Schedules:
    """The schedules within one transaction."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def get(self, tenant: str, name: str) -> Schedule | None:
        row = self._unit.execute("schedule", (tenant, name)).fetchone()
        return None if row is None else schedule_from_row(row)

    def by_id(self, schedule_id: str) -> Schedule | None:
        row = self._unit.execute("schedule_by_id", (schedule_id,)).fetchone()
        return None if row is None else schedule_from_row(row)

    def add(self, schedule: Schedule) -> None:
        """Write a new schedule; its tenant has none of that name."""
        self._write(
            "insert_schedule",
            (
                *(schedule.schedule_id, schedule.tenant, schedule.name, _spec(schedule), int(schedule.paused)),
                *(schedule.seen_until, schedule.next_run_at, schedule.created_at, schedule.created_by),
                *(schedule.updated_at, schedule.updated_by),
            ),
        )

    def change(self, schedule: Schedule) -> None:
        """Write what somebody has changed."""
        self._write(
            "update_schedule",
            (
                *(_spec(schedule), int(schedule.paused), schedule.seen_until, schedule.next_run_at),
                *(schedule.updated_at, schedule.updated_by, schedule.schedule_id),
            ),
        )

    def move(self, schedule_id: str, *, seen_until: float, next_run_at: float | None) -> None:
        """Write what time has changed."""
        self._write("move_schedule", (seen_until, next_run_at, schedule_id))

    def remove(self, tenant: str, name: str) -> bool:
        """Delete a schedule and its firings; tell whether there was one."""
        self._write("delete_firings", (tenant, name))  # the writer does not enforce foreign keys
        return self._write("delete_schedule", (tenant, name)) > 0

    def due(self, now: float, limit: int) -> list[str]:
        return [row[0] for row in self._unit.execute("due_schedules", (now, limit))]

    def next_due(self) -> float | None:
        """Return the earliest slot that any schedule waits for."""
        found: float | None = self._unit.execute("next_schedule").fetchone()[0]
        return found

    def fired(self, schedule_id: str, slot: float) -> bool:
        """Tell whether this slot was decided on before: time fires it once, whatever clocks do."""
        return self._unit.execute("fired_already", (schedule_id, slot)).fetchone() is not None

    def add_firing(self, schedule_id: str, firing: Firing) -> None:
        self._write(
            "insert_firing",
            (
                *(firing.scheduled_for, firing.at, firing.trigger, firing.outcome),
                *(firing.job_id, firing.reason, firing.actor, schedule_id),
            ),
        )

    def forget_firings(self, schedule_id: str) -> None:
        """Delete the oldest firings beyond those that are kept."""
        self._write("forget_firings", (schedule_id, schedule_id, KEPT))

    def open_jobs(self, schedule_id: str) -> list[str]:
        """Return the schedule's jobs that have not ended, oldest first."""
        return [row[0] for row in self._unit.execute("open_jobs_of_schedule", (schedule_id,))]

    def _write(self, name: str, parameters: Iterable[Any]) -> int:
        self._unit.wrote = True
        return self._unit.execute(name, tuple(parameters)).rowcount


def _spec(schedule: Schedule) -> str:
    return rows.to_json({name: getattr(schedule, name) for name in _SPEC})


def schedule_from_row(row: Row) -> Schedule:
    """Read a schedule from the columns of `schedules.sql: schedule`."""
    schedule_id, tenant, name, spec, paused, seen_until, next_run_at, created_at, created_by, updated_at, updated_by = (
        row
    )
    said: Mapping[str, Any] = rows.read_mapping(spec)
    return Schedule(
        schedule_id=schedule_id,
        tenant=tenant,
        name=name,
        paused=bool(paused),
        seen_until=seen_until,
        next_run_at=next_run_at,
        created_at=created_at,
        created_by=created_by,
        updated_at=updated_at,
        updated_by=updated_by,
        **{**said, "missed": Missed(said["missed"]), "overlap": Overlap(said["overlap"])},
    )


def firing_from_row(row: Row) -> Firing:
    """Read a firing from the columns of `schedules.sql: firings`."""
    _number, scheduled_for, at, trigger, outcome, job_id, reason, actor = row
    return Firing(
        scheduled_for=scheduled_for,
        at=at,
        trigger=trigger,
        outcome=outcome,
        job_id=job_id,
        reason=reason,
        actor=actor,
    )
