"""The tasks for PDFs: text where there is text, OCR only on pages that are pictures, pictures of the pages."""

from __future__ import annotations

from dataclasses import dataclass, field

from orpheus import Context, File, Resource, task
from orpheus.media import made_with, pdf
from orpheus.media.documents.ocr import Reader, read_page
from orpheus.media.extras import has
from orpheus.media.limits import MAX_PICTURED_PAGES
from orpheus.media.running import RETRY, each, interruptibly, verdicts
from orpheus.media.text.language import language_of


@dataclass(frozen=True, slots=True)
class TextLayer:
    """What a PDF says by itself, page by page, and which pages say nothing because they are pictures."""

    pages: list[str]
    scans: list[int]
    """Pages (from 1) to be read by OCR; empty where Tesseract is not installed."""
    unread: list[int]
    """Pages (from 1) that are pictures and cannot be read here."""
    outline: list[pdf.Heading]


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page read from its picture."""

    page: int
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """The whole text of a PDF."""

    pages: File
    document: File
    characters: int
    pages_with_text: int
    pages_read: int
    """How many came from OCR."""
    unread: list[int] = field(default_factory=list)
    language: str | None = None
    outline: list[pdf.Heading] = field(default_factory=list)


def load_reader() -> Reader:
    return Reader()


@task(
    name="orpheus.read_text",
    version=2,
    executor="process",
    retry=RETRY,
    start_to_close_s=600,
    weight=2,
    cache=True,
    made_with=made_with.reading,
)
def read_text(ctx: Context, source: File) -> TextLayer:
    """Read the text layer and outline of a PDF, and tell which pages are pictures."""
    pages: list[str] = []
    scans: list[int] = []
    with verdicts(source.name):
        path = ctx.path(source)
        for page, count in each(pdf.texts(path)):
            pages.append(page["text"])
            if page["page"] % 10 == 0:
                ctx.progress(0.8 * page["page"] / count, f"page {page['page']} of {count}")
        scans = interruptibly(lambda: pdf.pictured(path, pages))
        outline = interruptibly(lambda: pdf.outline(path))
    able = has("tesserocr") and has("tessdata")
    return TextLayer(pages, scans if able else [], [] if able else scans, outline)


@task(
    name="orpheus.ocr_page",
    executor="process",
    retry=RETRY,
    start_to_close_s=600,
    weight=4,
    cache=True,
    made_with=made_with.reading,
)
def ocr_page(
    ctx: Context, page: int, source: File, *, reader: Reader = Resource(load_reader, scope="process")
) -> ReadPage:
    """Read one page of a PDF from its picture."""
    with verdicts(source.name):
        text = interruptibly(lambda: read_page(ctx.path(source), page, reader))
    return ReadPage(page, pdf.clean(text))


@task(
    name="orpheus.assemble_text", retry=RETRY, start_to_close_s=300, cache=True, made_with=made_with.telling_languages
)
def assemble_text(ctx: Context, layer: TextLayer, read: list[ReadPage]) -> Text:
    """Put the text layer and the pages read by OCR together: `text/pages.json` and `text/document.txt`."""
    # A picture under a line of text may say less than that line.
    told = {one.page: one.text for one in read if pdf.letters(one.text) >= pdf.letters(layer.pages[one.page - 1])}
    pages = [
        pdf.Page(page=number, text=told.get(number, text), ocr=number in told)
        for number, text in enumerate(layer.pages, start=1)
    ]
    whole = pdf.document_text(pages)
    return Text(
        pages=ctx.save_json("text/pages.json", pages),
        document=ctx.save("text/document.txt", whole.encode(), "text/plain; charset=utf-8"),
        characters=len(whole),
        pages_with_text=sum(1 for page in pages if page["text"].strip()),
        pages_read=len(told),
        unread=layer.unread,
        language=language_of(whole) if has("py3langid") else None,
        outline=layer.outline,
    )


@task(name="orpheus.render_pages", executor="process", retry=RETRY, start_to_close_s=1200, weight=2, cache=True)
def render_pages(ctx: Context, source: File, most: int = MAX_PICTURED_PAGES) -> list[File]:
    """Render the first `most` pages of a PDF as pictures: `pages/{n}.webp`."""
    files = []
    with verdicts(source.name):
        path = ctx.path(source)
        for number, count, data, (width, height) in each(pdf.page_pictures(path, most=most)):
            files.append(ctx.save(f"pages/{number}.webp", data, "image/webp", {"width": width, "height": height}))
            ctx.progress(number / count, f"page {number} of {count}")
    return files
