"""The tasks that give a film other forms: `make_sprite`, `plan_renditions`, one `encode_rendition` per size, `package_hls`."""

from __future__ import annotations

from dataclasses import dataclass

from orpheus import Context, File, task
from orpheus.media import video
from orpheus.media.checked import Checked
from orpheus.media.errors import CorruptMedia
from orpheus.media.limits import ENCODE_TIME_S
from orpheus.media.opening import named
from orpheus.media.renditions import ladder as ladders
from orpheus.media.renditions import sprite
from orpheus.media.renditions.ladder import Rung
from orpheus.media.running import RETRY, run_ffmpeg, verdicts
from orpheus.media.summary import Metadata


@dataclass(frozen=True, slots=True)
class Sprite:
    """A sheet of small pictures, and when each is."""

    picture: File
    cues: File


@dataclass(frozen=True, slots=True)
class Rendition:
    """A film in another size."""

    rung: Rung
    video: File
    duration_s: float
    has_audio: bool


@task(name="orpheus.make_sprite", retry=RETRY, start_to_close_s=ENCODE_TIME_S, weight=2, cache=True)
def make_sprite(ctx: Context, source: File, checked: Checked, meta: Metadata) -> Sprite:
    """Make the sheet a player shows while somebody scrubs: `sprite.webp` and `sprite.vtt`."""
    target = ctx.temp_dir / "sprite.webp"
    duration_s = max(meta.duration_s or 0.0, 0.04)
    sheet = sprite.layout(duration_s, meta.width or sprite.WIDTH, meta.height or sprite.WIDTH)
    with verdicts(source.name):
        argv = sprite.argv(video.ffmpeg(), ctx.path(source), named(checked.sniffed, checked.opener), target, sheet)
        if not run_ffmpeg(ctx, argv, duration_s=0.0, what="", timeout_s=ENCODE_TIME_S) or not target.exists():
            raise CorruptMedia("no pictures of the video could be decoded")
    cues = sprite.vtt(sheet, duration_s=duration_s).encode()
    return Sprite(ctx.save("sprite.webp", target, "image/webp"), ctx.save("sprite.vtt", cues, "text/vtt"))


@task(name="orpheus.plan_renditions", retry=None, cache=True)
def plan_renditions(meta: Metadata, most: int = 4) -> list[Rung]:
    """Choose the sizes worth making of a film: its own at most, never larger."""
    return ladders.ladder(meta.width, meta.height, most=most) if meta.width and meta.height else []


@task(name="orpheus.encode_rendition", retry=RETRY, start_to_close_s=2 * ENCODE_TIME_S, weight=8, cache=True)
def encode_rendition(ctx: Context, rung: Rung, source: File, checked: Checked, meta: Metadata) -> Rendition:
    """Encode one size as `renditions/{name}.mp4`."""
    target = ctx.temp_dir / "rendition.mp4"
    duration_s = meta.duration_s or 0.0
    with verdicts(source.name):
        found = named(checked.sniffed, checked.opener)
        argv = ladders.encode_argv(video.ffmpeg(), ctx.path(source), found, target, rung, has_audio=meta.has_audio)
        if not run_ffmpeg(ctx, argv, duration_s=duration_s, what=f"{rung.name}p", timeout_s=2 * ENCODE_TIME_S):
            raise CorruptMedia(f"it could not be encoded at {rung.width} x {rung.height}")
    metadata = {"width": rung.width, "height": rung.height, "duration_s": duration_s}
    made = ctx.save(f"renditions/{rung.name}.mp4", target, "video/mp4", metadata)
    return Rendition(rung, made, duration_s, meta.has_audio)


@task(name="orpheus.package_hls", retry=RETRY, start_to_close_s=ENCODE_TIME_S, weight=2, cache=True)
def package_hls(ctx: Context, renditions: list[Rendition]) -> File:
    """Cut the sizes into segments that players stream: `hls/master.m3u8` and what it names."""
    measured = []
    for place, rendition in enumerate(renditions):
        folder = ctx.temp_dir / rendition.rung.name
        folder.mkdir()
        argv = ladders.segment_argv(video.ffmpeg(), ctx.path(rendition.video), folder)
        with verdicts(f"{rendition.rung.name}p"):
            if not run_ffmpeg(ctx, argv, duration_s=0.0, what="", timeout_s=ENCODE_TIME_S):
                raise CorruptMedia("it could not be cut into segments")
        segments = sorted(folder.glob("*.ts"))
        for segment in segments:
            ctx.save(f"hls/{rendition.rung.name}/{segment.name}", segment, "video/mp2t")
        ctx.save(f"hls/{rendition.rung.name}/index.m3u8", folder / "index.m3u8", "application/vnd.apple.mpegurl")
        largest = max(segment.stat().st_size for segment in segments)
        seconds = min(rendition.duration_s, ladders.SEGMENT_S) or ladders.SEGMENT_S
        measured.append((rendition.rung, round(largest * 8 / seconds)))
        ctx.progress((place + 1) / len(renditions))
    text = ladders.master(measured, has_audio=any(rendition.has_audio for rendition in renditions))
    return ctx.save("hls/master.m3u8", text.encode(), "application/vnd.apple.mpegurl")
