"""How are foreign bytes served? Ranges for players, and nothing that a browser would run.

Files come from users and from handlers, so none of them is trusted: only types that cannot carry script are shown in
place, under a sandbox; everything else is a download. `nosniff` stands on every answer (gate.py).
"""

from __future__ import annotations

import re
from urllib.parse import quote

from orpheus.api.calls import Answer, Call, Headers, Streamed
from orpheus.api.errors import RangeNotSatisfiable
from orpheus.artifacts.errors import MissingObject

_SHOWN = frozenset(
    {
        "application/json",
        "application/pdf",
        "application/x-ndjson",
        "application/x-subrip",
        "text/csv",
        "text/plain",
        "text/vtt",
        *(f"image/{kind}" for kind in ("jpeg", "png", "gif", "webp", "avif", "bmp", "heic", "heif", "tiff")),
        *(f"audio/{kind}" for kind in ("mpeg", "mp4", "aac", "ogg", "opus", "wav", "x-wav", "flac", "webm")),
        *(f"video/{kind}" for kind in ("mp4", "webm", "ogg", "quicktime", "x-matroska")),
    }
)
_CSP = b"default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
_RANGE = re.compile(rb"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*")


async def serve(call: Call, key: str, *, name: str, content_type: str, etag: str, download: bool) -> Answer | Streamed:
    """Answer with an object or the asked part of it.

    Raises:
        MissingObject: it is gone.
        RangeNotSatisfiable: the range begins behind its end.
    """
    info = await call.services.objects.stat(key)
    if info is None:
        raise MissingObject(f"{name[:200]!r} is gone from the object store")
    size = info.size_bytes
    tag = b'"' + etag.encode() + b'"'
    bare = content_type.partition(";")[0].strip().lower()
    shown = bare in _SHOWN
    headers: Headers = [
        (b"etag", tag),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", b"private, no-cache"),
        (b"content-security-policy", _CSP),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"content-disposition", _disposition(name, attachment=download or not shown)),
    ]
    asked = call.headers.get(b"if-none-match", b"")
    if asked and tag in (each.strip().removeprefix(b"W/") for each in asked.split(b",")):
        return Answer(b"", 304, None, headers)
    kind = (bare if shown else "application/octet-stream").encode()
    if kind.startswith(b"text/") or kind == b"application/json":
        kind += b"; charset=utf-8"
    part = _part(call, tag, size)
    if part is None:
        return Streamed(call.services.objects.open_range(key), content_type=kind, length=size, headers=headers)
    start, end = part
    headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end, size)))
    length = end - start + 1
    return Streamed(
        call.services.objects.open_range(key, start, length),
        status=206,
        content_type=kind,
        length=length,
        headers=headers,
    )


def _part(call: Call, tag: bytes, size: int) -> tuple[int, int] | None:
    """Return first and last byte of the asked range; None for the whole. Several ranges, or nonsense, mean the
    whole."""
    asked = call.headers.get(b"range")
    if asked is None:
        return None
    condition = call.headers.get(b"if-range")
    if condition is not None and condition.strip() != tag:
        return None
    found = _RANGE.fullmatch(asked)
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = int(found[2])
        if not length or not size:
            raise _unsatisfiable(size)
        return max(0, size - length), size - 1
    start = int(found[1])
    end = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < start:
        return None
    if start >= size:
        raise _unsatisfiable(size)
    return start, end


def _unsatisfiable(size: int) -> RangeNotSatisfiable:
    return RangeNotSatisfiable(f"the file has {size} bytes", size_bytes=size)


def _disposition(name: str, *, attachment: bool) -> bytes:
    """Return a header that no file name can break out of (RFC 6266)."""
    plain = re.sub(r"[^A-Za-z0-9 ._()+-]", "_", name)[:150] or "file"
    kind = "attachment" if attachment else "inline"
    encoded = quote(name.encode("utf-8", "replace")[:400], safe="")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}".encode("ascii", "replace")
