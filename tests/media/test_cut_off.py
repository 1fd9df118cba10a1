"""Files whose end is missing: refused where their kind needs it, and never told longer than they are where it does not."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orpheus.media import guard, image, video
from orpheus.media.errors import CorruptMedia
from orpheus.media.opening import type_of


def tone(path: Path, *options: str) -> bytes:
    argv = ["-f", "lavfi", "-i", "sine=440:d=20", *options, "-y", str(path)]
    subprocess.run([video.ffmpeg(), "-nostdin", "-loglevel", "error", *argv], check=True)
    return path.read_bytes()


def test_half_a_flac_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    data = tone(path)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptMedia, match=r"claims 20\.00 s"):
        guard.call("validate", path=path, name=path.name)


def test_half_an_mp3_is_half_as_long(tmp_path: Path) -> None:
    """Its header goes on claiming the whole."""
    path = tmp_path / "a.mp3"
    data = tone(path, "-b:a", "64k")
    path.write_bytes(data[: len(data) // 2])
    assert video.check(path, type_of(path))["duration_s"] == pytest.approx(10.0, abs=0.3)


@pytest.mark.parametrize("suffix", ["heic", "avif"])
def test_half_a_photo_is_refused(make_image: Callable[..., Path], suffix: str) -> None:
    """The decoder of HEIC fills what is missing with grey and says nothing."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    path = make_image(f"a.{suffix}", "RGB", (200, 100), (200, 30, 30))
    data = path.read_bytes()
    image.check(path, type_of(path))
    path.write_bytes(data[:-20])
    with pytest.raises(CorruptMedia, match="truncated: 20 bytes"):
        image.check(path, type_of(path))
