"""How far is a scanned page turned? Its lines tell: where they lie level, rows of ink and rows of paper alternate most sharply.

Source: the projection profile method (Postl 1986). Tesseract levels text itself, but loses half a page that leans by two
degrees to one side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orpheus.media.extras import need

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_DEGREES: Final = 7.0
"""A page lies askew by a few degrees in a scanner; what leans further was meant to."""
LEAST_DEGREES: Final = 1.0
"""Tesseract levels less than that by itself, and turning softens the letters."""
_LOOKED_AT_SIDE: Final = 1000
_STEPS: Final = (1.0, 0.2)


def levelled(picture: Image) -> Image:
    """Return a grey picture of a page with its lines level."""
    degrees = lean(picture)
    if abs(degrees) < LEAST_DEGREES:
        return picture
    pil = need("PIL.Image")
    turned: Image = picture.rotate(degrees, pil.Resampling.BICUBIC, fillcolor=_paper(picture))
    return turned


def lean(picture: Image) -> float:
    """Return by how many degrees (counterclockwise) a grey picture has to be turned for its lines to lie level; 0 where it has none."""
    pil = need("PIL.Image")
    small = picture.convert("L")
    small.thumbnail((_LOOKED_AT_SIDE, _LOOKED_AT_SIDE), pil.Resampling.BOX)
    paper = _paper(small)
    ink = small.point(lambda value: min(255, abs(value - paper)))

    def sharpness(degrees: float) -> float:
        turned = ink.rotate(degrees, pil.Resampling.BILINEAR, fillcolor=0)
        rows = turned.convert("F").resize((1, turned.height), pil.Resampling.BOX).tobytes()
        profile = memoryview(rows).cast("f")
        return sum((profile[row + 1] - profile[row]) ** 2 for row in range(len(profile) - 1))

    best, reach = 0.0, MOST_DEGREES
    for step in _STEPS:
        around = [best + step * place for place in range(-round(reach / step), round(reach / step) + 1)]
        best, reach = max(around, key=sharpness), step
    # A picture without lines has no angle that stands out.
    return best if sharpness(best) > 1.1 * sharpness(0.0) else 0.0


def _paper(picture: Image) -> int:
    """Return the commonest shade, which is that of the paper."""
    shades = picture.histogram()
    return shades.index(max(shades))
