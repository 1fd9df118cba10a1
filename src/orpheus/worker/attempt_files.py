"""What files does an attempt read and write? Behind `ctx.path`, `ctx.save` and `ctx.temp_dir` (R10).

A file is written and synced as it is saved, under the attempt's own folder; it is delivered (directory entries synced, or
uploaded) when the handler has ended, so `save` never waits for a network.
"""

from __future__ import annotations

import io
import mimetypes
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from orpheus.artifacts.keys import run_key
from orpheus.protocol.worker import ReportedArtifact
from orpheus.worker.failures import AttemptError
from orpheus.worker.objects import Objects, check_name, write_synced

CONTENT_TYPES = {
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".srt": "application/x-subrip",
    ".vtt": "text/vtt",
    ".md": "text/markdown",
    ".json": "application/json",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".flac": "audio/flac",
    ".opus": "audio/opus",
    ".wav": "audio/wav",
    ".m4a": "audio/mp4",
    ".mkv": "video/x-matroska",
}
"""Where the standard library's table depends on the machine, or is silent."""


def guess_content_type(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    return CONTENT_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


class AttemptFiles:
    """The files of one attempt. Safe from any thread; blocks.

    Args:
        objects: how the object store is reached.
        folder: the attempt's own folder on this machine; removed at its end.
    """

    def __init__(self, objects: Objects, run_id: str, folder: Path) -> None:
        self._objects = objects
        self._run_id = run_id
        self._folder = folder
        self._saved: dict[str, ReportedArtifact] = {}
        self._paths: dict[str, Path] = {}
        self._lock = threading.Lock()
        self.are_used = False
        """There may be something to clean."""

    @property
    def artifacts(self) -> list[ReportedArtifact]:
        return list(self._saved.values())

    @property
    def temp_dir(self) -> Path:
        """Made when first asked for."""
        self.are_used = True
        path = self._folder / "tmp"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def path(self, file: Mapping[str, Any]) -> Path:
        """Return a local path with the content of a file; not to be written to.

        Args:
            file: the body of a `$file` marker.
        """
        self.are_used = True
        key = file["key"]
        with self._lock:  # two threads that want the same file download it once
            if key not in self._paths:
                own = self._own(key)
                self._paths[key] = own or self._objects.path(
                    key, file.get("sha256"), file.get("size_bytes"), self._folder / "inputs"
                )
            return self._paths[key]

    def save(
        self,
        name: str,
        source: str | os.PathLike[str] | bytes | bytearray | memoryview,
        content_type: str | None,
        metadata: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Write a file of the attempt, synced; the same name again replaces it. Return the body of its `$file` marker.

        Raises:
            AttemptError: the name is not one an artifact may have, or the source is no file.
        """
        check_name(name)
        self.are_used = True
        target = self._objects.folder(self._folder) / name
        if isinstance(source, bytes | bytearray | memoryview):
            sha256, size = write_synced(io.BytesIO(source), target)
        else:
            try:
                with Path(source).open("rb") as content:
                    sha256, size = write_synced(content, target)
            except (FileNotFoundError, IsADirectoryError) as missing:
                raise AttemptError(
                    f"save({name!r}): {os.fspath(source)!r} is not a file", type_name=type(missing).__name__
                ) from None
        artifact = ReportedArtifact(
            name=name,
            sha256=sha256,
            size_bytes=size,
            content_type=content_type or guess_content_type(name),
            metadata=dict(metadata or {}),
        )
        with self._lock:
            self._saved[name] = artifact
            key = run_key(self._run_id, name)
            self._paths[key] = target
        return {
            "name": name,
            "key": key,
            "size_bytes": size,
            "sha256": sha256,
            "content_type": artifact.content_type,
        }

    def adopt(self, artifacts: list[ReportedArtifact]) -> None:
        """Take over what a child process saved in the attempt's folder."""
        for artifact in artifacts:
            self._saved[artifact.name] = artifact

    def spill(self, result: bytes) -> tuple[str, str]:
        """Write a large result beside the artifacts; return its key and sha256."""
        self.are_used = True
        name = "result.json" if "result.json" not in self._saved else ".result.json"
        target = self._objects.folder(self._folder) / name
        sha256, _ = write_synced(io.BytesIO(result), target)
        self._objects.deliver(target, name, sha256)
        return run_key(self._run_id, name), sha256

    def deliver(self) -> None:
        """Make every saved file the run's for good; before the report (R10)."""
        for artifact in self._saved.values():
            self._objects.deliver(self._objects.folder(self._folder) / artifact.name, artifact.name, artifact.sha256)

    def clean(self, *, keep_files: bool) -> None:
        """Remove the attempt's folder, and the files of one that came to nothing (promise 4)."""
        if not keep_files:
            self._objects.discard(self._objects.folder(self._folder))
        shutil.rmtree(self._folder, ignore_errors=True)

    def _own(self, key: str) -> Path | None:
        """A file this very attempt saved, which no store knows yet."""
        for name in self._saved:
            if key == run_key(self._run_id, name):
                return self._objects.folder(self._folder) / name
        return None
