"""The tasks of the `media` workflow: thin shells around the plain functions of this room.

Each turns a `Refused` into a final error with its code, does its work in a place that fits (a thread that waits for a child,
or a process of its own for work that keeps a core busy), and saves its files under the names of docs/media.md.
"""

from __future__ import annotations

from pathlib import Path

from orpheus import Context, File, task
from orpheus.media import video
from orpheus.media.checked import Checked
from orpheus.media.errors import CorruptMedia
from orpheus.media.limits import CHILD_TIME_S, ENCODE_TIME_S
from orpheus.media.opening import named
from orpheus.media.running import RETRY, guarded, run_ffmpeg, verdicts
from orpheus.media.summary import Metadata


@task(name="orpheus.validate_file", retry=RETRY, start_to_close_s=CHILD_TIME_S + 60, cache=True)
def validate_file(ctx: Context, source: File) -> Checked:
    """Sniff the file by its content, and really open it."""
    with verdicts(source.name):
        found = Checked(**guarded(ctx, "validate", path=ctx.path(source), name=source.name))
    ctx.log.info("%s is a %s (%s)", source.name, found.label, found.content_type)
    return found


@task(name="orpheus.extract_metadata", retry=RETRY, start_to_close_s=CHILD_TIME_S + 60, cache=True)
def extract_metadata(ctx: Context, source: File, checked: Checked, keep_gps: bool = False) -> Metadata:
    """Read what a person wants to know of the file, and save it as `metadata.json`; where it was taken only if asked."""
    with verdicts(source.name):
        facts = guarded(ctx, "extract", path=ctx.path(source), sniffed=checked.sniffed, opener=checked.opener)
        if keep_gps and checked.kind == "image":
            place = guarded(ctx, "place", path=ctx.path(source), sniffed=checked.sniffed, opener=checked.opener)
            facts["exif"] = facts["exif"] | ({"gps": place} if place else {})
    facts |= {"name": source.name, "size_bytes": source.size_bytes, "sha256": source.sha256}
    ctx.save_json("metadata.json", facts)
    return Metadata.of(facts)


@task(name="orpheus.make_poster", retry=RETRY, start_to_close_s=600, cache=True)
def make_poster(ctx: Context, source: File, checked: Checked, meta: Metadata) -> File:
    """Take one telling frame of a video as `poster.webp`."""
    target = ctx.temp_dir / "poster.webp"
    with verdicts(source.name):
        path, found, program = ctx.path(source), named(checked.sniffed, checked.opener), video.ffmpeg()
        # Past the first tenth there may be no whole frame left to decode; then the beginning has one.
        for duration_s in (meta.duration_s or 0.0, 0.0):
            argv = video.poster_argv(program, path, found, target, duration_s=duration_s)
            if run_ffmpeg(ctx, argv, duration_s=0.0, what="", timeout_s=300) and _not_empty(target):
                break
        else:
            raise CorruptMedia("no frame of the video could be decoded")
    return ctx.save("poster.webp", target, "image/webp")


@task(name="orpheus.extract_audio", retry=RETRY, start_to_close_s=ENCODE_TIME_S + 60, weight=4, cache=True)
def extract_audio(ctx: Context, source: File, checked: Checked, meta: Metadata) -> File:
    """Take the first sound track as MP3."""
    target = ctx.temp_dir / "audio.mp3"
    with verdicts(source.name):
        path, found, program = ctx.path(source), named(checked.sniffed, checked.opener), video.ffmpeg()
        argv = video.audio_argv(program, path, found, target)
        duration_s = meta.duration_s or 0.0
        if not run_ffmpeg(ctx, argv, duration_s=duration_s, what="sound", timeout_s=ENCODE_TIME_S):
            raise CorruptMedia("the sound could not be decoded")
        if not _not_empty(target):
            raise CorruptMedia("the sound track is empty")
    return ctx.save(f"audio/{ctx.job_id}.mp3", target, "audio/mpeg", {"duration_s": duration_s})


def _not_empty(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
