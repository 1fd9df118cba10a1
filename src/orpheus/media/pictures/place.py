"""Where was a picture taken? Read only when a job asks for it: nothing else of Orpheus looks at GPS notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from orpheus.media.image import opened, translated
from orpheus.media.sniff import Type

_GPS_IFD: Final = 0x8825
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4


def place(path: Path, found: Type) -> dict[str, float]:
    """Read `latitude` and `longitude` in degrees, north and east positive; nothing where the camera noted none.

    Raises:
        CorruptMedia: see `image.opened`.
    """
    with opened(path, found) as image, translated(found):
        try:
            notes = dict(image.getexif().get_ifd(_GPS_IFD))
            latitude = _degrees(notes[_LATITUDE], notes[_LATITUDE_REF], "S")
            longitude = _degrees(notes[_LONGITUDE], notes[_LONGITUDE_REF], "W")
        except Exception:  # a camera's notes may be any bytes at all; a picture without them is still a picture
            return {}
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return {}
    return {"latitude": latitude, "longitude": longitude}


def _degrees(value: Any, reference: Any, negative: str) -> float:
    degrees, minutes, seconds = (float(part) for part in value)
    letter = reference.decode("ascii") if isinstance(reference, bytes) else str(reference)
    size = round(degrees + minutes / 60 + seconds / 3600, 6)
    return -size if letter.strip("\0 ").upper() == negative else size
