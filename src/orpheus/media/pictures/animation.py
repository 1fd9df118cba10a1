"""Animations that stay animations: every frame upright, in sRGB, for as long as it was shown."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orpheus.media.errors import TooLarge
from orpheus.media.extras import need
from orpheus.media.image import opened, standard, translated
from orpheus.media.sniff import Type

if TYPE_CHECKING:
    from PIL.Image import Image

_HASTE_MS: Final = 10
_UNSAID_MS: Final = 100
"""Browsers show a frame that claims 10 ms or less for 100 ms, and so do we: what is meant is what everybody has seen."""


@dataclass(frozen=True, slots=True)
class Film:
    """Frames of one size, how long each is shown in milliseconds, and how often all are (0: for ever)."""

    frames: list[Image]
    times_ms: list[int]
    loops: int

    def resized(self, size: tuple[int, int]) -> Film:
        """Return it smaller."""
        if self.frames[0].size == size:
            return self
        lanczos = need("PIL.Image").Resampling.LANCZOS
        return Film([one.resize(size, lanczos, reducing_gap=3.0) for one in self.frames], self.times_ms, self.loops)

    def webp(self, **settings: Any) -> bytes:
        """Encode as an animated WebP."""
        buffer = io.BytesIO()
        first, *rest = self.frames
        first.save(
            buffer, "WEBP", save_all=True, append_images=rest, duration=self.times_ms, loop=self.loops, **settings
        )
        return buffer.getvalue()


def film(path: Path, found: Type, size: tuple[int, int], *, cap: int) -> Film | None:
    """Decode every frame at `size`; None when it is a still picture.

    Raises:
        TooLarge: all frames together have more than `cap` pixels.
        CorruptMedia: a frame is broken.
    """
    with opened(path, found) as image, translated(found):
        count = int(getattr(image, "n_frames", 1) or 1)
        if count < 2 or found.opener == "TIFF":  # pages, not frames
            return None
        if count * size[0] * size[1] > cap:
            raise TooLarge(
                f"{count} frames of {size[0]} x {size[1]} are {count * size[0] * size[1] / 1e6:,.0f} megapixels; "
                f"at most {cap / 1e6:,.0f} are kept moving",
                hint="Ask for smaller sides, or for the first frame only (animated=first).",
            )
        ops, lanczos = need("PIL.ImageOps"), need("PIL.Image").Resampling.LANCZOS
        loops = image.info.get("loop", 1)
        frames, times_ms = [], []
        for number in range(count):
            image.seek(number)
            image.load()
            frame = standard(ops.exif_transpose(image))
            frames.append(frame.resize(size, lanczos, reducing_gap=3.0) if frame.size != size else frame.copy())
            frames[-1].info.clear()
            shown_ms = image.info.get("duration", 0)
            times_ms.append(round(shown_ms) if shown_ms > _HASTE_MS else _UNSAID_MS)
        alpha = any(frame.mode == "RGBA" for frame in frames)
        return Film([frame.convert("RGBA" if alpha else "RGB") for frame in frames], times_ms, loops)
