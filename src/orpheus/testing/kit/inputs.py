"""Files and params on their way in, as the API would make them: bytes lie in the object store, `$file` values name them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from orpheus.artifacts.keys import file_key
from orpheus.artifacts.sniff import sniff
from orpheus.authoring import codec
from orpheus.authoring.file import LOCAL, File
from orpheus.authoring.workflow import Workflow
from orpheus.core.errors import InvalidParams

HEAD_BYTES = 4096


class Intake:
    """Puts files into the object store.

    Args:
        objects: its folder.
        env: first part of its paths.
    """

    def __init__(self, objects: Path, env: str) -> None:
        self._objects = objects
        self._env = env

    def put(self, file_id: str, name: str, content: bytes, content_type: str | None = None) -> File:
        """Store a file's content."""
        key, target = self._place(file_id)
        target.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        kind = content_type or sniff(content[:HEAD_BYTES], None)
        return File(name=name, key=key, size_bytes=len(content), sha256=digest, content_type=kind)

    def link(self, file_id: str, path: Path) -> File:
        """Let a file of this machine stand in the object store, without copying it."""
        key, target = self._place(file_id)
        target.symlink_to(path)
        known = File.from_path(path)
        with path.open("rb") as stream:
            kind = sniff(stream.read(HEAD_BYTES), known.content_type)
        return File(name=path.name, key=key, size_bytes=known.size_bytes, sha256=known.sha256, content_type=kind)

    def _place(self, file_id: str) -> tuple[str, Path]:
        key = file_key(self._env, "default", file_id)
        target = self._objects / key
        target.parent.mkdir(parents=True, exist_ok=True)
        return key, target


class Wiring:
    """Turns params as a caller has them into JSON.

    Args:
        link: makes a stored file of a local path.
    """

    def __init__(self, link: Any) -> None:
        self._link = link

    def params(self, workflow: Workflow[Any, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params for a submission; paths become files where the workflow wants files.

        Raises:
            InvalidParams: a file is not there, or a value cannot travel.
        """
        hints = workflow.signature.hints if workflow is not None else {}
        wired: dict[str, Any] = {}
        for name, value in params.items():
            wanted = hints.get(name)
            if wanted is File and isinstance(value, str | os.PathLike):
                if not Path(value).is_file():
                    raise InvalidParams(f"param {name!r}: there is no file {os.fspath(value)!r}")
                value = File.from_path(value)  # noqa: PLW2901 (the same param, in the form that travels)
            elif isinstance(value, os.PathLike):
                value = os.fspath(value)  # noqa: PLW2901
            try:
                wired[name] = self._stored(codec.to_wire(value))
            except TypeError as error:
                raise InvalidParams(f"param {name!r}: {error}") from error
        return wired

    def _stored(self, value: Any) -> Any:
        """Replace files that only this process knows by stored ones."""
        if isinstance(value, dict):
            body = value.get("$file") if len(value) == 1 else None
            if isinstance(body, dict) and str(body.get("key", "")).startswith(LOCAL):
                wired: dict[str, Any] = self._link(Path(str(body["key"]).removeprefix(LOCAL))).to_wire()
                return wired
            return {key: self._stored(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._stored(inner) for inner in value]
        return value


def shown(value: Any) -> Any:
    """Return a value of the wire as a test compares it: files as `File`, all else as it is."""
    return value if is_dataclass(value) else codec.from_wire_untyped(value)
