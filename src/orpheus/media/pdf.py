"""PDFs: opened under caps, their text read, a page rendered. Plain functions on paths; no task in sight."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypedDict

from orpheus.media.errors import CorruptMedia, Refused, TooLarge, UnsupportedMedia
from orpheus.media.extras import need
from orpheus.media.image import webp
from orpheus.media.limits import MAX_PAGE_PIXELS, MAX_PAGES, MAX_TEXT_CHARACTERS

_BROKEN: Final = "The file may be damaged: open it in a viewer and save it anew, or send it again."
_PASSWORD: Final = 4  # FPDF_ERR_PASSWORD


class Page(TypedDict):
    """The text of one page, from 1. `ocr` tells whether it was read from a picture of the page."""

    page: int
    text: str
    ocr: bool


_LOOKED_THROUGH: Final = 50_000
"""Of the things drawn on a page, when pictures are looked for: a scan is among the first, and a drawing may be of millions."""


class Heading(TypedDict):
    """A bookmark: its level from 1, and the page it points at, from 1."""

    title: str
    level: int
    page: int | None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a PDF; forms and scripts are not started.

    Raises:
        UnsupportedMedia: it is encrypted.
        CorruptMedia: it cannot be read, or has no pages.
        TooLarge: it claims more than `MAX_PAGES`.
        ExtraMissing: pypdfium2 is not installed.
    """
    pdfium = need("pypdfium2")
    with _translated():
        try:
            document = pdfium.PdfDocument(str(path))
        except pdfium.PdfiumError as error:
            if getattr(error, "err_code", None) == _PASSWORD or "password" in str(error).lower():
                raise UnsupportedMedia(
                    "the PDF is encrypted and needs a password", hint="Save a copy without a password, and send that."
                ) from error
            if _says_no_pages(path):
                raise CorruptMedia("the PDF has no pages", hint=_BROKEN) from error
            raise
        try:
            pages = len(document)
            if pages < 1:
                raise CorruptMedia("the PDF has no pages", hint=_BROKEN)
            if pages > MAX_PAGES:
                raise TooLarge(
                    f"the PDF claims {pages:,} pages; at most {MAX_PAGES:,} are read", hint="Split it into parts."
                )
            yield document
        finally:
            document.close()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    pdfium = need("pypdfium2")
    try:
        yield
    except Refused:
        raise
    except MemoryError as error:
        raise TooLarge("opening the PDF took more memory than is allowed") from error
    except (pdfium.PdfiumError, OSError, ValueError, IndexError) as error:
        reason = str(error).removeprefix("Failed to load document ").strip("(). ") or type(error).__name__
        raise CorruptMedia(f"this is a broken PDF document: {reason}", hint=_BROKEN) from error


def _says_no_pages(path: Path) -> bool:
    """PDFium refuses a PDF without pages like a broken one; the page tree of a small file tells them apart."""
    with path.open("rb") as file:
        head = file.read(1_000_000)
    trees = re.findall(rb"<<[^<>]*/Type\s*/Pages\b[^<>]*>>", head)
    return bool(trees) and all(re.search(rb"/Count\s+0\b", tree) for tree in trees)


def check(path: Path) -> None:
    """Load every page's outline and the first page whole; raise as `opened` does."""
    with opened(path) as document:
        for index in range(len(document)):
            with _translated(), contextlib.closing(document[index]) as page:
                width, height = page.get_size()
                if not (width > 0 and height > 0):
                    raise CorruptMedia(f"page {index + 1} of the PDF has no area", hint=_BROKEN)


def describe(path: Path) -> dict[str, Any]:
    """Read a PDF's facts: `pages`, `title`, `author`, `pdf_version`, and the first page's size in points."""
    with opened(path) as document, _translated():
        notes = document.get_metadata_dict(skip_empty=True)
        with contextlib.closing(document[0]) as first:
            width, height = first.get_size()
        return {
            "pages": len(document),
            "title": clean(notes.get("Title", ""))[:500],
            "author": clean(notes.get("Author", ""))[:500],
            "pdf_version": (document.get_version() or 0) / 10,
            "page_width_pt": round(width, 2),
            "page_height_pt": round(height, 2),
        }


