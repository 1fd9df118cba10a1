"""The result cache in rows, and what keeps its objects (R23).

An object lives under the id of what made it: a run, an upload, a job. Whoever needs one that is not its own (a known
result, a job that got it by a file param or from the cache) has a row that says so, and pruning asks for these rows first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from orpheus.core.cache_key import owner_of, stored_parts
from orpheus.core.decision import KnownResult
from orpheus.core.facts import ArtifactRef
from orpheus.store import rows
from orpheus.store.cache import JobEntry
from orpheus.store.unit import Unit

_artifacts = msgspec.json.Decoder(list[ArtifactRef]).decode


@dataclass(frozen=True, slots=True)
class FoundResult:
    """What the cache has for a key."""

    job_id: str
    run_id: str
    result: Any
    artifacts: tuple[ArtifactRef, ...]
    created_at: float

    def parts(self) -> list[tuple[str, str, int]]:
        """Return `(key, sha256, size_bytes)` of every object it refers to."""
        return [*((ref.key, ref.sha256, ref.size_bytes) for ref in self.artifacts), *stored_parts(self.result)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleResults:
    """Entries of the cache that are to go."""

    before: float
    """Not used since; seconds since the epoch."""
    tenant: str | None = None
    task: str | None = None
    """`name` or `name@version`."""

    def bounds(self) -> tuple[float, str, str]:
        """Return the parameters of the queries."""
        task = "*" if self.task is None else self.task if "@" in self.task else f"{self.task}@*"
        return (self.before, self.tenant or "*", task)


class KnownResults:
    """The questions of the cache, within one transaction."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def find(self, key: str) -> FoundResult | None:
        row = self._unit.ask("known_result", (key,), of="put_known_result").fetchone()
        if row is None:
            return None
        job_id, run_id, result, artifacts, created_at = row
        return FoundResult(job_id, run_id, rows.from_json(result), tuple(_artifacts(artifacts)), created_at)

    def put(self, known: KnownResult, *, now: float) -> None:
        """Keep a result; the latest one counts."""
        task = known.task
        assert task.run_id is not None, f"{task.key} has a result of no run"
        found = FoundResult(task.job_id, task.run_id, known.result, known.artifacts, now)
        result = rows.to_json(known.result)
        size = len(result) + sum({key: size for key, _sha256, size in found.parts()}.values())
        artifacts = rows.to_json(known.artifacts)
        row = (known.key, task.tenant, task.handler, task.job_id, task.run_id, result, artifacts, size, now, now)
        self._unit.execute("forget_known_objects", (known.key,))
        self._unit.insert("put_known_result", row)
        for owner in owners(found.parts()):
            self._unit.insert("put_known_object", (owner, known.key))

    def used(self, key: str, found: FoundResult, job: JobEntry, *, now: float) -> None:
        """Note that a job has this result now, and so needs its objects."""
        self._unit.insert("count_known_result", (now, key))
        self.need(job, found.parts())

    def need(self, job: JobEntry, parts: Iterable[tuple[str, str, int]]) -> None:
        """Note that a job needs objects that others made."""
        for owner in owners(parts):
            self._unit.insert("put_object_use", (owner, job.job_no))

    def forget(self, keys: Iterable[str]) -> None:
        """Remove entries; what lies in the object store only for them is swept later."""
        self._unit.wrote = True
        for key in keys:
            self._unit.execute("forget_known_result", (key,))
            self._unit.execute("forget_known_objects", (key,))

    def stale(self, chosen: StaleResults, limit: int) -> list[str]:
        """Return keys of chosen entries, those first that were not used for longest."""
        return [row[0] for row in self._unit.execute("stale_known_results", (*chosen.bounds(), limit))]


def owners(parts: Iterable[tuple[str, str, int]]) -> list[str]:
    """Return the ids under which objects live, each once, in order."""
    found = (owner_of(key) for key, _sha256, _size in parts)
    return list(dict.fromkeys(owner for owner in found if owner is not None))
