"""The tasks of the storyboard: `plan_shots`, one `render_scene` or `generate_scene` per scene, `stitch_scenes`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orpheus import Context, File, task
from orpheus.media import made_with, video
from orpheus.media.boards import film, stills
from orpheus.media.boards.scenes import Canvas, Clip, Renderer, Scene, Storyboard, check
from orpheus.media.checked import Checked
from orpheus.media.errors import CorruptMedia, InvalidInput, Refused, UnsupportedMedia
from orpheus.media.limits import ENCODE_TIME_S
from orpheus.media.opening import named
from orpheus.media.providers import configured, replicate
from orpheus.media.providers.http import ServiceFailed
from orpheus.media.running import PATIENT, RETRY, guarded, interruptibly, run_ffmpeg, verdicts

_POLL_S = 2.0


@dataclass(frozen=True, slots=True)
class Film:
    """The stitched video, and the scenes it is made of."""

    video: File
    duration_s: float
    scenes: list[File]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the scenes are rendered on, and at what pace."""

    canvas: Canvas
    max_concurrency: int
    stagger_s: float


@task(name="orpheus.plan_shots", retry=None, cache=True, made_with=made_with.pacing)
def plan_shots(board: Storyboard, max_concurrency: int | None = None, start_delay_ms: int | None = None) -> Plan:
    """Check the storyboard, give it its canvas, and settle how many scenes render at a time."""
    with verdicts("the storyboard"):
        check(board)
        return Plan(
            Canvas(board.width, board.height, board.fps),
            _setting("REPLICATE_MAX_CONCURRENCY", 4, least=1) if max_concurrency is None else max_concurrency,
            (_setting("REPLICATE_START_DELAY_MS", 1000, least=0) if start_delay_ms is None else start_delay_ms) / 1000,
        )


def _setting(name: str, default: int, *, least: int) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        raise InvalidInput(f"{name} is {text!r}, not a whole number from {least}", hint="Set it where the worker runs.")
    return int(text)


@task(
    name="orpheus.render_scene",
    executor="process",
    retry=RETRY,
    start_to_close_s=3600,
    weight=4,
    cache=True,
    made_with=made_with.writing,
)
def render_scene(ctx: Context, scene: Scene, canvas: Canvas) -> Clip:
    """Render one scene as `scenes/{id}.mp4` on this machine."""
    with verdicts(f"scene {scene.id}"):
        stilled = _stills(ctx, scene, canvas)
        return _rendered(
            ctx, scene, "local", lambda target: film.scene_argv(video.ffmpeg(), scene, stilled, target, canvas)
        )


@task(
    name="orpheus.generate_scene",
    executor="process",
    retry=PATIENT,
    start_to_close_s=3600,
    weight=4,
    cache=True,
    made_with=made_with.generating,
)
def generate_scene(ctx: Context, scene: Scene, canvas: Canvas) -> Clip:
    """Have Replicate make a clip of one scene, and bring it to the canvas and the scene's length: `scenes/{id}.mp4`."""
    with verdicts(f"scene {scene.id}"):
        made = _generated(ctx, scene)
        return _rendered(
            ctx,
            scene,
            "replicate",
            lambda target: film.fitted_argv(video.ffmpeg(), made, target, duration_s=scene.duration_s, canvas=canvas),
        )


def _rendered(ctx: Context, scene: Scene, renderer: Renderer, argv: Callable[[Path], list[str]]) -> Clip:
    target = ctx.temp_dir / "scene.mp4"
    if not run_ffmpeg(ctx, argv(target), duration_s=scene.duration_s, what=f"scene {scene.id}", timeout_s=1800):
        raise CorruptMedia("it could not be rendered")
    metadata = {"duration_s": scene.duration_s, "renderer": renderer}
    return Clip(scene.id, ctx.save(f"scenes/{scene.id}.mp4", target, "video/mp4", metadata), scene.duration_s)


def _stills(ctx: Context, scene: Scene, canvas: Canvas) -> film.Stills:
    first = _still(ctx, scene.image, ctx.temp_dir / "first.png", canvas)
    second = None if scene.image_end is None else _still(ctx, scene.image_end, ctx.temp_dir / "second.png", canvas)
    told = ctx.temp_dir / "caption.png"
    written = stills.caption(scene.caption, told, width=canvas.width, height=canvas.height)
    return film.Stills(first, second, told if written else None)


