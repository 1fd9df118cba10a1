"""What a recording or a document is divided into: chapter marks of what is said, bookmarks of a PDF."""

from __future__ import annotations

from pathlib import Path

import pytest

from orpheus.media import pdf
from orpheus.media.text.chapters import LEAST_CHAPTER_S, Timed, chapters

np = pytest.importorskip("numpy")


def spoken(topics: list[int], each_s: float = 10.0) -> tuple[list[Timed], object]:
    """Sentences `each_s` apart, each alike to those of its topic only, with a little of its own."""
    rows = np.full((len(topics), max(topics) + 1 + len(topics)), 0.0)
    for place, topic in enumerate(topics):
        rows[place, topic] = 1.0
        rows[place, max(topics) + 1 + place] = 0.2
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [Timed(place * each_s, f"Sentence {place} of topic {topic}.") for place, topic in enumerate(topics)], rows


def test_a_chapter_begins_where_the_talk_turns_to_something_else() -> None:
    sentences, vectors = spoken([0] * 8 + [1] * 8 + [2] * 8)
    marks = chapters(sentences, vectors, duration_s=240.0)
    assert [mark.start_s for mark in marks] == [0.0, 80.0, 160.0]
    assert [f"topic {number}" in mark.title for number, mark in enumerate(marks)] == [True, True, True]


def test_what_does_not_turn_or_is_short_has_no_chapters() -> None:
    sentences, vectors = spoken([0] * 24)
    assert chapters(sentences, vectors, duration_s=240.0) == []
    sentences, vectors = spoken([0] * 8 + [1] * 8, each_s=3.0)
    assert chapters(sentences, vectors, duration_s=2 * LEAST_CHAPTER_S - 1) == []


def test_bookmarks_come_with_their_level_and_page(tmp_path: Path) -> None:
    path = tmp_path / "book.pdf"
    path.write_bytes(_bookmarked())
    assert [(one["title"], one["level"], one["page"]) for one in pdf.outline(path)] == [
        ("First part", 1, 1),
        ("Its chapter", 2, 2),
        ("Second part", 1, 2),
    ]


def _bookmarked() -> bytes:
    """Two empty pages and three bookmarks, one below another."""
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Outlines 5 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 >>",
        page,
        page,
        b"<< /Type /Outlines /First 6 0 R /Last 8 0 R /Count 3 >>",
        b"<< /Title (First part) /Parent 5 0 R /Next 8 0 R /First 7 0 R /Last 7 0 R /Count 1 /Dest [3 0 R /Fit] >>",
        b"<< /Title (Its chapter) /Parent 6 0 R /Dest [4 0 R /Fit] >>",
        b"<< /Title (Second part) /Parent 5 0 R /Prev 6 0 R /Dest [4 0 R /Fit] >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
    return out + head + table + end
