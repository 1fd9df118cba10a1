"""Images: opened under caps, described, and decoded upright in sRGB. Plain functions on paths; no task in sight.

Whoever decodes goes through `opened`, which lets only the one decoder of the sniffed type try, and checks the size that the
header claims before a pixel is decoded.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orpheus.media.errors import CorruptMedia, ExtraMissing, Refused, TooLarge
from orpheus.media.extras import need
from orpheus.media.limits import MAX_FRAMES, MAX_PIXELS
from orpheus.media.sniff import Type

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION: Final = 0x0112
_EXIF_IFD: Final = 0x8769

_EXIF_NAMES: Final = {
    0x010F: "make",
    0x0110: "model",
    0x0131: "software",
    0x0132: "modified_at",
    0x9003: "taken_at",
    0x9011: "utc_offset",
    0xA434: "lens",
    0x829A: "exposure_s",
    0x829D: "f_number",
    0x8827: "iso",
    0x920A: "focal_length_mm",
}
"""What of a camera's notes is kept. An allow-list: places, owners, serial numbers and maker's notes are not on it."""

_CAMERA_TIME = re.compile(r"^(\d{4}):(\d{2}):(\d{2}) (\d{2}:\d{2}:\d{2})$")
"""Cameras write dates with colons, and mean local time."""


@contextlib.contextmanager
def opened(path: Path, found: Type) -> Iterator[Image]:
    """Open an image with the decoder of its type only; nothing is decoded yet.

    Raises:
        CorruptMedia: the header makes no sense.
        TooLarge: the header claims more than `MAX_PIXELS`.
        ExtraMissing: Pillow, or what opens HEIC, is not installed.
    """
    pil = need("PIL.Image")
    if found.opener == "HEIF":
        need("pillow_heif").register_heif_opener()
    elif found.opener == "AVIF":
        _need_avif()
    with translated(found):
        # Pillow warns between one and two times its own cap; ours is checked below, on every path.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pil.DecompressionBombWarning)
            image = pil.open(path, formats=(found.opener,))
        with image:
            check_size(*image.size)
            yield image


def check_size(width: int, height: int, *, cap: int = MAX_PIXELS, what: str = "the picture") -> None:
    """Refuse a size beyond the cap, before anything of that size is made.

    Raises:
        TooLarge: more than `cap` pixels.
        CorruptMedia: a side of no length.
    """
    if width < 1 or height < 1:
        raise CorruptMedia(f"{what} has no area ({width} x {height})")
    if width * height > cap:
        size = f"{width} x {height} pixels, " if height > 1 else ""
        raise TooLarge(
            f"{what} claims {size}{width * height / 1e6:,.0f} megapixels; at most {cap / 1e6:,.0f} are opened",
            hint="Scale it down before sending it.",
        )


def _need_avif() -> None:
    if not need("PIL.features").check("avif"):
        raise ExtraMissing(
            "this build of Pillow cannot open AVIF",
            hint='Install the wheel from the package index: pip install --upgrade "orpheus-jobs[image]".',
        )


@contextlib.contextmanager
def translated(found: Type) -> Iterator[None]:
    """Turn what a decoder raises into a verdict. Pillow's decoders raise nearly anything on broken data."""
    pil = need("PIL.Image")
    try:
        yield
    except Refused:
        raise
    except pil.DecompressionBombError as error:
        claimed = re.search(r"\((\d+) pixels", str(error))
        check_size(int(claimed[1]) if claimed else MAX_PIXELS + 1, 1)
        raise CorruptMedia(f"this is a broken {found.label}: {error}") from error
    except MemoryError as error:
        raise TooLarge("opening the picture took more memory than is allowed") from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        EOFError,
        IndexError,
        KeyError,
        RuntimeError,
        ArithmeticError,
    ) as error:
        reason = str(error) or type(error).__name__
        if "cannot identify image file" in reason:  # Pillow quotes our path here, which says nothing to anybody
            reason = "its header cannot be read"
        raise CorruptMedia(
            f"this is a broken {found.label}: {reason}", hint="Export it again from where it came from, and send that."
        ) from error


def check(path: Path, found: Type) -> None:
    """Decode the whole (first) picture, so that nothing later meets broken data.

    Raises:
        CorruptMedia: truncated, or a checksum is wrong.
        TooLarge: see `opened`.
    """
    if found.opener in ("HEIF", "AVIF"):
        _check_boxes(path, found)
    if found.opener == "PNG":
        # `load` does not look at every checksum; `verify` does, and leaves the image unusable.
        with opened(path, found) as image, translated(found):
            image.verify()
    with opened(path, found) as image, translated(found):
        image.load()


def _check_boxes(path: Path, found: Type) -> None:
    """Refuse a HEIC or AVIF that ends inside of a box; the decoder of HEIC would leave the missing tiles grey.

    Source: ISO/IEC 14496-12, 4.2: a box begins with its length, in 4 bytes or (when those say 1) in the 8 after its name.
    """
    size_bytes, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at < size_bytes:
            file.seek(at)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length == 0:  # to the end of the file
                return
            at += max(length, 8)
    if at > size_bytes:
        raise CorruptMedia(
            f"this {found.label} is truncated: {at - size_bytes:,} bytes are missing",
            hint="The upload may have broken off: send it again.",
        )


