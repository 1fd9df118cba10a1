"""Every sample file, sound or hostile, gets the outcome that its README names: through the child, as tasks do it."""

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orpheus.media import guard, image, pdf, video
from orpheus.media.errors import Refused
from orpheus.media.opening import type_of
from orpheus.media.pictures import thumbnails
from orpheus.media.pictures.thumbnails import Thumbnail

pytestmark = pytest.mark.samples


def made_of(source: Path) -> list[Thumbnail]:
    return list(thumbnails.thumbnails(thumbnails.decode(source, type_of(source))))


REFUSED = {
    "zero-byte.jpg": ("corrupt_media", "empty"),
    "zip-renamed.jpg": ("unsupported_media", "ZIP"),
    "html-renamed.png": ("unsupported_media", "HTML"),
    "xxe.svg": ("unsupported_media", "SVG"),
    "truncated.jpg": ("corrupt_media", "truncated"),
    "bad-crc.png": ("corrupt_media", "checksum"),
    "bomb-30000x30000.png": ("too_large", "900 megapixels"),
    "bomb-13000x13000-rgba.png": ("too_large", "169 megapixels"),
    "truncated-no-moov.mp4": ("corrupt_media", "broken MP4"),
    "truncated-faststart.mp4": ("corrupt_media", "claims 5.31 s"),
    "playlist-renamed.mp4": ("unsupported_media", "playlist"),
    "ffconcat-renamed.mp4": ("unsupported_media", "ffconcat"),
    "encrypted.pdf": ("unsupported_media", "encrypted"),
    "header-only.pdf": ("corrupt_media", "broken PDF"),
    "garbage.pdf": ("corrupt_media", "broken PDF"),
    "no-pages.pdf": ("corrupt_media", "no pages"),
    "pages-count-lie.pdf": ("too_large", "999,999 pages"),
    "polyglot-pdf-html.pdf": ("unsupported_media", "HTML"),
}

ACCEPTED: dict[str, dict[str, Any]] = {
    "hostile/webp-renamed.jpg": {"kind": "image", "content_type": "image/webp", "width": 600, "height": 400},
    "hostile/strip-40000x3.png": {"kind": "image", "width": 40_000, "height": 3},
    "hostile/polyglot-jpeg-zip.jpg": {"kind": "image", "content_type": "image/jpeg"},
    "hostile/odd name; $(id) & 'q'.png": {"kind": "image", "width": 16, "height": 16},
    "hostile/one-frame-2x2.mp4": {"kind": "video", "frames": 1, "duration_s": 1.0, "width": 2, "height": 2},
    "hostile/wav-huge-header.wav": {"kind": "audio", "duration_s": 0.1},
    "hostile/huge-page-35000px.pdf": {"kind": "pdf", "pages": 1},
    "images/landscape-exif-rotate90.jpg": {"width": 1800, "height": 1200, "orientation": 6},
    "images/panorama-9mp.jpg": {"width": 4608, "height": 1976, "exif.model": "Nokia 8.3 5G"},
    "images/iphone-12mp.heic": {"width": 3024, "height": 4032, "exif.model": "iPhone 13 Pro Max"},
    "images/cat-alpha.png": {"width": 451, "height": 300, "has_alpha": True},
    "images/cat-cmyk.jpg": {"width": 451, "height": 300, "mode": "CMYK"},
    "images/cat-animated.gif": {"width": 225, "height": 150, "frames": 8, "frame_duration_s": 0.12},
    "images/coffee.webp": {"width": 600, "height": 400},
    "images/coffee-gps.jpg": {
        "exif.make": "SampleCam",
        "exif.model": "Model One",
        "exif.modified_at": "2024-05-17T10:11:12",
    },
    "images/astronaut.avif": {"width": 512, "height": 512},
    "audio/jfk.flac": {"kind": "audio", "duration_s": 11.0, "has_video": False},
    "audio/austen.mp3": {"kind": "audio", "duration_s": 15.39},
    "audio/silence-6s.mp3": {"kind": "audio", "duration_s": 6.0},
    "video/talk-silences-fillers.mp4": {"kind": "video", "width": 1280, "height": 720, "has_audio": True},
    "video/bigbuckbunny.mp4": {"fps": 25.0, "frames": 132, "channels": 6, "codecs": ["h264", "aac"]},
    "video/flower-no-audio.mp4": {"has_audio": False, "frames": 150, "width": 960, "height": 540},
    "video/flower-rotated90.mp4": {"width": 540, "height": 960, "rotation": 90},
    "pdf/text-4-pages.pdf": {"kind": "pdf", "pages": 4},
    "pdf/book-117-pages-german.pdf": {"pages": 117, "title": "Geometrie und Topologie"},
    "pdf/scanned-gettysburg-2-pages.pdf": {"pages": 2},
    "pdf/scanned-brochure-page.pdf": {"pages": 1},
    "pdf/mixed-text-then-scan.pdf": {"pages": 2},
}


def test_no_sample_is_forgotten(samples: Path) -> None:
    there = {str(path.relative_to(samples)) for path in samples.glob("*/*") if ".truth." not in path.name}
    assert there == set(ACCEPTED) | {f"hostile/{name}" for name in REFUSED}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_files_are_refused_with_the_reason(samples: Path, name: str) -> None:
    code, words = REFUSED[name]
    with pytest.raises(Refused, match=words) as refused:
        guard.call("validate", path=samples / "hostile" / name, name=name)
    assert refused.value.code == code
    assert str(samples) not in refused.value.message, "a message quotes no path of ours"


