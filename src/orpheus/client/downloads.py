"""How does an artifact get onto the caller's disk? In chunks, resumed after a break, checked, and only then renamed."""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from orpheus.client.effects import Operation, Pause, Pull
from orpheus.client.errors import ClientError, ConnectionLost, InvalidInput, error_from_reply
from orpheus.client.paging import Pager, all_items
from orpheus.client.requests import Reply, Request, job_path
from orpheus.client.retrying import Backoff, Patience
from orpheus.protocol.jobs import ArtifactInfo


class CorruptDownload(ClientError):
    """What arrived is not what the manifest lists."""

    code = "corrupt_download"
    retryable = True
    hint = "Try again; if it stays so, the object on the server is damaged."


def safe_path(base: Path, name: str) -> Path:
    """Return where the artifact `name` belongs under `base`.

    Raises:
        InvalidInput: the name would lead out of `base` or is no file name here. Names come from other people's tasks.
    """
    parts = PurePosixPath(name).parts
    bad = not parts or name.startswith("/") or "\\" in name or "\0" in name or name.endswith("/")
    if bad or any(part in ("..", ".") or ":" in part for part in parts):
        raise InvalidInput(f"the artifact name {name!r} is not a safe path")
    root = base.resolve()
    target = (base / PurePosixPath(name)).resolve()
    if root not in target.parents:  # a link below `base` that leads elsewhere
        raise InvalidInput(f"the artifact name {name!r} leads out of {base}")
    return base / PurePosixPath(name)


def artifacts(job_id: str, patience: Patience) -> Operation[list[ArtifactInfo]]:
    return (yield from all_items(Pager(ArtifactInfo, job_path(job_id, "artifacts"), {}, patience, whole=True)))


def download(job_id: str, name: str, to: Path, patience: Patience) -> Operation[Path]:
    """Fetch one artifact to the file `to`, or under its name into the folder `to`.

    Raises:
        InvalidInput: the job has no artifact of this name, or it is not a safe path.
        CorruptDownload: the content does not have the sha256 that the manifest lists; nothing is left at `to`.
    """
    known = {one.name: one for one in (yield from artifacts(job_id, patience))}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        has = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(known)) or 'none'}"
        raise InvalidInput(f"job {job_id} has no artifact {name!r}; {has}")
    target = safe_path(to, name) if to.is_dir() else to
    return (yield from fetch_artifact(job_id, known[name], target, patience))


def fetch_artifact(job_id: str, info: ArtifactInfo, target: Path, patience: Patience) -> Operation[Path]:
    """Fetch an artifact that is already known to the file `target`; folders are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{info.sha256[:12]}.part")
    try:
        with part.open("wb+") as file:
            yield from _fill(file, Request("GET", job_path(job_id, "artifacts", info.name)), patience)
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() != info.sha256:
                raise CorruptDownload(f"{info.name} arrived with another sha256 than the manifest lists")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _fill(file: BinaryIO, request: Request, patience: Patience) -> Operation[None]:
    backoff = Backoff(patience)

    def begin(status: int) -> None:
        if status != 206:  # the whole file again, from its start
            file.seek(0)
            file.truncate()

    def write(chunk: bytes) -> None:
        backoff.reset()
        file.write(chunk)

    while True:
        headers: dict[str, Any] = {"range": f"bytes={file.tell()}-"} if file.tell() else {}
        try:
            reply: Reply = yield Pull(Request("GET", request.path, request.query, headers), begin, write)
        except ConnectionLost as lost:
            yield Pause(backoff.next_pause(lost))
            continue
        if reply.status < 400 or (reply.status == 416 and file.tell()):  # 416: all of it had come already
            return
        yield Pause(backoff.next_pause(error_from_reply(reply.status, reply.headers, reply.body)))
