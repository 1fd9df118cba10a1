"""From an attempt's folder to the job's: publishing accepted artifacts, writing manifests, sweeping what is orphaned
(R10).

The engine decides when; everything here may be repeated after a crash and then changes nothing. The order of one job's
life: rows accepted (committed) → `publish` → `artifact.published` → … → `publish` of the rest → `write_manifest` with
the outcome → the job's end. An attempt's folder stays while its run is the accepted one: results that travel by
reference and `File` values point into it, and a hard link costs no space.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from orpheus.artifacts.keys import RUNS, artifact_key, manifest_key, run_key, run_prefix
from orpheus.artifacts.manifest import build_manifest, encode_manifest
from orpheus.artifacts.store import ObjectStore
from orpheus.core.job import Job


class Publisher:
    """Puts artifacts under their stable names.

    Args:
        env: first part of every stable key.
    """

    def __init__(self, objects: ObjectStore, *, env: str = "dev") -> None:
        self._objects = objects
        self._env = env
        self._manifests = _Coalesced(objects)

    async def publish(self, job: Job, artifacts: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Make accepted artifacts appear under `{env}/{tenant}/{job_id}/{name}`. Idempotent.

        Args:
            artifacts: rows with `name` and `key` (or `run_id`, whose folder is then taken).

        Returns:
            The names that now stand.

        Raises:
            MissingObject: a file was reported but is not there.
            UnsafeKey: a name that would leave the job's folder; refused at the report already.
        """
        pairs = []
        for row in artifacts:
            source = row.get("key") or run_key(row["run_id"], row["name"])
            pairs.append((source, artifact_key(self._env, job.tenant, job.job_id, row["name"])))
        await self._objects.link(pairs)
        return tuple(row["name"] for row in artifacts)

    async def write_manifest(
        self,
        job: Job,
        params: Any,
        artifacts: Iterable[Mapping[str, Any]],
        *,
        state: str | None = None,
        finished_at: float | None = None,
    ) -> None:
        """Replace the job's `manifest.json` atomically. While one write is on its way, later ones for the job wait and
        only the newest of them is made.

        Args:
            state: the end about to be told; see `build_manifest`.
            finished_at: seconds since the epoch.
        """
        manifest = build_manifest(job, params, artifacts, env=self._env, state=state, finished_at=finished_at)
        await self._manifests.put(manifest_key(self._env, job.tenant, job.job_id), encode_manifest(manifest))

    async def discard_run(self, run_id: str) -> None:
        """Remove what an attempt left that was not accepted."""
        await self._objects.delete_prefix(run_prefix(run_id))

    async def sweep(
        self,
        keep: Callable[[Sequence[str]], Awaitable[Collection[str]]],
        *,
        older_than_s: float = 3600.0,
        now: float | None = None,
        limit: int = 1000,
    ) -> int:
        """Remove folders of attempts that nobody needs any more.

        Args:
            keep: asked with run ids; answers those that are running or accepted.
            older_than_s: younger folders are left alone: their report may be on its way.
            now: seconds since the epoch by the file system's clock.
            limit: folders removed at most, so that a sweep stays short.

        Returns:
            How many were removed.
        """
        at = time.time() if now is None else now
        old = [name for name, changed_at in await self._objects.children(RUNS) if changed_at <= at - older_than_s]
        removed = 0
        for start in range(0, len(old), 500):
            some = old[start : start + 500]
            needed = frozenset(await keep(some))
            for run_id in some:
                if run_id in needed:
                    continue
                if removed >= limit:
                    return removed
                await self._objects.delete_prefix(f"{RUNS}/{run_id}")
                removed += 1
        return removed


class _Coalesced:
    """Writes objects so that of several waiting versions only the newest is written; each caller returns when its
    version or a newer one stands."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._waiting: dict[str, tuple[bytes, asyncio.Future[None]]] = {}
        self._writers: dict[str, asyncio.Task[None]] = {}

    async def put(self, key: str, data: bytes) -> None:
        waiting = self._waiting.get(key)
        future = waiting[1] if waiting else asyncio.get_running_loop().create_future()
        self._waiting[key] = (data, future)
        if key not in self._writers:
            self._writers[key] = asyncio.create_task(self._write(key), name=f"manifest {key}")
        await asyncio.shield(future)

    async def _write(self, key: str) -> None:
        try:
            while waiting := self._waiting.pop(key, None):
                data, future = waiting
                try:
                    await self._objects.put_bytes(key, data)
                except Exception as error:  # whatever it is belongs to those who wait
                    future.set_exception(error)
                else:
                    future.set_result(None)
        finally:
            del self._writers[key]
