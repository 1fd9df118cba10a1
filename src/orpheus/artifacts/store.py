"""What an object store can do. `FolderStore` keeps it in a folder; others (S3 …) keep the same contract later."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object. `modified_at` is seconds since the epoch."""

    key: str
    size_bytes: int
    modified_at: float
    sha256: str | None = None
    """Known after a put; not looked up by `stat`."""


class ObjectStore(Protocol):
    """Objects by key. What a put or link acknowledged is on disk; a reader sees a whole object or none."""

    @property
    def root(self) -> str | None:
        """The folder that local workers may share; None when there is no such thing."""

    async def put_stream(self, key: str, chunks: AsyncIterable[bytes], *, max_bytes: int | None = None) -> ObjectInfo:
        """Store what comes, replacing what was there, in bounded memory.

        Raises:
            ObjectTooLarge: more than `max_bytes` came. This and any other error leaves nothing behind.
            UnsafeKey: the key would leave the store.
        """

    async def put_bytes(self, key: str, data: bytes) -> ObjectInfo: ...

    async def stat(self, key: str) -> ObjectInfo | None: ...

    async def read(self, key: str, *, max_bytes: int | None = None) -> bytes:
        """Return the whole object.

        Raises:
            MissingObject, ObjectTooLarge.
        """

    def open_range(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield `length` bytes (None: to the end) from `start`, in pieces.

        Raises:
            MissingObject: at the first step.
        """

    async def link(self, pairs: list[tuple[str, str]]) -> None:
        """Make each `(source, target)` show the source's bytes under the target too, replacing what stood there. Doing
        it again changes nothing, also when a source has gone but its target stands.

        Raises:
            MissingObject: neither source nor target exists.
        """

    async def delete(self, key: str) -> bool:
        """Remove an object; return whether it was there."""

    async def delete_prefix(self, prefix: str) -> None:
        """Remove everything under `prefix/`."""

    def walk(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield every object under `prefix/`, in no promised order."""

    async def children(self, prefix: str) -> list[tuple[str, float]]:
        """Return names and times of change (seconds since the epoch) of what lies directly under `prefix/`."""
