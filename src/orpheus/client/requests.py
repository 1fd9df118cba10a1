"""How does a wish look on the wire? Requests and replies as values, and one function per endpoint.

Nothing here does I/O: `operations.py` puts these together, `sync.py` and `aio.py` carry them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import msgspec

from orpheus.client.errors import InvalidInput, OrpheusHTTPError
from orpheus.protocol.errors import ErrorBody

T = TypeVar("T")

CHUNK_BYTES = 256 * 1024
LONG_POLL_S = 20.0
"""How long one request waits at the server; longer waits are repeated. Most proxies cut at 30 s or more."""
PAGE = 200
_OF_JSON: Mapping[str, str] = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Source:
    """A file to send: a path, or an open binary file from its present position on."""

    file: Path | BinaryIO
    name: str

    def chunks(self) -> Iterator[bytes]:
        """Yield the content; may be called again for a retry.

        Raises:
            OSError: the file cannot be read.
        """
        if isinstance(self.file, Path):
            with self.file.open("rb") as opened:
                yield from iter(lambda: opened.read(CHUNK_BYTES), b"")
            return
        start = self.file.tell() if self.file.seekable() else None
        yield from iter(lambda: self.file.read(CHUNK_BYTES), b"")  # type: ignore[union-attr]  # not a Path, see above
        if start is not None:
            self.file.seek(start)

    def size_bytes(self) -> int | None:
        """Return the size where it is known beforehand."""
        if isinstance(self.file, Path):
            return self.file.stat().st_size
        if not self.file.seekable():
            return None
        start = self.file.tell()
        end = self.file.seek(0, 2)
        self.file.seek(start)
        return end - start


class Request(msgspec.Struct, frozen=True):
    """One request. `path` is already quoted; the driver adds base URL, key and correlation id."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}
    body: bytes | Source | None = None
    repeatable: bool = True
    """Whether doing it twice is like doing it once, so that a lost answer may be followed by another try."""
    extra_wait_s: float = 0.0
    """How long the server may take on purpose (long poll), on top of the ordinary time-out."""


class Reply(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    """Names in lower case; of an answer that is no error there may be none."""
    body: bytes = b""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


def decoder(kind: type[T]) -> Callable[[Reply], T]:
    """Return a parser of replies into `kind`. A reply of another shape raises `OrpheusHTTPError` (`unexpected_reply`)."""
    inner = msgspec.json.Decoder(kind)

    def parse(reply: Reply) -> T:
        try:
            return inner.decode(reply.body)
        except msgspec.DecodeError as error:
            raise OrpheusHTTPError(
                reply.status,
                ErrorBody(
                    code="unexpected_reply",
                    message=f"the server's answer is not what was asked for: {error}",
                    hint="Is there an Orpheus server of a fitting version at this address?",
                ),
            ) from None

    return parse


def get(path: str, query: Mapping[str, Any] | None = None, *, extra_wait_s: float = 0.0) -> Request:
    return Request("GET", path, pairs(query or {}), extra_wait_s=extra_wait_s)


def post(
    path: str,
    body: Any = None,
    *,
    repeatable: bool = True,
    headers: Mapping[str, str] | None = None,
    wait_s: float = 0.0,
) -> Request:
    """Return a request with a JSON body; `wait_s`: how long the server may hold its answer back."""
    return Request(
        "POST",
        path,
        pairs({"wait_s": round(wait_s, 3)}) if wait_s > 0 else (),
        headers={**_OF_JSON, **headers} if headers else _OF_JSON,
        body=encode({} if body is None else body),
        repeatable=repeatable,
        extra_wait_s=wait_s,
    )


def upload(source: Source, *, tenant: str | None = None) -> Request:
    """Send a file's bytes as they are; the name goes along in the query. Twice makes two files, which harms nobody: an
    upload that no job uses is swept."""
    headers = {"content-type": "application/octet-stream"}
    size = source.size_bytes()
    if size is not None:
        headers["content-length"] = str(size)
    return Request("POST", "/files", pairs({"name": source.name, "tenant": tenant}), headers, source)


def pairs(query: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Flatten a query: None is left out, a list or tuple repeats its key."""
    found: list[tuple[str, str]] = []
    for key, value in query.items():
        values: Sequence[Any] = value if isinstance(value, list | tuple) else (value,)
        found += [(key, _text(one)) for one in values if one is not None]
    return tuple(found)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def encode(value: Any) -> bytes:
    """Encode a body.

    Raises:
        InvalidInput: something in it is not JSON.
    """
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise InvalidInput(f"this cannot be sent as JSON: {error}") from None


def job_path(job_id: str, *rest: str) -> str:
    """Return `/jobs/{id}/…`; artifact names keep their slashes (formats.md)."""
    return "/".join(["/jobs", quote(job_id, safe=""), *(quote(part, safe="/") for part in rest)])