@pytest.mark.parametrize("name", ACCEPTED)
def test_sound_files_are_described_truly(samples: Path, name: str) -> None:
    path = samples / name
    verdict = guard.call("validate", path=path, name=path.name)
    facts = guard.call("extract", path=path, sniffed=verdict["sniffed"], opener=verdict["opener"])
    facts |= {f"exif.{key}": value for key, value in facts.get("exif", {}).items()}
    expected = ACCEPTED[name]
    assert {key: facts.get(key) for key in expected} == expected
    assert verdict["name_disagrees"] == (name == "hostile/webp-renamed.jpg")


def test_no_place_is_ever_told(samples: Path) -> None:
    facts = image.describe(path := samples / "images/coffee-gps.jpg", type_of(path))
    told = json.dumps(facts).lower()
    assert "gps" not in told
    assert "38.7" not in told


@pytest.mark.parametrize("path", [name for name in ACCEPTED if name.startswith("images/")])
def test_thumbnails_of_real_photos(samples: Path, path: str) -> None:
    source = samples / path
    facts = image.describe(source, type_of(source))
    for one in made_of(source):
        with Image.open(io.BytesIO(one.data)) as shown:
            assert shown.size == (one.width, one.height) == thumbnails.fit(facts["width"], facts["height"], one.side)
            assert shown.mode == ("RGBA" if facts["has_alpha"] else "RGB")
            assert not shown.getexif()


def test_the_waterfall_stands_upright(samples: Path) -> None:
    """The sample is a picture of the same size class before and after: a quarter turn back gives what Pillow turns itself."""
    source = samples / "images/landscape-exif-rotate90.jpg"
    with Image.open(source) as stored, Image.open(io.BytesIO(made_of(source)[-1].data)) as shown:
        turned = stored.transpose(Image.Transpose.ROTATE_270).convert("RGB").resize(shown.size)
        left, right = turned.tobytes(), shown.convert("RGB").tobytes()
    assert sum(abs(a - b) for a, b in zip(left, right, strict=True)) / len(left) < 12


def test_cmyk_comes_out_in_natural_colours(samples: Path) -> None:
    """The same cat as CMYK JPEG and as PNG: thumbnails differ by little."""
    pictures = []
    for name in ("cat-cmyk.jpg", "cat-alpha.png"):
        source = samples / "images" / name
        with Image.open(io.BytesIO(made_of(source)[-1].data)) as shown:
            pictures.append(shown.convert("RGB").crop((60, 30, 100, 70)).tobytes())
    left, right = pictures
    assert sum(abs(a - b) for a, b in zip(left, right, strict=True)) / len(left) < 25


def test_a_zip_behind_a_jpeg_stays_behind(samples: Path) -> None:
    source = samples / "hostile/polyglot-jpeg-zip.jpg"
    assert all(b"PK\x03\x04" not in one.data for one in made_of(source))


@pytest.mark.parametrize("name", ["bigbuckbunny.mp4", "flower-rotated90.mp4", "flower-no-audio.mp4"])
def test_posters_are_upright_and_small(samples: Path, tmp_path: Path, name: str) -> None:
    source = samples / "video" / name
    found = type_of(source)
    facts = video.describe(source, found)
    target = tmp_path / "poster.webp"
    argv = video.poster_argv(video.ffmpeg(), source, found, target, duration_s=facts["duration_s"])
    subprocess.run(video.limited(argv), check=True, capture_output=True, timeout=60)
    with Image.open(target) as shown:
        assert shown.size == (facts["width"], facts["height"])


@pytest.mark.parametrize("name", ["video/bigbuckbunny.mp4", "audio/jfk.flac", "hostile/wav-huge-header.wav"])
def test_sound_becomes_mp3_of_the_same_length(samples: Path, tmp_path: Path, name: str) -> None:
    source = samples / name
    found = type_of(source)
    target = tmp_path / "audio.mp3"
    argv = video.limited(video.audio_argv(video.ffmpeg(), source, found, target))
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    claimed = video.describe(source, found)["duration_s"]
    fractions = [part for line in done.stdout.splitlines() if (part := video.progress_of(line, claimed)) is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    facts = video.describe(target, type_of(target))
    assert facts["codecs"] == ["mp3"]
    assert abs(facts["duration_s"] - claimed) < 0.15


def test_text_of_pdfs(samples: Path) -> None:
    pages = [page for page, _ in pdf.texts(samples / "pdf/text-4-pages.pdf")]
    assert [page["page"] for page in pages] == [1, 2, 3, 4]
    assert pages[0]["text"].startswith("Hello, here is some text without a meaning.")
    book = [page for page, _ in pdf.texts(samples / "pdf/book-117-pages-german.pdf")]
    assert 135_000 < len(pdf.document_text(book)) < 155_000
    mixed = [page for page, _ in pdf.texts(samples / "pdf/mixed-text-then-scan.pdf")]
    assert [bool(page["text"].strip()) for page in mixed] == [True, False]


def test_a_huge_page_is_rendered_small(samples: Path) -> None:
    data, size = pdf.page_picture(samples / "hostile/huge-page-35000px.pdf")
    assert max(size) <= 1600
    assert len(data) < 200_000