def describe(path: Path, found: Type) -> dict[str, Any]:
    """Read an image's facts: upright `width` and `height`, `frames`, `mode`, `has_alpha`, `exif` without any place."""
    with opened(path, found) as image, translated(found):
        orientation = orientation_of(image)
        width, height = upright_size(image)
        facts: dict[str, Any] = {
            "width": width,
            "height": height,
            "orientation": orientation,
            "mode": image.mode,
            "has_alpha": _has_alpha(image),
            "frames": min(int(getattr(image, "n_frames", 1) or 1), MAX_FRAMES),
            "exif": _exif(image),
        }
        duration_ms = _animation_ms(image) if facts["frames"] > 1 else 0
        if duration_ms:
            facts["frame_duration_s"] = duration_ms / 1000
        return facts


def _animation_ms(image: Image) -> float:
    duration = image.info.get("duration", 0)
    return float(duration) if isinstance(duration, (int, float)) and duration > 0 else 0.0


def orientation_of(image: Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a camera's notes may be any bytes at all; a picture without them is still a picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright_size(image: Image) -> tuple[int, int]:
    """Return the size of a picture as it is shown; Pillow has turned that of a TIFF already when it opens it."""
    turned = orientation_of(image) >= 5 and image.format != "TIFF"
    return image.size[::-1] if turned else image.size


def _has_alpha(image: Image) -> bool:
    return "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info


def _exif(image: Image) -> dict[str, Any]:
    try:
        exif = image.getexif()
        notes = {**dict(exif), **dict(exif.get_ifd(_EXIF_IFD))}
    except Exception:
        return {}
    kept = {name: value for tag, name in _EXIF_NAMES.items() if (value := _plain(notes.get(tag))) is not None}
    for name in ("taken_at", "modified_at"):
        if name in kept:
            kept[name] = _CAMERA_TIME.sub(r"\1-\2-\3T\4", str(kept[name]))
    return kept


def _plain(value: Any) -> str | int | float | None:
    """Make one EXIF value JSON: fractions become floats, text loses its padding, nonsense is dropped."""
    if isinstance(value, tuple):
        value = value[0] if value else None
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        text = "".join(character for character in value if character.isprintable()).strip()
        return text[:200] or None
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return round(number, 6) if abs(number) < 1e12 else None  # false for NaN too


def upright(path: Path, found: Type, *, at_least: int) -> tuple[Image, tuple[int, int]]:
    """Decode the (first) picture upright, in sRGB or sRGB with alpha; at least `at_least` pixels on its longest side if it has them.

    JPEGs are decoded at a fraction of their size where that is enough, which is several times faster.

    Returns:
        The picture, and its full upright size.
    """
    with opened(path, found) as image, translated(found):
        ops = need("PIL.ImageOps")
        full = upright_size(image)
        if found.opener == "JPEG":
            image.draft(None, (at_least, at_least))  # never below what is asked for; keeps the mode
        image.load()
        return standard(ops.exif_transpose(image)), full


def standard(image: Image) -> Image:
    """Convert to RGB or RGBA in sRGB, through the picture's own colour profile where it has one."""
    alpha = _has_alpha(image)
    profile = image.info.get("icc_profile")
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    keyed = "transparency" in image.info  # one colour that stands for no colour: a profile would change it
    if keyed or image.mode in ("P", "1", "PA", "LA", "La", "RGBa"):
        image = image.convert("RGBA" if alpha else "RGB")
    if profile and image.mode in ("RGB", "RGBA", "CMYK", "L"):
        image = _through_profile(image, profile)
    wanted = "RGBA" if alpha else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _eight_bits(image: Image) -> Image:
    """Bring 16-bit and floating greys into 8 bits; `convert` would cut them off at 255, or leave all of 0 to 1 black."""
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value / 256).convert("L")
    low, high = (float(value) for value in image.getextrema())  # type: ignore[arg-type]
    spread = (high - low) or 1.0
    if image.mode == "F" and low >= 0 and high <= 1:
        low, spread = 0.0, 1.0
    elif low >= 0 and high <= 255:
        return image.convert("L")
    return image.point(lambda value: (value - low) * (255.0 / spread)).convert("L")


def _through_profile(image: Image, profile: bytes) -> Image:
    cms = need("PIL.ImageCms")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if image.mode == "RGBA" else image
    try:
        source = cms.ImageCmsProfile(io.BytesIO(profile))
        converted = cms.profileToProfile(colours, source, cms.createProfile("sRGB"), outputMode="RGB")
    except (cms.PyCMSError, OSError, ValueError):
        return image  # a broken or foreign profile costs accuracy of colour, not the picture
    if alpha is not None:
        converted.putalpha(alpha)
    result: Image = converted
    return result


def webp(picture: Image, *, quality: int = 82) -> bytes:
    """Encode as WebP, with nothing but the pixels."""
    clean = picture.copy()
    clean.info.clear()
    buffer = io.BytesIO()
    clean.save(buffer, "WEBP", quality=quality, method=4)
    return buffer.getvalue()
