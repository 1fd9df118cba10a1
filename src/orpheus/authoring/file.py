"""A file between tasks: a name and a fingerprint that travel, while the bytes stay in the object store."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from pathlib import Path
from typing import Any

LOCAL = "local:"
"""Prefix of the keys of files that only this process knows (unit tests, `orpheus.run`); servers never accept them."""


class File:
    """A file that came in or that a task saved. Immutable; read it with `ctx.path(file)` or `ctx.open(file)`.

    Args:
        name: for people, e.g. `talk.mp4`; never used as a path.
        key: where its bytes lie in the object store.
        size_bytes: its size.
        sha256: of its content, 64 hexadecimal digits.
        content_type: e.g. `video/mp4`.
    """

    __slots__ = ("content_type", "key", "name", "sha256", "size_bytes")

    name: str
    key: str
    size_bytes: int
    sha256: str
    content_type: str

    def __init__(
        self,
        *,
        name: str,
        key: str,
        size_bytes: int,
        sha256: str,
        content_type: str = "application/octet-stream",
    ) -> None:
        for field, value in (
            ("name", name),
            ("key", key),
            ("size_bytes", size_bytes),
            ("sha256", sha256),
            ("content_type", content_type),
        ):
            object.__setattr__(self, field, value)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, content_type: str | None = None) -> File:
        """Make a `File` of a local file, for unit tests and `orpheus.run`. Reads it once for the sha256."""
        found = Path(path).resolve()
        with found.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        guessed = content_type or mimetypes.guess_type(found.name)[0] or "application/octet-stream"
        size = found.stat().st_size
        return cls(name=found.name, key=f"{LOCAL}{found}", size_bytes=size, sha256=digest, content_type=guessed)

    @classmethod
    def from_wire(cls, value: Any) -> File:
        """Read `{"$file": {…}}`.

        Raises:
            ValueError: it is something else.
        """
        body = value.get("$file") if isinstance(value, dict) and len(value) == 1 else None
        if not isinstance(body, dict):
            raise ValueError("expected a file")  # noqa: TRY004 (the value is wrong, whatever its type)
        texts = {field: body.get(field) for field in ("name", "key", "sha256")}
        size = body.get("size_bytes")
        if not all(isinstance(text, str) for text in texts.values()) or type(size) is not int:
            raise ValueError("expected a file with name, key, size_bytes and sha256")
        content_type = body.get("content_type") or "application/octet-stream"
        return cls(
            name=str(texts["name"]),
            key=str(texts["key"]),
            sha256=str(texts["sha256"]),
            size_bytes=size,
            content_type=str(content_type),
        )

    def to_wire(self) -> dict[str, Any]:
        """Write `{"$file": {…}}`."""
        return {
            "$file": {field: getattr(self, field) for field in ("name", "key", "size_bytes", "sha256", "content_type")}
        }

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a File does not change; save a new one")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and self.to_wire() == other.to_wire()

    def __hash__(self) -> int:
        return hash((self.key, self.sha256))

    def __repr__(self) -> str:
        return f"File({self.name!r}, {self.size_bytes} bytes, {self.content_type})"

    def __reduce__(self) -> Any:
        return (_rebuild, (self.to_wire(),))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """Let pydantic models hold files."""
        from pydantic_core import core_schema  # noqa: PLC0415 (pydantic is optional; only it calls this)

        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, File) else File.from_wire(value),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda file: file.to_wire()),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        return file_schema()


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema that stands for a `File`."""
    return {"type": "object", "title": "File", "x-orpheus": "file"}


def _rebuild(wire: Any) -> File:
    return File.from_wire(wire)
