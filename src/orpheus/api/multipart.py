"""Multipart bodies, part by part as they come: fields in memory (bounded), files streamed on.

The parser is python-multipart's; around it stands what a server needs: a bound on parts and on the size of fields, file
names as data, and parts handed out while the body is still arriving.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from orpheus.api.errors import InvalidFileName, MalformedBody, TooLarge

MAX_PARTS = 1000
MAX_HEADER_BYTES = 16_384
MAX_NAME_CHARACTERS = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(slots=True)
class Part:
    """One part. Its bytes must be taken (`text`, `stream`) before the next part is asked for."""

    name: str
    filename: str | None
    """As the sender gave it, without control characters; data, never a path. None for fields."""
    content_type: str | None
    _parts: Parts = field(repr=False)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the part's bytes as they arrive."""
        while (piece := await self._parts.next_piece()) is not None:
            yield piece

    async def text(self, limit: int) -> str:
        """Return a field's text.

        Raises:
            TooLarge: more than `limit` bytes.
            MalformedBody: not UTF-8.
        """
        data = bytearray()
        async for piece in self.stream():
            data += piece
            if len(data) > limit:
                raise TooLarge(f"the field {self.name[:80]!r} is larger than {limit} bytes")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise MalformedBody(f"the field {self.name[:80]!r} is not UTF-8") from None


class Parts:
    """Iterates over the parts of a body.

    Args:
        content_type: the whole header, with its boundary.
    """

    def __init__(self, content_type: bytes, chunks: AsyncIterator[bytes]) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary or len(boundary) > 200:
            raise MalformedBody("the multipart body has no boundary", hint="let your HTTP library make the header")
        self._chunks = chunks
        self._queue: deque[tuple[str, Any]] = deque()
        self._headers: list[tuple[bytes, bytes]] = []
        self._header_name = b""
        self._header_value = b""
        self._header_bytes = 0
        self._count = 0
        self._ended = False
        self._open: Part | None = None
        self._parser = MultipartParser(
            boundary,
            callbacks={
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": lambda: self._queue.append(("end", None)),
                "on_end": lambda: self._queue.append(("finished", None)),
            },
        )

    async def __aiter__(self) -> AsyncIterator[Part]:
        while True:
            item = await self._next()
            if item is None:
                return
            kind, value = item
            if kind == "part":
                self._open = value
                yield value
                while self._open is not None:  # what the handler left of it
                    await self.next_piece()

    async def next_piece(self) -> bytes | None:
        """Return the next bytes of the open part, None at its end."""
        if self._open is None:
            return None
        item = await self._next()
        if item is None:
            raise MalformedBody("the multipart body ends in the middle of a part")
        kind, value = item
        if kind == "data":
            return bytes(value)
        self._open = None
        return None

    async def _next(self) -> tuple[str, Any] | None:
        while not self._queue:
            if self._ended:
                return None
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                self._ended = True
                if self._open is None and self._count == 0:
                    raise MalformedBody("the multipart body has no parts") from None
                continue
            try:
                self._parser.write(chunk)
            except MultipartParseError as error:
                raise MalformedBody(f"the multipart body is malformed: {error}") from None
        item = self._queue.popleft()
        if item[0] == "finished":
            self._ended = True
            async for _ in self._chunks:  # an epilogue means nothing
                pass
            return None
        return item

    # What the parser tells --------------------------------------------------------------------------------------------

    def _on_part_begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise TooLarge(f"the multipart body has more than {MAX_PARTS} parts")
        self._headers, self._header_name, self._header_value, self._header_bytes = [], b"", b"", 0

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]
        self._count_header(end - start)

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        self._count_header(end - start)

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            raise TooLarge("the headers of a part are too large")

    def _on_header_end(self) -> None:
        self._headers.append((self._header_name.lower(), self._header_value))
        self._header_name, self._header_value = b"", b""

    def _on_headers_finished(self) -> None:
        headers = dict(self._headers)
        kind, options = parse_options_header(headers.get(b"content-disposition"))
        name = options.get(b"name")
        if kind != b"form-data" or name is None:
            raise MalformedBody("a part of the multipart body has no name")
        given = headers.get(b"content-type")
        self._queue.append(
            (
                "part",
                Part(
                    name=_text(name),
                    filename=_filename(headers.get(b"content-disposition", b""), options),
                    content_type=None if given is None else given.decode("latin-1"),
                    _parts=self,
                ),
            )
        )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._queue.append(("data", data[start:end]))


def _filename(header: bytes, options: dict[bytes, bytes]) -> str | None:
    extended = re.search(rb"filename\*=utf-8''([^;\s]*)", header, re.IGNORECASE)
    if extended:
        return clean_name(unquote_to_bytes(extended[1]).decode("utf-8", "replace"))
    name = options.get(b"filename")
    return None if name is None else clean_name(_text(name))


def clean_name(name: str) -> str:
    """Return a file name as it may be stored and shown: as given, without control characters, of bearable length.

    Raises:
        InvalidFileName: it is a path.
    """
    kept = _CONTROL.sub("", name.encode("utf-8", "replace").decode())
    if "/" in kept or "\\" in kept or kept in (".", ".."):
        last = kept.replace("\\", "/").rstrip("/").rpartition("/")[2]
        raise InvalidFileName(
            f"the file name {kept[:200]!r} is a path",
            hint=f"Send the name alone: {last[:200]!r}." if last.strip(".") else "Send a name without / and \\.",
        )
    return kept[:MAX_NAME_CHARACTERS] or "unnamed"


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
