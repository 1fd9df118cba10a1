"""How do a job's results get into a folder? Every artifact under its name, the result, and last the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from orpheus.cli.files import results_folder
from orpheus.client import Client
from orpheus.client.downloads import fetch_artifact, safe_path
from orpheus.client.effects import Operation, Together
from orpheus.client.retrying import Patience
from orpheus.protocol.jobs import ArtifactInfo, JobInfo

MANIFEST = "manifest.json"
RESULT = "result.json"
SIDE_BY_SIDE = 4


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was written. `folder` is None when there was nothing to write and no folder was asked for."""

    folder: Path | None
    artifacts: Sequence[ArtifactInfo]
    names: Sequence[str]


def fetch_results(client: Client, job: JobInfo, out: Path | None, label: str) -> Fetched:
    """Download what the job left, also when it failed: what was accepted before is there.

    The manifest is written last, so a folder with a manifest is whole.

    Raises:
        CommandError: `out` is not a folder.
        InvalidInput: an artifact's name would lead out of it.
    """
    artifacts = client.artifacts(job.job_id)
    if out is None and not artifacts:
        return Fetched(None, (), ())
    folder = results_folder(out, label)
    folder.mkdir(parents=True, exist_ok=True)
    client.perform(_fetch_all(job.job_id, artifacts, folder))
    names = [one.name for one in artifacts]
    if job.state == "completed" and job.result is not None and RESULT not in names:
        _write(folder / RESULT, client.result(job.job_id))
        names.append(RESULT)
    if MANIFEST not in names:
        _write(folder / MANIFEST, client.manifest(job.job_id))
        names.append(MANIFEST)
    return Fetched(folder, artifacts, names)


def _fetch_all(job_id: str, artifacts: Sequence[ArtifactInfo], folder: Path) -> Operation[None]:
    patience = Patience()
    targets = [
        (one, safe_path(folder, one.name)) for one in artifacts
    ]  # every name is checked before anything is written
    yield Together((fetch_artifact(job_id, one, target, patience) for one, target in targets), SIDE_BY_SIDE)


def _write(path: Path, value: Any) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
