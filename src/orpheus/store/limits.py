"""What limits keep in the file: tenants' settings, and the starts that rates still count (R25)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from orpheus.store import rows
from orpheus.store.queries import query
from orpheus.store.unit import Unit

MOST_LANES = 200
"""Lanes of a queue looked at for its oldest wait; with more (a key for each of thousands of jobs) it may be one of theirs."""


class LimitRecords:
    """Within one transaction."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def put_tenant(self, name: str, settings: Mapping[str, Any], now: float) -> None:
        """Set a tenant's weight and quotas, whole."""
        self._unit.insert("put_tenant", (name, rows.to_json(settings), now))

    def tenants(self) -> dict[str, dict[str, Any]]:
        """Return the settings of every tenant that has any."""
        return {row[0]: rows.read_mapping(row[1]) for row in self._unit.execute("all_tenants")}

    def open_jobs(self, tenant: str) -> int:
        """Return how many of a tenant's jobs have not ended."""
        return int(self._unit.execute("open_jobs_of_tenant", (tenant,)).fetchone()[0])

    def started(self, run_id: str, scope: str, *, at: float, over_at: float) -> None:
        """Remember a start that a rate counts until `over_at`."""
        self._unit.insert("insert_rate_start", (run_id, scope, at, over_at))

    def never_started(self, run_id: str) -> None:
        """Forget it: no worker ever had the run."""
        self._unit.wrote = True
        self._unit.execute("forget_rate_starts", (run_id,))

    def starts(self, now: float) -> list[tuple[str, str, float]]:
        """Return `(run_id, scope, at)` of those that still count, the oldest first."""
        return [(row[0], row[1], row[2]) for row in self._unit.execute("all_rate_starts", (now,))]

    def prune_starts(self, now: float) -> None:
        self._unit.wrote = True
        self._unit.execute("prune_rate_starts", (now,))


def oldest_ready_at(connection: sqlite3.Connection, queue: str) -> float | None:
    """Return since when the task that stands first in the queue is ready; steps over the index, lane by lane."""
    oldest: tuple[int, float] | None = None
    row = connection.execute(query("first_lane_of_queue"), (queue,)).fetchone()
    for _ in range(MOST_LANES):
        if row is None:
            break
        if oldest is None or row[4] < oldest[0]:
            oldest = (row[4], row[5])
        row = connection.execute(query("next_lane_of_queue"), (queue, *row[:3], row[3] or "")).fetchone()
    return None if oldest is None else oldest[1]


def list_tenants(connection: sqlite3.Connection) -> list[Mapping[str, Any]]:
    """Return every tenant with settings or jobs: its settings, `name`, and `jobs` by state."""
    jobs: dict[str, dict[str, int]] = {}
    for tenant, state, count in connection.execute(query("job_counts_by_tenant")):
        if count:
            jobs.setdefault(tenant, {})[state] = count
    settings = {row[0]: rows.read_mapping(row[1]) for row in connection.execute(query("all_tenants"))}
    names = sorted(jobs.keys() | settings.keys())
    return [{**settings.get(name, {}), "name": name, "jobs": jobs.get(name, {})} for name in names]
