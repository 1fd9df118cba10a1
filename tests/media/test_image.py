"""Thumbnails: sizes, colours, orientation, and what they must not carry."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from orpheus.media import image
from orpheus.media.errors import CorruptMedia, ExtraMissing, TooLarge
from orpheus.media.opening import type_of
from orpheus.media.pictures import thumbnails
from orpheus.media.sniff import PNG


def shown(path: Path, sides: tuple[int, ...] = (160, 320, 1280)) -> dict[int, Image.Image]:
    made = thumbnails.decode(path, type_of(path), sides)
    return {one.side: Image.open(io.BytesIO(one.data)) for one in thumbnails.thumbnails(made, sides)}


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((4000, 3000), 320, (320, 240)),
        ((3000, 4000), 320, (240, 320)),
        ((100, 50), 320, (100, 50)),
        ((320, 320), 320, (320, 320)),
        ((40_000, 3), 160, (160, 1)),
        ((1, 99_999), 160, (1, 160)),
    ],
)
def test_fit_never_enlarges_and_never_vanishes(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    assert thumbnails.fit(*size, side) == expected


def test_transparency_is_kept(make_image: Callable[..., Path]) -> None:
    pictures = shown(make_image("a.png", "RGBA", (400, 300), (255, 0, 0, 0)))
    assert pictures[160].mode == "RGBA"
    assert pictures[160].getpixel((80, 60))[3] == 0


def test_a_palette_with_a_transparent_colour_keeps_it(make_image: Callable[..., Path]) -> None:
    pictures = shown(make_image("a.png", "P", (40, 30), 0, transparency=0))
    assert pictures[160].mode == "RGBA"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_png_gives_a_thumbnail(make_image: Callable[..., Path], mode: str) -> None:
    assert shown(make_image("a.png", mode, (40, 30)))[160].size == (40, 30)


def test_sixteen_bit_greys_are_scaled_not_cut_off(make_image: Callable[..., Path]) -> None:
    picture = shown(make_image("a.png", "I;16", (40, 30), 0x8000))[160].convert("L")
    assert abs(picture.getpixel((20, 15)) - 128) <= 2


def test_floating_greys_from_black_to_white_are_not_black(make_image: Callable[..., Path]) -> None:
    """Science keeps brightness as numbers from 0 to 1."""
    picture = shown(make_image("a.tif", "F", (40, 30), 0.5))[160].convert("L")
    assert abs(picture.getpixel((20, 15)) - 128) <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_is_turned_once(make_image: Callable[..., Path], orientation: int) -> None:
    """Pillow turns a TIFF by itself, other formats not."""
    path = make_image("a.tif", "RGB", (40, 20), (10, 20, 30), tiffinfo={0x0112: orientation})
    facts = image.describe(path, type_of(path))
    expected = (40, 20) if orientation < 5 else (20, 40)
    assert (facts["width"], facts["height"], facts["orientation"]) == (*expected, orientation)
    assert shown(path)[160].size == expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(make_image: Callable[..., Path], orientation: int) -> None:
    """A 40 x 20 picture stored with orientations 5 to 8 is shown as 20 x 40."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = make_image("a.jpg", "RGB", (40, 20), (10, 20, 30), exif=exif)
    expected = (40, 20) if orientation < 5 else (20, 40)
    assert shown(path)[160].size == expected
    facts = image.describe(path, type_of(path))
    assert (facts["width"], facts["height"]) == expected


def test_nothing_of_the_metadata_reaches_a_thumbnail(make_image: Callable[..., Path]) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCam"
    exif.get_ifd(0x8825)[1] = "N"
    path = make_image("a.jpg", "RGB", (40, 20), exif=exif, comment=b"hidden")
    for picture in shown(path).values():
        assert not picture.getexif()
        assert "icc_profile" not in picture.info
    assert image.describe(path, type_of(path))["exif"] == {"make": "SecretCam"}


def test_a_broken_colour_profile_costs_no_picture(make_image: Callable[..., Path]) -> None:
    path = make_image("a.png", "RGB", (40, 20), (200, 10, 10), icc_profile=b"not a profile" * 20)
    assert shown(path)[160].size == (40, 20)


def test_size_is_checked_before_decoding() -> None:
    with pytest.raises(TooLarge, match="169 megapixels"):
        image.check_size(13_000, 13_000)
    with pytest.raises(CorruptMedia):
        image.check_size(0, 10)


def test_only_the_sniffed_decoder_may_try(make_image: Callable[..., Path]) -> None:
    with pytest.raises(CorruptMedia), image.opened(make_image("a.gif", "P", (4, 4)), PNG):
        pass


def test_blurhash_is_short_and_stable(make_image: Callable[..., Path]) -> None:
    made = thumbnails.decode(path := make_image("a.png", "RGB", (64, 48), (255, 0, 0)), type_of(path))
    assert made.blurhash() == made.blurhash()
    assert 6 <= len(made.blurhash()) <= 40


def test_a_missing_extra_names_the_command(make_image: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_image("a.png", "RGB", (4, 4))
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ExtraMissing, match="pillow") as missing:
        image.check(path, PNG)
    assert 'pip install "orpheus-jobs[image]"' in missing.value.hint


@pytest.mark.parametrize("mode", ["I", "F", "I;16", "CMYK", "LAB", "1"])
def test_scientific_and_print_tiffs_give_a_thumbnail(make_image: Callable[..., Path], mode: str) -> None:
    assert shown(make_image("a.tif", mode, (40, 30)))[160].size == (40, 30)
