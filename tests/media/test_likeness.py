"""The same picture in another size, form, quality or light is found again; one that is turned or mirrored is another."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance, ImageOps

from orpheus.media import image
from orpheus.media.opening import type_of
from orpheus.media.pictures import likeness, thumbnails

pytestmark = pytest.mark.samples
NEAR = 6
"""The distance that is asked for when none is named."""


def _turned_by_exif(picture: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


CHANGES: dict[str, tuple[str, Callable[[Image.Image, Path], None]]] = {
    "a poor JPEG": ("a.jpg", lambda picture, path: picture.save(path, quality=15)),
    "a small PNG": ("a.png", lambda picture, path: ImageOps.contain(picture, (96, 96)).save(path)),
    "a large JPEG": ("a.jpg", lambda picture, path: ImageOps.scale(picture, 1.7).save(path)),
    "an AVIF": ("a.avif", lambda picture, path: ImageOps.scale(picture, 0.6).save(path, quality=45)),
    "a GIF": ("a.gif", lambda picture, path: picture.quantize(64).save(path)),
    "grey": ("a.jpg", lambda picture, path: picture.convert("L").save(path)),
    "brighter": ("a.jpg", lambda picture, path: ImageEnhance.Brightness(picture).enhance(1.2).save(path)),
    "squeezed": ("a.png", lambda picture, path: picture.resize((picture.width, picture.height * 4 // 5)).save(path)),
    "turned by its camera": ("a.jpg", _turned_by_exif),
}


def hash_of(path: Path) -> str:
    return thumbnails.decode(path, type_of(path)).phash()


@pytest.mark.parametrize("name", ["coffee.webp", "astronaut.avif", "cat-cmyk.jpg", "iphone-12mp.heic"])
def test_a_changed_copy_is_found(samples: Path, tmp_path: Path, name: str) -> None:
    source = samples / "images" / name
    upright, _ = image.upright(source, type_of(source), at_least=800)
    picture, own = ImageOps.contain(upright.convert("RGB"), (800, 800)), hash_of(source)
    far = {}
    for change, (file, write) in CHANGES.items():
        write(picture, tmp_path / file)
        far[change] = likeness.distance(own, hash_of(tmp_path / file))
    assert max(far.values()) <= NEAR, far
    for other in (ImageOps.mirror(picture), picture.transpose(Image.Transpose.ROTATE_90)):
        other.save(tmp_path / "other.png")
        assert likeness.distance(own, hash_of(tmp_path / "other.png")) > 11
