"""Do two pictures look alike? A perceptual hash of 64 bits: its Hamming distance grows with the difference.

Files of one picture (another size, format, quality) are within 6 of each other; different pictures around 32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orpheus.media.extras import need

if TYPE_CHECKING:
    from PIL.Image import Image


def phash(picture: Image) -> str:
    """Return the hash of an upright picture, 16 hexadecimal digits; alpha over white."""
    flat = picture
    if picture.mode == "RGBA":
        flat = need("PIL.Image").new("RGBA", picture.size, "white")
        flat.alpha_composite(picture)
    return str(need("imagehash").phash(flat.convert("L")))


def distance(left: str, right: str) -> int:
    """Count the bits in which two hashes differ: 0 to 64."""
    return (int(left, 16) ^ int(right, 16)).bit_count()
