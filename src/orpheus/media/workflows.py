"""The workflows that are shipped: `media`, `sum_range`, `wordcount`. Written with what every user has."""

from __future__ import annotations

from typing import Annotated

import msgspec

from orpheus import File, first_of, optional, task, workflow
from orpheus.media.builtins import MAX_CHARACTERS, MAX_N, Words, count_words, sum_below
from orpheus.media.documents.tasks import assemble_text, ocr_page, read_text, render_pages
from orpheus.media.record import summarise
from orpheus.media.running import verdicts
from orpheus.media.speech.tasks import transcribe
from orpheus.media.summary import Summary
from orpheus.media.tasks import extract_audio, extract_metadata, make_poster, make_thumbnails, validate_file
from orpheus.media.text.tasks import summarise_document, summarise_speech

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_N, description="How many numbers, from 0.")]
Prose = Annotated[str, msgspec.Meta(max_length=MAX_CHARACTERS, description="Any text.")]


@task(name="sum_range", retry=None)
def sum_range_task(n: int) -> int:
    """Add up the whole numbers below `n`."""
    with verdicts(""):
        return sum_below(n)


@task(name="wordcount", retry=None)
def wordcount_task(text: str) -> Words:
    """Count words, distinct words (whatever their case), lines and characters."""
    with verdicts(""):
        return count_words(text)


@workflow
def sum_range(n: Count) -> int:
    """Add up the whole numbers below `n`: `sum(range(n))`."""
    return sum_range_task(n)


@workflow
def wordcount(text: Prose) -> Words:
    """Count words, distinct words (whatever their case), lines and characters of a text."""
    return wordcount_task(text)


@workflow(version=2)
def media(source: File, language: str | None = None) -> Summary:
    """Check any image, video, recording or PDF, and make what a page needs to show it and a search to find it.

    image → thumbnails and a blurhash; video → a poster, the sound as MP3, transcript, summary with chapters; recording →
    the same without poster; PDF → text (OCR where a page is a picture), pictures of the pages, summary. Always
    `metadata.json`. What cannot be transcribed, read or summed up is noted, and does not fail the job.
    """
    checked = validate_file(source)
    meta = extract_metadata(source, checked)
    thumbnails = make_thumbnails.using(when=meta.kind == "image")(source, checked)
    poster = make_poster.using(when=meta.has_video)(source, checked, meta)
    audio = extract_audio.using(when=meta.has_audio)(source, checked, meta)
    words = transcribe.using(when=meta.has_audio, on_failure="skip")(source, checked, meta, language)
    layer = read_text.using(when=meta.kind == "pdf")(source)
    read = ocr_page.using(on_failure="skip").map(layer.scans, source=source)
    text = assemble_text(layer, read)
    pages = render_pages.using(when=meta.kind == "pdf")(source)
    said = summarise_speech.using(on_failure="skip")(words)
    written = summarise_document.using(on_failure="skip")(text)
    return summarise(
        checked,
        meta,
        thumbnails=optional(thumbnails),
        poster=optional(poster),
        audio=optional(audio),
        words=optional(words),
        text=optional(text),
        pages=optional(pages),
        digest=optional(first_of(said, written)),
    )
