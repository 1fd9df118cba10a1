"""Smaller pictures of a picture, in three formats, and the blur that a page shows while they load. Plain functions.

The files are written from pixels alone: nothing of the source's metadata, or of what hides behind its end, is in them.
Pixels are sRGB, which is what a file without a profile means.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from orpheus.media.extras import need
from orpheus.media.image import upright
from orpheus.media.limits import MAX_ANIMATION_PIXELS, THUMBNAIL_SIDES
from orpheus.media.pictures import likeness
from orpheus.media.pictures.animation import Film, film
from orpheus.media.sniff import Type

if TYPE_CHECKING:
    from PIL.Image import Image

Format = Literal["webp", "avif", "jpeg"]
Animated = Literal["first", "keep"]

SUFFIX: Final = {"webp": "webp", "avif": "avif", "jpeg": "jpg"}
CONTENT_TYPE: Final = {"webp": "image/webp", "avif": "image/avif", "jpeg": "image/jpeg"}

_LEAST_DECODED: Final = 256
"""Longest side, in pixels: a blurhash and a likeness want this much, however small the thumbnails."""

_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "webp": {"quality": 82, "method": 4},
    "avif": {"quality": 70, "speed": 7},
    "jpeg": {"quality": 85, "optimize": True, "progressive": True},
}


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One smaller picture, encoded."""

    side: int
    data: bytes
    width: int
    height: int
    frames: int = 1


@dataclass(frozen=True, slots=True)
class Made:
    """A picture, decoded once: what all that is smaller is made from."""

    picture: Image
    full: tuple[int, int]
    film: Film | None

    def blurhash(self) -> str:
        return blurhash(self.picture)

    def phash(self) -> str:
        return likeness.phash(self.picture)


def fit(width: int, height: int, side: int) -> tuple[int, int]:
    """Scale a size so that its longest side is `side`: never enlarged, no side under one pixel."""
    longest = max(width, height)
    if longest <= side:
        return width, height
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))


def decode(path: Path, found: Type, sides: Sequence[int] = THUMBNAIL_SIDES, *, animated: Animated = "first") -> Made:
    """Decode a picture (of an animation with `keep` every frame) as large as the largest of `sides` wants it.

    Raises:
        CorruptMedia, TooLarge, ExtraMissing: see `image.opened`; also an animation of too many pixels.
    """
    at_least = max(*sides, _LEAST_DECODED)
    picture, full = upright(path, found, at_least=at_least)
    moving = film(path, found, fit(*full, max(sides)), cap=MAX_ANIMATION_PIXELS) if animated == "keep" else None
    return Made(picture, full, moving)


def thumbnails(made: Made, sides: Sequence[int] = THUMBNAIL_SIDES, form: Format = "webp") -> Iterator[Thumbnail]:
    """Yield a thumbnail per side, from the largest to the smallest; each is made from the one before it.

    An animation is always WebP.
    """
    picture = made.picture
    moving = made.film
    lanczos = need("PIL.Image").Resampling.LANCZOS
    for side in sorted(set(sides), reverse=True):
        size = fit(*made.full, side)
        if moving is not None:
            moving = moving.resized(size)
            yield Thumbnail(side, moving.webp(**_SETTINGS["webp"]), *size, frames=len(moving.frames))
            continue
        if size != picture.size:
            picture = picture.resize(size, lanczos, reducing_gap=3.0)
        yield Thumbnail(side, encode(picture, form), *size)


def encode(picture: Image, form: Format = "webp") -> bytes:
    """Encode with nothing but the pixels. JPEG has no alpha: it is laid on white."""
    clean = picture.copy() if form != "jpeg" else on_white(picture)
    clean.info.clear()
    buffer = io.BytesIO()
    clean.save(buffer, form.upper(), **_SETTINGS[form])
    return buffer.getvalue()


def on_white(picture: Image) -> Image:
    """Return a picture without alpha: where it is transparent, white shows."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")  # a copy
    ground = need("PIL.Image").new("RGBA", picture.size, "white")
    ground.alpha_composite(picture)
    flat: Image = ground.convert("RGB")
    return flat


def blurhash(picture: Image) -> str:
    """Describe a picture in about 30 characters that a page can show as a blur while the file loads; alpha over white."""
    encoder = need("blurhash")
    small = on_white(picture)
    small.thumbnail((32, 32))
    width, height = small.size
    pixels = small.tobytes()
    rows = [[list(pixels[3 * (y * width + x) :][:3]) for x in range(width)] for y in range(height)]
    across, down = (4, 3) if width >= height else (3, 4)
    text: str = encoder.encode(rows, components_x=across, components_y=down)
    return text
