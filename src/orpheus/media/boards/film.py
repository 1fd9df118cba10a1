"""FFmpeg's command lines for a storyboard: one scene in motion, and all of them stitched. Values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orpheus.media.boards.scenes import Canvas, Scene, frames, overlap

_HEAD: Final = ("-nostdin", "-hide_banner", "-loglevel", "error", "-nostats", "-threads", "2")
_ZOOM: Final = 0.18
"""How much closer a zoom comes, and how much of the width a pan travels."""
_ENCODE: Final = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p")
_MP4: Final = ("-map_metadata", "-1", "-movflags", "+faststart", "-f", "mp4", "-y")
_FADE_OUT_S: Final = 0.5


def _read(path: Path, *, decoder: str) -> list[str]:
    return ["-protocol_whitelist", "file,pipe", "-f", decoder, "-i", f"file:{path.absolute()}"]


def motion(name: str, count: int) -> str:
    """Return the `zoompan` expressions of a motion over `count` frames, eased at both ends."""
    last = max(1, count - 1)
    at = f"(0.5-0.5*cos(PI*on/{last}))"
    if name == "zoom_in":
        zoom, x = f"1+{_ZOOM}*{at}", "iw/2-iw/zoom/2"
    elif name == "zoom_out":
        zoom, x = f"1+{_ZOOM}*(1-{at})", "iw/2-iw/zoom/2"
    elif name == "pan_left":
        zoom, x = f"1+{_ZOOM}", f"(iw-iw/zoom)*(1-{at})"
    elif name == "pan_right":
        zoom, x = f"1+{_ZOOM}", f"(iw-iw/zoom)*{at}"
    else:
        zoom, x = "1", "0"
    return f"z='{zoom}':x='{x}':y='ih/2-ih/zoom/2'"


@dataclass(frozen=True, slots=True)
class Stills:
    """What a scene is made of, as PNGs."""

    first: Path
    second: Path | None
    caption: Path | None


def scene_argv(program: str, scene: Scene, stills: Stills, target: Path, canvas: Canvas) -> list[str]:
    """Render one scene: exactly `duration_s` long to the frame, without sound."""
    width, height, fps = canvas.width, canvas.height, canvas.fps
    count = frames(scene.duration_s, fps)
    moved = f"zoompan={motion(scene.motion, count)}:d={count}:s={width}x{height}:fps={fps},setsar=1,format=yuv444p"
    inputs = _read(stills.first, decoder="png_pipe")
    graph, out, number = [f"[0:v]{moved}[a]"], "a", 1
    if stills.second is not None:
        inputs += _read(stills.second, decoder="png_pipe")
        fade_s = min(1.0, scene.duration_s / 2)
        begin_s = (scene.duration_s - fade_s) / 2
        graph.append(f"[{number}:v]{moved}[b]")
        graph.append(
            f"[{out}][b]blend=all_expr='A*(1-P)+B*P'".replace("P", f"clip((T-{begin_s:.4f})/{fade_s:.4f},0,1)")
            + "[pair]"
        )
        out, number = "pair", number + 1
    if stills.caption is not None:
        inputs += _read(stills.caption, decoder="png_pipe")
        graph.append(f"[{out}][{number}:v]overlay=0:0:eof_action=repeat[told]")
        out = "told"
    return [
        *(program, *_HEAD, *inputs, "-progress", "pipe:1", "-filter_complex", ";".join(graph), "-map", f"[{out}]"),
        *("-frames:v", str(count), "-r", str(fps), *_ENCODE, *_MP4, f"file:{target.absolute()}"),
    ]


def fitted_argv(program: str, source: Path, target: Path, *, duration_s: float, canvas: Canvas) -> list[str]:
    """Bring a clip that a service made to the canvas, the rate and the scene's length; a short one holds its last frame."""
    width, height, fps = canvas.width, canvas.height, canvas.fps
    filters = ",".join(
        [
            f"scale={width}:{height}:force_original_aspect_ratio=increase",
            f"crop={width}:{height}",
            f"fps={fps}",
            f"tpad=stop_mode=clone:stop_duration={duration_s:.3f}",
            "setsar=1",
        ]
    )
    return [
        *(program, *_HEAD, *_read(source, decoder="mov"), "-progress", "pipe:1", "-an", "-vf", filters),
        *("-frames:v", str(frames(duration_s, fps)), "-r", str(fps), *_ENCODE, *_MP4, f"file:{target.absolute()}"),
    ]


def length_s(scenes: Sequence[Scene]) -> float:
    """Return how long the stitched video is: the scenes, less what transitions overlap."""
    return sum(scene.duration_s for scene in scenes) - sum(overlap(scene) for scene in scenes[:-1])


def stitch_argv(
    program: str, scenes: Sequence[Scene], clips: Sequence[Path], sound: Path | None, target: Path, *, fps: int
) -> list[str]:
    """Join the scenes with their transitions, and lay the sound under them: cut or filled up to the video's length."""
    inputs = [word for clip in clips for word in _read(clip, decoder="mov")]
    graph = [f"[{place}:v]settb=1/{fps},setpts=PTS-STARTPTS[s{place}]" for place in range(len(clips))]
    out, reached_s = "s0", scenes[0].duration_s
    for place in range(1, len(clips)):
        before = scenes[place - 1]
        joined = f"j{place}"
        if overlap(before) > 0:
            kind = "fade" if before.transition.type == "dissolve" else "fadeblack"
            offset_s = reached_s - overlap(before)
            graph.append(
                f"[{out}][s{place}]xfade=transition={kind}:duration={overlap(before):.4f}:offset={offset_s:.4f}[{joined}]"
            )
            reached_s = offset_s + scenes[place].duration_s
        else:
            graph.append(f"[{out}][s{place}]concat=n=2:v=1:a=0,settb=1/{fps}[{joined}]")
            reached_s += scenes[place].duration_s
        out = joined
    graph.append(f"[{out}]format=yuv420p[picture]")
    tail: list[str] = []
    if sound is not None:
        inputs += ["-protocol_whitelist", "file,pipe", "-i", f"file:{sound.absolute()}"]
        fade_s = min(_FADE_OUT_S, reached_s / 2)
        graph.append(
            f"[{len(clips)}:a]apad,atrim=0:{reached_s:.4f},afade=t=out:st={reached_s - fade_s:.4f}:d={fade_s:.4f}[sound]"
        )
        tail = ["-map", "[sound]", "-c:a", "aac", "-b:a", "160k"]
    return [
        *(program, *_HEAD, *inputs, "-progress", "pipe:1", "-filter_complex", ";".join(graph), "-map", "[picture]"),
        *(*tail, "-r", str(fps), *_ENCODE, *_MP4, f"file:{target.absolute()}"),
    ]