def texts(path: Path) -> Iterator[tuple[Page, int]]:
    """Yield `(page, count of pages)` for the text layer, page by page; a page without one (a scan) gives an empty text.

    Raises:
        TooLarge: more than `MAX_TEXT_CHARACTERS` together.
    """
    total = 0
    with opened(path) as document:
        for index in range(len(document)):
            with _translated():
                text = _text_of(document, index)
            total += len(text)
            if total > MAX_TEXT_CHARACTERS:
                raise TooLarge(f"the PDF holds more than {MAX_TEXT_CHARACTERS:,} characters of text")
            yield Page(page=index + 1, text=text, ocr=False), len(document)


def _text_of(document: Any, index: int) -> str:
    with contextlib.closing(document[index]) as page, contextlib.closing(page.get_textpage()) as layer:
        return clean(layer.get_text_range())


def clean(text: str) -> str:
    """One kind of line end, no control characters, words that a line break hyphenated joined again (U+FFFE marks them)."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub("[\ufffe\u0002]\n?", "", text)
    return "".join(
        character for character in text if character in "\n\t" or (ord(character) >= 32 and character != "\x7f")
    )


def document_text(pages: list[Page]) -> str:
    """Join the pages' texts, one blank line between them."""
    parts = [text for page in pages if (text := page["text"].strip())]
    return "\n\n".join(parts) + "\n" if parts else ""


def scale_for(width_pt: float, height_pt: float, *, longest: int = MAX_PAGE_PIXELS) -> float:
    """Pixels per point so that the longest side is `longest` at most, and at most 300 dpi however small the page."""
    return min(longest / max(width_pt, height_pt, 1.0), 300 / 72)


def letters(text: str) -> int:
    """Count the letters and digits of a text."""
    return sum(character.isalnum() for character in text)


def scan_share(text: str) -> float:
    """Return how much of a page pictures must cover for it to be a scan, given its text layer.

    A scan covers all of a page without text, a logo on an empty page a tenth of it. A line of text ("Scanned with …", a
    page number) does not make a scan a text, but may be the title of a picture.
    """
    count = letters(text)
    if count < _STRAY_LETTERS:
        return 0.2
    return 0.6 if count < _STAMP_LETTERS else 2.0


_STRAY_LETTERS: Final = 10
_STAMP_LETTERS: Final = 100


def pictured(path: Path, texts: Sequence[str]) -> list[int]:
    """Return which pages (from 1) are pictures of text, given the text layer of each page."""
    pdfium = need("pypdfium2")
    shares = {number: share for number, text in enumerate(texts, start=1) if (share := scan_share(text)) <= 1}
    found = []
    with opened(path) as document:
        for number, share in shares.items():
            with _translated(), contextlib.closing(document[number - 1]) as page:
                width, height = page.get_size()
                drawn = itertools.islice(page.get_objects(max_depth=4), _LOOKED_THROUGH)
                images = (one for one in drawn if one.type == pdfium.raw.FPDF_PAGEOBJ_IMAGE)
                covered = sum(_area(image.get_bounds()) for image in itertools.islice(images, 1000))
                if covered >= share * width * height:
                    found.append(number)
    return found


def _area(bounds: tuple[float, float, float, float]) -> float:
    left, bottom, right, top = bounds
    return max(0.0, right - left) * max(0.0, top - bottom)


def outline(path: Path) -> list[Heading]:
    """Read the bookmarks, at most 1,000 of them and four levels deep."""
    found = []
    with opened(path) as document, _translated():
        for mark in itertools.islice(document.get_toc(max_depth=4), 1000):
            target = mark.get_dest()
            place = target.get_index() if target is not None else None
            title = clean(mark.get_title())[:300].strip()
            if title:
                found.append(Heading(title=title, level=mark.level + 1, page=None if place is None else place + 1))
    return found


def page_picture(path: Path, index: int = 0) -> tuple[bytes, tuple[int, int]]:
    """Render one page as WebP; its size in pixels follows from `scale_for`, not from what the page claims.

    Returns:
        The file's bytes, and `(width, height)`.
    """
    with opened(path) as document:
        return _picture(document, index)


def page_pictures(path: Path, *, most: int) -> Iterator[tuple[int, int, bytes, tuple[int, int]]]:
    """Render the first `most` pages: `(number from 1, how many there will be, WebP, (width, height))`."""
    with opened(path) as document:
        count = min(len(document), most)
        for index in range(count):
            yield index + 1, count, *_picture(document, index)


def _picture(document: Any, index: int) -> tuple[bytes, tuple[int, int]]:
    with _translated(), contextlib.closing(document[index]) as page:
        scale = scale_for(*page.get_size())
        bitmap = page.render(scale=scale, may_draw_forms=False)
        picture = bitmap.to_pil().convert("RGB")
        return webp(picture), picture.size
