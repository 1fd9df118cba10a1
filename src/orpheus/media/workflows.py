"""The workflows that are shipped: `media`, `sum_range`, `wordcount`. Written with what every user has."""

from __future__ import annotations

from typing import Annotated

import msgspec

from orpheus import File, optional, task, workflow
from orpheus.media.builtins import MAX_CHARACTERS, MAX_N, Words, count_words, sum_below
from orpheus.media.running import verdicts
from orpheus.media.summary import Summary
from orpheus.media.tasks import (
    extract_audio,
    extract_metadata,
    make_poster,
    make_thumbnails,
    read_text,
    render_page,
    summarise,
    validate_file,
)

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


@workflow
def media(source: File) -> Summary:
    """Check any image, video, recording or PDF, and make what a page needs to show it.

    image → thumbnails and a blurhash; video → a poster and the sound as MP3; recording → MP3; PDF → text and a picture of
    the first page. Always `metadata.json`.
    """
    checked = validate_file(source)
    meta = extract_metadata(source, checked)
    thumbnails = make_thumbnails.using(when=meta.kind == "image")(source, checked)
    poster = make_poster.using(when=meta.has_video)(source, checked, meta)
    audio = extract_audio.using(when=meta.has_audio)(source, checked, meta)
    text = read_text.using(when=meta.kind == "pdf")(source)
    page = render_page.using(when=meta.kind == "pdf")(source)
    return summarise(
        checked,
        meta,
        thumbnails=optional(thumbnails),
        poster=optional(poster),
        audio=optional(audio),
        text=optional(text),
        page=optional(page),
    )