def _still(ctx: Context, file: File, target: Path, canvas: Canvas) -> Path:
    """Open a picture as carefully as an upload, and prepare it."""
    checked = Checked(**guarded(ctx, "validate", path=ctx.path(file), name=file.name))
    if checked.kind != "image":
        raise UnsupportedMedia(f"{file.name} is no image but a {checked.label}", hint="A scene shows images.")
    found = named(checked.sniffed, checked.opener)
    path = ctx.path(file)
    interruptibly(lambda: stills.prepare(path, found, target, width=canvas.width, height=canvas.height))
    return target


def _generated(ctx: Context, scene: Scene) -> Path:
    """Return the clip that Replicate makes of the scene.

    The prediction's id is left with the heartbeat: an attempt after a crash waits for the same prediction instead of
    paying for another. A cancelled attempt cancels it.
    """
    service = configured.replicate()
    prediction = _begun(ctx, service, scene)
    ctx.heartbeat({"prediction": prediction.id})
    try:
        while not prediction.ended:
            ctx.progress(None, f"Replicate: {prediction.status}")
            _pause(ctx, _POLL_S)
            prediction = replicate.get(service, prediction.id)
    except BaseException:
        if ctx.is_cancelled:
            replicate.cancel(service, prediction.id)
        raise
    if prediction.price is not None:
        ctx.spend(prediction.price)
    target = ctx.temp_dir / "generated.mp4"
    replicate.save_result(service, prediction, target)
    try:
        checked = Checked(**guarded(ctx, "validate", path=target, name="generated.mp4"))
    except Refused as refused:  # a page in place of the file: the next attempt fetches the same prediction's again
        raise ServiceFailed(f"what Replicate sent is no video: {refused.message}") from None
    if checked.kind != "video" or checked.opener != "mov":
        raise UnsupportedMedia(f"Replicate made a {checked.label}, which is no MP4 video")
    return target


def _begun(ctx: Context, service: configured.Configured, scene: Scene) -> replicate.Prediction:
    before = ctx.last_heartbeat
    if isinstance(before, dict) and before.get("prediction"):
        found = replicate.get(service, str(before["prediction"]))
        if found.status not in ("failed", "canceled", "aborted"):
            return found
    given: dict[str, object] = {"prompt": scene.prompt or scene.caption or "subtle natural motion"}
    for name, file in (("first_frame_image", scene.image), ("last_frame_image", scene.image_end)):
        if file is not None:
            data = ctx.path(file).read_bytes()
            given[name] = replicate.upload(service, file.name, data, file.content_type)
    return replicate.create(service, given)


def _pause(ctx: Context, seconds: float) -> None:
    """Wait, but not past a cancel."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ctx.progress(None)  # raises Cancelled once the attempt is told to stop
        time.sleep(0.1)


@task(name="orpheus.stitch_scenes", retry=RETRY, start_to_close_s=ENCODE_TIME_S, weight=6, cache=True)
def stitch_scenes(ctx: Context, board: Storyboard, clips: list[Clip]) -> Film:
    """Join the rendered scenes in order: `renders/storyboard.mp4`."""
    target = ctx.temp_dir / "storyboard.mp4"
    total_s = film.length_s(board.scenes)
    with verdicts("the storyboard"):
        paths = [ctx.path(clip.video) for clip in clips]
        sound = None if board.audio is None else _sound(ctx, board.audio)
        argv = film.stitch_argv(video.ffmpeg(), board.scenes, paths, sound, target, fps=board.fps)
        if not run_ffmpeg(ctx, argv, duration_s=total_s, what="stitching", timeout_s=ENCODE_TIME_S):
            raise CorruptMedia("the scenes could not be stitched")
    metadata = {"duration_s": round(total_s, 3), "title": board.title}
    made = ctx.save("renders/storyboard.mp4", target, "video/mp4", metadata)
    return Film(made, round(total_s, 3), [clip.video for clip in clips])


def _sound(ctx: Context, file: File) -> Path:
    """Open the audio as carefully as an upload, and decode it, so that the stitching reads nothing foreign."""
    checked = Checked(**guarded(ctx, "validate", path=ctx.path(file), name=file.name))
    if checked.kind in ("image", "pdf"):
        raise UnsupportedMedia(f"{file.name} holds no sound: it is a {checked.label}")
    target = ctx.temp_dir / "sound.wav"
    argv = [
        *(video.ffmpeg(), *video.input_argv(ctx.path(file), named(checked.sniffed, checked.opener))),
        *("-map", "0:a:0", "-vn", "-ac", "2", "-ar", "48000", "-f", "wav", "-y", f"file:{target.absolute()}"),
    ]
    if not run_ffmpeg(ctx, argv, duration_s=0.0, what="", timeout_s=600):
        raise CorruptMedia("the sound could not be decoded")
    return target
