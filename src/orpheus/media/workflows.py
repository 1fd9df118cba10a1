"""The workflows that are shipped: `media`, `sum_range`, `wordcount`. Written with what every user has."""

from __future__ import annotations

from typing import Annotated

import msgspec

from orpheus import File, all_of, any_of, first_of, optional, task, workflow
from orpheus.media.builtins import MAX_CHARACTERS, MAX_N, Words, count_words, sum_below
from orpheus.media.documents.tasks import assemble_text, ocr_page, read_text, render_pages
from orpheus.media.limits import MAX_PAGES, MAX_PICTURED_PAGES
from orpheus.media.pictures.tasks import analyse_image, make_thumbnails
from orpheus.media.record import VideoSummary, sum_up_video, summarise
from orpheus.media.renditions.tasks import encode_rendition, make_sprite, package_hls, plan_renditions
from orpheus.media.running import verdicts
from orpheus.media.speech.tasks import transcribe
from orpheus.media.summary import Summary
from orpheus.media.tasks import extract_audio, extract_metadata, make_poster, validate_file
from orpheus.media.text.tasks import summarise_document, summarise_speech

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_N, description="How many numbers, from 0.")]
PageCount = Annotated[int, msgspec.Meta(ge=0, le=MAX_PAGES, description="How many pages get a picture.")]
Renditions = Annotated[int, msgspec.Meta(ge=1, le=7, description="How many sizes at most, the largest first.")]
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


@workflow(version=4)
def media(source: File, language: str | None = None) -> Summary:
    """Check any image, video, recording or PDF, and make what a page needs to show it and a search to find it.

    image → thumbnails and a blurhash; video → a poster, a sheet to scrub by, the sound as MP3, transcript, summary with chapters; recording →
    the same without poster; PDF → text (OCR where a page is a picture), pictures of the pages, summary. Always
    `metadata.json`. What cannot be transcribed, read or summed up is noted, and does not fail the job.
    """
    checked = validate_file.using(cache_extra=source.name)(source)
    meta = extract_metadata.using(cache_extra=source.name)(source, checked)
    # Begun first, since it takes longest: the others find room beside it.
    words = transcribe.using(when=meta.has_audio, on_failure="skip")(source, checked, meta, language)
    thumbnails = make_thumbnails.using(when=meta.kind == "image")(source, checked)
    sight = analyse_image.using(when=meta.kind == "image", on_failure="skip")(source, checked)
    poster = make_poster.using(when=meta.has_video)(source, checked, meta)
    sprite = make_sprite.using(when=meta.has_video)(source, checked, meta)
    audio = extract_audio.using(when=meta.has_audio)(source, checked, meta)
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
        sprite=optional(sprite),
        audio=optional(audio),
        words=optional(words),
        text=optional(text),
        pages=optional(pages),
        digest=optional(first_of(said, written)),
        sight=optional(sight),
    )


@workflow(name="pdf", version=2)
def pdf_workflow(source: File, most_pages: PageCount = MAX_PICTURED_PAGES) -> Summary:
    """Read a PDF: text where there is text, OCR on pages that are pictures, pictures of the pages, language, summary."""
    checked = validate_file.using(cache_extra=source.name)(source)
    meta = extract_metadata.using(cache_extra=source.name)(source, checked)
    layer = read_text.using(when=meta.kind == "pdf")(source)
    read = ocr_page.using(on_failure="skip").map(layer.scans, source=source)
    text = assemble_text(layer, read)
    pages = render_pages.using(when=meta.kind == "pdf")(source, most_pages)
    digest = summarise_document.using(on_failure="skip")(text)
    return summarise(checked, meta, text=optional(text), pages=optional(pages), digest=optional(digest))


@workflow(name="video", version=3)
def video_workflow(
    source: File,
    language: str | None = None,
    renditions: bool = False,
    hls: bool = False,
    most_renditions: Renditions = 4,
) -> VideoSummary:
    """Everything a page needs to show a video or recording: poster, scrub sprite, MP3, transcript, summary with chapters.

    With `renditions` smaller sizes as MP4, with `hls` a ladder to stream as well; never larger than the source.
    """
    checked = validate_file.using(cache_extra=source.name)(source)
    meta = extract_metadata.using(cache_extra=source.name)(source, checked)
    # Begun first, since it takes longest: the others find room beside it.
    words = transcribe.using(when=meta.has_audio, on_failure="skip")(source, checked, meta, language)
    poster = make_poster.using(when=meta.has_video)(source, checked, meta)
    sprite = make_sprite.using(when=meta.has_video)(source, checked, meta)
    audio = extract_audio.using(when=meta.has_audio)(source, checked, meta)
    digest = summarise_speech.using(on_failure="skip")(words)
    wanted = all_of(meta.has_video, any_of(renditions, hls))
    rungs = plan_renditions.using(when=wanted)(meta, most_renditions)
    sizes = encode_rendition.map(rungs, source=source, checked=checked, meta=meta)
    stream = package_hls.using(when=hls)(sizes)
    record = summarise(
        checked,
        meta,
        poster=optional(poster),
        audio=optional(audio),
        words=optional(words),
        digest=optional(digest),
    )
    return sum_up_video(record, optional(sprite), optional(sizes), optional(stream), optional(digest))
