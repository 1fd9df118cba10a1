"""HEIC as other programs than one phone write it: alpha, ten bits, turned, several pictures in a file, cut off."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from orpheus.media import guard
from orpheus.media.errors import CorruptMedia
from orpheus.media.opening import type_of
from orpheus.media.pictures import thumbnails

heif = pytest.importorskip("pillow_heif")
SIZE = (201, 153)
RED, LIME, NAVY = (255, 0, 0), (0, 255, 0), (0, 0, 128)


def flag() -> Image.Image:
    """Red at the upper left, lime at the lower right, the rest navy."""
    picture = Image.new("RGB", SIZE, NAVY)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 99, 75), fill=RED)
    draw.rectangle((101, 76, 200, 152), fill=LIME)
    return picture


def _turned(orientation: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        exif = Image.Exif()
        exif[0x112] = orientation
        heif.from_pillow(flag()).save(path, quality=90, exif=exif.tobytes())

    return write


def _alpha(path: Path) -> None:
    picture = flag().convert("RGBA")
    picture.putalpha(Image.new("L", SIZE, 128))
    heif.from_pillow(picture).save(path, quality=90)


def _ten_bits(path: Path) -> None:
    deep = b"".join(value.to_bytes(1, "little") * 2 for value in flag().tobytes())
    heif.from_bytes(mode="RGB;16", size=SIZE, data=deep).save(path, quality=90)


def _second_of_two(path: Path) -> None:
    both = heif.HeifFile()
    both.add_from_pillow(flag())
    both.add_from_pillow(flag().rotate(180))
    both.save(path, quality=90, primary_index=1)


CASES: dict[str, tuple[Callable[[Path], None], str, tuple[int, int], list[tuple[int, int, int]]]] = {
    "plain": (lambda path: heif.from_pillow(flag()).save(path, quality=90), "RGB", SIZE, [RED, NAVY, LIME]),
    "alpha": (_alpha, "RGBA", SIZE, [RED, NAVY, LIME]),
    "ten bits": (_ten_bits, "RGB", SIZE, [RED, NAVY, LIME]),
    "upside down": (_turned(3), "RGB", SIZE, [LIME, NAVY, RED]),
    "to the right": (_turned(6), "RGB", SIZE[::-1], [NAVY, RED, NAVY]),
    "to the left": (_turned(8), "RGB", SIZE[::-1], [NAVY, LIME, NAVY]),
    "the second of two": (_second_of_two, "RGB", SIZE, [LIME, NAVY, RED]),
}


@pytest.mark.parametrize("kind", list(CASES))
def test_heic_is_upright_and_keeps_its_colours(tmp_path: Path, kind: str) -> None:
    """Looked at near its corners: upper left, upper right, lower right."""
    write, mode, size, corners = CASES[kind]
    path = tmp_path / "a.heic"
    write(path)
    made = thumbnails.decode(path, type_of(path), (320,), animated="first")
    (one,) = thumbnails.thumbnails(made, (320,), "webp")
    shown = Image.open(io.BytesIO(one.data))
    assert (shown.mode, shown.size) == (mode, size)
    width, height = size
    for place, colour in zip(((4, 4), (width - 5, 4), (width - 5, height - 5)), corners, strict=True):
        assert shown.convert("RGB").getpixel(place) == pytest.approx(colour, abs=12), place


def test_heic_that_is_cut_off_or_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "a.heic"
    heif.from_pillow(flag()).save(whole, quality=90)
    data = whole.read_bytes()
    size = data.index(b"ispe") + 8
    for name, bad in {
        "cut.heic": data[: len(data) * 2 // 3],
        "lie.heic": data[:size] + (60_000).to_bytes(4, "big") * 2 + data[size + 8 :],
    }.items():
        path = tmp_path / name
        path.write_bytes(bad)
        with pytest.raises(CorruptMedia):
            guard.call("validate", path=path, name=name)
