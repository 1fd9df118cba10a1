"""From an attempt's folder to the job's: publishing accepted artifacts, writing manifests, sweeping what is orphaned
(R10).

The engine decides when, one delivery of a job at a time, in a thread of its own; everything here may be repeated
after a crash and then changes nothing. The order of one job's life: rows accepted (committed) → `deliver` →
`artifact.published` → … → `deliver` with the outcome, which leaves the final manifest on disk → the job's end. An
attempt's folder stays while its run is the accepted one: results that travel by reference and `File` values point
into it, and a hard link costs no space.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from orpheus.artifacts.keys import RUNS, artifact_key, job_prefix, manifest_key, run_key
from orpheus.artifacts.manifest import build_manifest, encode_manifest
from orpheus.core.job import Job


class BlockingStore(Protocol):
    """The part of an object store that publishing needs, called from a thread that may wait."""

    def link_now(self, pairs: Sequence[tuple[str, str]]) -> None: ...
    def put_now(self, key: str, data: bytes) -> object: ...
    def children_now(self, prefix: str) -> list[tuple[str, float]]: ...
    def delete_prefix_now(self, prefix: str) -> None: ...
    def intact_now(self, key: str, *, sha256: str, size_bytes: int, since: float) -> bool: ...


class Delivery(Protocol):
    """What is to be done for one job (the engine's `publishing.Delivery`)."""

    @property
    def job(self) -> Job: ...
    @property
    def params(self) -> Any: ...
    @property
    def artifacts(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def unpublished(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def outcome(self) -> str | None: ...
    @property
    def finished_at(self) -> float | None: ...


class Publisher:
    """Puts artifacts under their stable names and writes manifests.

    Args:
        env: first part of every stable key.
        clock: seconds since the epoch.
    """

    def __init__(self, objects: BlockingStore, *, env: str = "dev", clock: Callable[[], float] = time.time) -> None:
        self._objects = objects
        self._env = env
        self._clock = clock

    def deliver(self, delivery: Delivery) -> None:
        """Publish what is not, then rewrite the manifest if the job has files. Blocking and idempotent.

        Raises:
            MissingObject: a file was reported but is not there.
            UnsafeKey: a name that would leave the job's folder; reports with such names are refused before.
        """
        job = delivery.job
        pairs = []
        for row in delivery.unpublished:
            source = row.get("key") or run_key(row["run_id"], row["name"])
            pairs.append((source, artifact_key(self._env, job.tenant, job.job_id, row["name"])))
        if pairs:
            self._objects.link_now(pairs)
        if job.has_files or delivery.artifacts:
            self._write_manifest(delivery)

    def _write_manifest(self, delivery: Delivery) -> None:
        job = delivery.job
        manifest = build_manifest(
            job,
            delivery.params,
            delivery.artifacts,
            env=self._env,
            state=delivery.outcome,
            finished_at=delivery.finished_at,
        )
        self._objects.put_now(manifest_key(self._env, job.tenant, job.job_id), encode_manifest(manifest))

    def attempts(self, *, older_than_s: float) -> list[str]:
        """Return the runs that have left files, and not touched their folder for so long. Blocking."""
        border = self._clock() - older_than_s
        return [name for name, changed_at in self._objects.children_now(RUNS) if changed_at <= border]

    def discard(self, run_ids: Sequence[str]) -> None:
        """Remove the files of runs that nobody needs: neither running nor accepted. Blocking."""
        for run_id in run_ids:
            self._objects.delete_prefix_now(f"{RUNS}/{run_id}")

    def intact(self, parts: Sequence[tuple[str, str, int]], since: float) -> bool:
        """Tell whether objects `(key, sha256, size_bytes)` are as they were at an instant. Blocking, and quick."""
        return all(
            self._objects.intact_now(key, sha256=sha256, size_bytes=size, since=since) for key, sha256, size in parts
        )

    def forget_job(self, tenant: str, job_id: str) -> None:
        """Remove what stands under a pruned job's names. Blocking, and the same again changes nothing."""
        self._objects.delete_prefix_now(job_prefix(self._env, tenant, job_id))

    def forget_file(self, key: str) -> None:
        """Remove an upload. Blocking, and the same again changes nothing."""
        self._objects.delete_prefix_now(key.rpartition("/")[0])
