"""Is this file what it seems, and what is it? Both answers for every kind of file, as plain functions on a path.

`validate` sniffs, opens and reads the file through; `extract` reads what a person wants to know of it. They run in a child
process with limits (`guard.py`), because they are the first to touch bytes that a stranger sent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orpheus.media import image, pdf, video
from orpheus.media.pictures import place as places
from orpheus.media.sniff import ACCEPTED, HEAD_BYTES, Type, name_disagrees, sniff


def type_of(path: Path) -> Type:
    """Sniff a file on disk; raises as `sniff` does."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        return sniff(file.read(HEAD_BYTES), size_bytes=size_bytes)


def named(content_type: str, opener: str) -> Type:
    """Find the type that an earlier `validate` named."""
    return next(found for found in ACCEPTED if found.opener == opener and found.content_type == content_type)


def validate(path: Path, name: str = "") -> dict[str, Any]:
    """Make sure that a file is of a kind we take, and whole.

    Args:
        name: what the sender called it; only compared, never trusted.

    Returns:
        `kind` ("image", "video", "audio" or "pdf"), `content_type`, `label` for people, `sniffed` and `opener` (what opens
        it), `name_disagrees`.

    Raises:
        UnsupportedMedia, CorruptMedia, TooLarge, ExtraMissing: see `errors.py`.
    """
    found = type_of(path)
    kind, content_type = found.kind, found.content_type
    if found.kind == "image":
        image.check(path, found)
    elif found.kind == "pdf":
        pdf.check(path)
    else:
        facts = video.check(path, found)
        kind, content_type = facts["kind"], facts["content_type"]
    return {
        "kind": kind,
        "content_type": content_type,
        "label": found.label,
        "sniffed": found.content_type,
        "opener": found.opener,
        "name_disagrees": name_disagrees(name, found),
    }


def extract(path: Path, sniffed: str, opener: str) -> dict[str, Any]:
    """Read the facts of a file that `validate` let pass, given what it returned."""
    found = named(sniffed, opener)
    if found.kind == "image":
        return {"kind": "image", "content_type": found.content_type} | image.describe(path, found)
    if found.kind == "pdf":
        return {"kind": "pdf", "content_type": found.content_type} | pdf.describe(path)
    return video.describe(path, found)


def place(path: Path, sniffed: str, opener: str) -> dict[str, Any]:
    """Read where an image was taken, given what `validate` returned; only for jobs that ask."""
    return dict(places.place(path, named(sniffed, opener)))
