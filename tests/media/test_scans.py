"""Scans as scanners leave them: askew, on their side, upside down, tiny, stamped. Each is read all the same."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from orpheus.media import pdf
from orpheus.media.documents import ocr
from orpheus.media.documents.straight import lean, levelled

LINES = [
    "Four score and seven years ago our fathers",
    "brought forth on this continent a new nation,",
    "conceived in liberty, and dedicated to the",
    "proposition that all men are created equal.",
    "Now we are engaged in a great civil war, testing",
    "whether that nation can long endure.",
]
WORDS = " ".join(LINES).split()


def sheet(lines: list[str] = LINES, size: tuple[int, int] = (800, 1000)) -> Image.Image:
    picture = Image.new("L", size, 250)
    draw = ImageDraw.Draw(picture)
    for place, line in enumerate(lines):
        draw.text((60, 80 + 60 * place), line, font=ImageFont.load_default(30), fill=20)
    return picture


@pytest.fixture(scope="module")
def reader() -> ocr.Reader:
    return ocr.Reader()


@pytest.mark.parametrize("degrees", [-5.0, -2.0, 1.5, 3.0])
def test_a_leaning_page_is_levelled(degrees: float) -> None:
    leaning = sheet().rotate(degrees, Image.Resampling.BICUBIC, fillcolor=250)
    assert lean(leaning) == pytest.approx(-degrees, abs=0.3)
    assert abs(lean(levelled(leaning))) < 0.5


def test_what_has_no_lines_is_left_alone() -> None:
    for picture in (Image.new("L", (400, 600), 250), Image.radial_gradient("L"), sheet()):
        assert levelled(picture) is picture


@pytest.mark.parametrize(("turn", "degrees"), [(0, -2.0), (90, 0.0), (180, 2.0), (270, 0.0)])
def test_a_page_is_read_however_it_lies(reader: ocr.Reader, turn: int, degrees: float) -> None:
    page = sheet().rotate(degrees, Image.Resampling.BICUBIC, fillcolor=250).rotate(turn, expand=True)
    assert reader.read(page, dpi=200).split() == WORDS


def test_a_page_of_the_size_of_a_stamp_is_read_in_full(reader: ocr.Reader, tmp_path: Path) -> None:
    """The scanner noted 800 dots an inch: the page is an inch wide, and its letters a pixel at our usual 200."""
    path = tmp_path / "small.pdf"
    sheet().save(path, resolution=800)
    assert ocr.read_page(path, 1, reader).split() == WORDS


def test_a_line_of_text_does_not_make_a_scan_a_text() -> None:
    assert [pdf.scan_share(text) for text in ("", "- 3 -", "Scanned with a telephone", "word " * 50)] == [
        0.2,
        0.2,
        0.6,
        2.0,
    ]
