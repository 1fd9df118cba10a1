"""A scene's picture and caption as PNGs that FFmpeg can move: upright, sRGB, filling the canvas. Plain functions on paths."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any, Final

from orpheus.media import image
from orpheus.media.extras import need
from orpheus.media.sniff import Type

SUPERSAMPLED: Final = 3
"""How much larger than the canvas the picture is: motion is in whole pixels of it, so a third of a pixel on the canvas."""
_LARGEST_SIDE: Final = 8_192
_TYPEWRITER: Final = str.maketrans({"—": "-", "–": "-", "“": '"', "”": '"', "‘": "'", "’": "'", "…": "..."})
"""What Pillow's own font has no letters for."""


def prepare(path: Path, found: Type, target: Path, *, width: int, height: int) -> None:
    """Write a picture as PNG that fills `width` x `height` times `SUPERSAMPLED`; what does not fit is cut off evenly.

    Raises:
        Refused: as `image.opened`.
    """
    ops = need("PIL.ImageOps")
    pil = need("PIL.Image")
    scale = min(SUPERSAMPLED, _LARGEST_SIDE / max(width, height))
    size = (int(width * scale) // 2 * 2, int(height * scale) // 2 * 2)
    picture, _ = image.upright(path, found, at_least=max(size))
    flat = pil.new("RGB", picture.size, "black")
    flat.paste(picture, mask=picture.getchannel("A") if "A" in picture.getbands() else None)
    ops.fit(flat, size, method=pil.Resampling.LANCZOS, centering=(0.5, 0.4)).save(target, "PNG", compress_level=1)


def caption(text: str, target: Path, *, width: int, height: int) -> bool:
    """Write a caption as a transparent PNG of the canvas' size; False when there is nothing to write.

    The letters are those that come with Pillow (Latin); `ORPHEUS_FONT` names a font file for other scripts.
    """
    named = os.environ.get("ORPHEUS_FONT")
    said = " ".join(text.split())[:400]
    if not named:
        said = said.translate(_TYPEWRITER)
    if not said:
        return False
    pil, draw_of, fonts = need("PIL.Image"), need("PIL.ImageDraw"), need("PIL.ImageFont")
    size = max(10, height // 18)
    font: Any = fonts.truetype(named, size) if named else fonts.load_default(size)
    layer = pil.new("RGBA", (width, height), (0, 0, 0, 0))
    draw = draw_of.Draw(layer)
    lines = textwrap.wrap(said, max(8, int(width * 0.84 / (size * 0.5))))[:4]
    block = "\n".join(lines)
    place = (width / 2, height - height // 14)
    box = draw.multiline_textbbox(place, block, font=font, anchor="md", align="center")
    pad = size // 2
    draw.rounded_rectangle((box[0] - pad, box[1] - pad, box[2] + pad, box[3] + pad), radius=pad, fill=(0, 0, 0, 150))
    draw.multiline_text(place, block, font=font, anchor="md", align="center", fill=(255, 255, 255, 255))
    layer.save(target, "PNG")
    return True
