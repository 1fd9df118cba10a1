"""The last task of `media`: what was found and made, put together as the job's result."""

from __future__ import annotations

from dataclasses import dataclass, field

from orpheus import File, task
from orpheus.media.checked import Checked
from orpheus.media.documents.tasks import Text
from orpheus.media.pictures.seen import Sight
from orpheus.media.pictures.tasks import UNSEEN, Thumbnails
from orpheus.media.renditions.tasks import Rendition, Sprite
from orpheus.media.running import RETRY
from orpheus.media.speech.tasks import Transcribed
from orpheus.media.summary import Metadata, Summary, sentence
from orpheus.media.text.chapters import Chapter
from orpheus.media.text.tasks import Digest


@dataclass(frozen=True, slots=True)
class VideoSummary:
    """The result of `video`."""

    record: Summary
    chapters: list[Chapter] = field(default_factory=list)
    sprite: Sprite | None = None
    renditions: list[Rendition] = field(default_factory=list)
    stream: File | None = None
    """The master playlist; a player finds the rest beside it."""


@task(name="orpheus.sum_up_video", retry=RETRY, cache=True)
def sum_up_video(
    record: Summary,
    sprite: Sprite | None,
    renditions: list[Rendition] | None,
    stream: File | None,
    digest: Digest | None,
) -> VideoSummary:
    """Put together what `video` made."""
    return VideoSummary(record, digest.chapters if digest else [], sprite, renditions or [], stream)


@task(name="orpheus.summarise", version=2, retry=RETRY, cache=True)
def summarise(
    checked: Checked,
    meta: Metadata,
    *,
    thumbnails: Thumbnails | None = None,
    poster: File | None = None,
    sprite: Sprite | None = None,
    audio: File | None = None,
    words: Transcribed | None = None,
    text: Text | None = None,
    pages: list[File] | None = None,
    digest: Digest | None = None,
    sight: Sight | None = None,
) -> Summary:
    """Put together what the job found and made: its result."""
    return Summary(
        summary=sentence(meta, checked.label, characters=text.characters if text else None),
        kind=meta.kind,
        content_type=meta.content_type,
        width=meta.width,
        height=meta.height,
        duration_s=meta.duration_s,
        pages=meta.pages,
        characters=text.characters if text else None,
        language=(text.language if text else None) or (words.language if words else None) or None,
        blurhash=thumbnails.blurhash if thumbnails else None,
        phash=thumbnails.phash if thumbnails else None,
        labels=sight.seen.labels if sight else [],
        objects=sight.seen.things if sight else [],
        caption=sight.seen.caption if sight else None,
        digest=digest.summary if digest and digest.summary else None,
        files=[
            *(thumbnails.files if thumbnails else []),
            *(file for file in (poster, audio) if file is not None),
            *((sprite.picture, sprite.cues) if sprite else ()),
            *((words.transcript, words.srt, words.vtt) if words else ()),
            *((text.pages, text.document) if text else ()),
            *(pages or ()),
            *((digest.file,) if digest else ()),
            *(sight.files if sight else ()),
        ],
        notes=[
            *_about_the_file(checked, meta),
            *_about_sound(meta, audio, words),
            *_about_pages(meta, text, pages),
            *_about_digest(words, text, digest),
            *_about_looking(meta, sight),
        ],
    )


def _about_the_file(checked: Checked, meta: Metadata) -> list[str]:
    if checked.name_disagrees:
        return [f"The name {meta.name!r} promises something else: the content is a {checked.label}."]
    return []


def _about_sound(meta: Metadata, audio: File | None, words: Transcribed | None) -> list[str]:
    if meta.kind == "video" and not meta.has_audio:
        return ["No sound track, so there is neither an MP3 nor a transcript."]
    if meta.has_audio and words is None:
        return ["There is no transcript: the task transcribe says why."]
    if words is not None and words.words == 0:
        return ["Nobody speaks in it."]
    return [] if audio is not None or not meta.has_audio else ["No MP3 was made: the task extract_audio says why."]


def _about_digest(words: Transcribed | None, text: Text | None, digest: Digest | None) -> list[str]:
    if digest is not None:
        return []
    if words is not None and words.words:
        return ["There is no summary: the task summarise_speech says why."]
    return ["There is no summary: the task summarise_document says why."] if text is not None else []


def _about_looking(meta: Metadata, sight: Sight | None) -> list[str]:
    if sight is not None:
        return sight.notes
    return [UNSEEN] if meta.kind == "image" else []


def _about_pages(meta: Metadata, text: Text | None, pages: list[File] | None) -> list[str]:
    if text is None:
        return []
    notes = []
    if text.pages_read:
        notes.append(f"{_pages(text.pages_read)} read from pictures (OCR).")
    if text.unread:
        notes.append(
            f"{_pages(len(text.unread))} are pictures and were not read: "
            'pip install "orpheus-jobs[ocr]" where the worker runs.'
        )
    if pages and meta.pages and len(pages) < meta.pages:
        notes.append(f"Pictures were made of the first {len(pages)} of {meta.pages} pages.")
    return notes


def _pages(count: int) -> str:
    return "1 page" if count == 1 else f"{count} pages"
