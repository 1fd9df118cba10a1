"""What may go, and what there is to go: part of the reader. Long looks, beside the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from orpheus.store.known_results import StaleResults
from orpheus.store.pruning import Candidate, Place, Prunable, candidate_parameters
from orpheus.store.queries import query
from orpheus.store.rows import Row

T = TypeVar("T")
GROUPED = 50_000
"""Failed jobs that are grouped at most, the newest: some 50 ms of a reader's thread."""
SAMPLES = 5


class FailureQuery(Protocol):
    """What `engine.upkeep_contract.FailureFilter` holds."""

    @property
    def workflow(self) -> str | None: ...
    @property
    def tenant(self) -> str | None: ...
    @property
    def code(self) -> str | None: ...
    @property
    def after(self) -> float | None: ...
    @property
    def before(self) -> float | None: ...


class UpkeepReads:
    """The reader's answers about what is kept."""

    async def _run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read as of one instant, beside the writer."""
        raise NotImplementedError

    async def prunable(self, wanted: Prunable, state: str, after: Place, *, now: float, limit: int) -> list[Candidate]:
        """Return ended jobs that may go, oldest first, from after a place on."""
        parameters = candidate_parameters(wanted, state, after, now=now, limit=limit)

        def read(connection: sqlite3.Connection) -> list[Candidate]:
            return [Candidate(*row) for row in connection.execute(query("prunable_jobs"), parameters)]

        return await self._run(read)

    async def unused_files(self, after: str, before: float, limit: int) -> list[tuple[str, str, str]]:
        """Return uploads `(file_id, tenant, key)` from before an instant that nothing needs."""

        def read(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
            return connection.execute(query("unused_files"), (after, before, limit)).fetchall()

        return await self._run(read)

    async def stale_results(self, chosen: StaleResults) -> tuple[int, int]:
        """Return how many known results are meant, and their bytes."""

        def read(connection: sqlite3.Connection) -> tuple[int, int]:
            count, size = connection.execute(query("count_stale_known_results"), chosen.bounds()).fetchone()
            return count, size

        return await self._run(read)

    async def known_results(self, *, tenant: str | None) -> list[Mapping[str, Any]]:
        """Return what the cache holds, by task and tenant."""
        names = ("task", "tenant", "results", "uses", "size_bytes", "oldest_at", "used_at")

        def read(connection: sqlite3.Connection) -> list[Mapping[str, Any]]:
            found = connection.execute(query("known_results_by_task"), (tenant or "*",))
            return [dict(zip(names, row, strict=True)) for row in found]

        return await self._run(read)

    async def failures(self, wanted: FailureQuery, *, limit: int) -> list[tuple[Row, list[str]]]:
        """Return groups of failed jobs, the largest first, each with its newest jobs."""
        after = -1e300 if wanted.after is None else wanted.after
        before = 1e300 if wanted.before is None else wanted.before
        names = (wanted.workflow or "*", wanted.tenant or "*", wanted.code or "*")

        def read(connection: sqlite3.Connection) -> list[tuple[Row, list[str]]]:
            groups = connection.execute(query("failure_groups"), (after, before, *names, GROUPED, limit)).fetchall()
            samples = query("failure_samples")
            return [
                (group, [row[0] for row in connection.execute(samples, (group[0], wanted.tenant or "*", SAMPLES))])
                for group in groups
            ]

        return await self._run(read)
