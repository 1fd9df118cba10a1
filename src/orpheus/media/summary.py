"""What a job of `media` returns, and how it is put into words. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from orpheus import File
from orpheus.media.pictures.seen import Label, Thing


@dataclass(frozen=True, slots=True)
class Metadata:
    """The part of `metadata.json` that workflows branch on; the file has more."""

    kind: str
    """"image", "video", "audio" or "pdf"."""
    content_type: str
    name: str
    size_bytes: int
    sha256: str
    has_audio: bool = False
    has_video: bool = False
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    frames: int | None = None
    fps: float | None = None
    pages: int | None = None
    title: str | None = None
    camera: str | None = None

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Metadata:
        """Take what `opening.extract` found."""
        known = {one.name for one in fields(cls)}
        exif = facts.get("exif") or {}
        make, model = str(exif.get("make", "")), str(exif.get("model", ""))
        camera = model if make.split(" ", maxsplit=1)[0].lower() in model.lower() else f"{make} {model}".strip()
        title = facts.get("title") or (facts.get("tags") or {}).get("title") or None
        return cls(
            **{key: value for key, value in facts.items() if key in known} | {"camera": camera or None, "title": title}
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of `media`: one sentence, the facts, and every file that was made."""

    summary: str
    kind: str
    content_type: str
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    pages: int | None = None
    characters: int | None = None
    language: str | None = None
    blurhash: str | None = None
    phash: str | None = None
    """Perceptual hash of a picture: docs/images.md finds duplicates by it."""
    labels: list[Label] = field(default_factory=list)
    objects: list[Thing] = field(default_factory=list)
    caption: str | None = None
    digest: str | None = None
    """What the text or the talk says, in its own sentences."""
    files: list[File] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def sentence(meta: Metadata, label: str, *, characters: int | None = None) -> str:
    """Say in one sentence what a file is: `JPEG image, 4608 x 1976, 2.2 MB, taken with a Nokia 8.3 5G`."""
    parts = [_plain(meta, label)]
    if meta.width and meta.height:
        parts.append(f"{meta.width} x {meta.height}")
    if meta.kind == "image" and meta.frames and meta.frames > 1:
        parts.append(f"{meta.frames} frames")
    if meta.duration_s is not None:
        parts.append(clock(meta.duration_s))
    if meta.kind == "video":
        parts.append("with sound" if meta.has_audio else "without sound")
    if meta.pages is not None:
        parts.append("1 page" if meta.pages == 1 else f"{meta.pages} pages")
    if characters is not None:
        parts.append(f"{characters:,} characters of text" if characters else "no text layer")
    parts.append(size(meta.size_bytes))
    if meta.camera:
        parts.append(f"taken with {meta.camera}")
    return ", ".join(parts)


def _plain(meta: Metadata, label: str) -> str:
    """Call an MP4 file a video or a recording, whichever it is."""
    if meta.kind in ("video", "audio"):
        noun = "video" if meta.kind == "video" else "recording"
        return f"{label.split(' ', maxsplit=1)[0]} {noun}"
    return label


def clock(seconds: float) -> str:
    """Write a length as people do: `5.3 s`, `4:07 min`, `1:02:03 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02} h"


def size(count: int) -> str:
    """Write a size in bytes as people do: `512 B`, `24.6 kB`, `2.2 MB`."""
    if count < 1000:
        return f"{count} B"
    for unit, step in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if count < step * 999.5 or unit == "GB":
            return f"{count / step:.1f} {unit}"
    raise AssertionError("unreachable")
