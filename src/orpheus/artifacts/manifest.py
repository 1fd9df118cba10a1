"""What does a manifest say? (design.md section 6)

A projection of rows, so it can be made at any time and is always exact. Times are RFC 3339 UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from orpheus.artifacts.keys import artifact_key
from orpheus.core.job import Job

FORMAT = 1


def build_manifest(
    job: Job,
    params: Any,
    artifacts: Iterable[Mapping[str, Any]],
    *,
    env: str,
    state: str | None = None,
    finished_at: float | None = None,
) -> dict[str, Any]:
    """Make a job's manifest.

    Args:
        params: the job's params; every file in them is a source.
        artifacts: rows of accepted artifacts: `name`, `node`, `index`, `run_id`, `sha256`, `size_bytes`, `content_type`,
            `metadata`.
        state: the end that is about to be told, when the row does not say it yet.
        finished_at: seconds since the epoch; else the row's.
    """
    files = list(sources(params))
    ended = finished_at if finished_at is not None else job.finished_at
    return {
        "format": FORMAT,
        "job_id": job.job_id,
        "tenant": job.tenant,
        "env": env,
        "workflow": job.workflow,
        "version": job.workflow_version,
        "state": state or job.state.value,
        "generation": job.generation,
        "correlation_id": job.correlation_id,
        "created_at": _instant(job.created_at),
        "started_at": _instant(job.started_at),
        "finished_at": _instant(ended),
        "source": files[0] if files else None,
        "sources": files,
        "artifacts": sorted((_artifact(row, job, env) for row in artifacts), key=lambda entry: str(entry["name"])),
    }


def _artifact(row: Mapping[str, Any], job: Job, env: str) -> dict[str, Any]:
    index = row.get("index")
    return {
        "name": row["name"],
        "path": artifact_key(env, job.tenant, job.job_id, row["name"]),
        "task": row["task"] if "task" in row else row["node"],
        "index": index if index is not None and index >= 0 else None,
        "run_id": row["run_id"],
        "sha256": row["sha256"],
        "size_bytes": row["size_bytes"],
        "content_type": row["content_type"],
        "metadata": row.get("metadata") or {},
    }


def sources(params: Any) -> Iterator[dict[str, Any]]:
    """Yield every file of the params, in order, with the JSON Pointer of where it stands."""
    stack: list[tuple[str, Any]] = [("", params)]
    while stack:
        pointer, value = stack.pop()
        if isinstance(value, dict):
            inner = value.get("$file")
            if len(value) == 1 and isinstance(inner, dict):
                fields = {name: inner.get(name) for name in ("name", "sha256", "size_bytes", "content_type")}
                yield {"param": pointer, **fields}
                continue
            stack.extend((f"{pointer}/{_escape(key)}", child) for key, child in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend((f"{pointer}/{index}", value[index]) for index in range(len(value) - 1, -1, -1))


def encode_manifest(manifest: Mapping[str, Any]) -> bytes:
    """Return the bytes of `manifest.json`: indented, for people who open it."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _instant(at: float | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
