"""What kind of file do these first bytes begin? A quick look for naming and serving; whether the file is really what it
says is for the workflow's `validate_file` to find out.
"""

from __future__ import annotations

import re

HEAD_BYTES = 4096
"""As much of a file as `sniff` looks at."""
UNKNOWN = "application/octet-stream"

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"PK\x03\x04", "application/zip"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x1f\x8b", "application/gzip"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"avif": "image/avif",
    b"qt  ": "video/quicktime",
}
_MIME = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")


def sniff(head: bytes, declared: str | None = None) -> str:
    """Return a content type for a file.

    Args:
        head: its first bytes.
        declared: what the sender says; believed only where the bytes tell nothing and it is well-formed.
    """
    for magic, content_type in _MAGIC:
        if head.startswith(magic):
            return content_type
    if head.startswith(b"RIFF") and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "audio/mp4" if head[8:11] == b"M4A" else "video/mp4")
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 in (0xE2, 0xE4, 0xE6):
        return "audio/mpeg"
    said = clean_type(declared)
    if said != UNKNOWN and not said.startswith(("image/", "video/", "audio/")):
        return said
    if not head:
        return UNKNOWN
    return "text/plain" if _looks_like_text(head) else said


def clean_type(declared: str | None) -> str:
    """Return the bare `type/subtype` of a header, lower case; `application/octet-stream` for anything malformed."""
    bare = (declared or "").partition(";")[0].strip().lower()
    return bare if _MIME.fullmatch(bare) else UNKNOWN


def _looks_like_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3  # only a character cut in the middle
    return True
