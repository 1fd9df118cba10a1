"""The talk without what was cut: pictures chosen frame by frame, sound cut sample by sample.

Sound is cut here and not by FFmpeg's filters: each join is faded over 5 ms, so that none clicks, and stays in step with its
picture over any number of cuts. Plain functions; no task in sight.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

from orpheus.media.sniff import Type
from orpheus.media.speech.transcript import Span
from orpheus.media.video import input_argv

RATE_HZ: Final = 48_000
CHANNELS: Final = 2
_BYTES: Final = 2 * CHANNELS
_FADE_SAMPLES: Final = RATE_HZ * 5 // 1000
_BLOCK: Final = 1 << 20

MOST_FPS: Final = 60


def frame_rate(fps: float | None) -> Fraction:
    """Return the constant rate at which a source is cut: its own, as the fraction it stands for (29.97 is 30000/1001).

    Recordings of screens and phones have frames of any length; they get their mean rate, at most 60.
    """
    if not fps or not math.isfinite(fps) or fps <= 0:
        return Fraction(25)
    for ntsc in (Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)):
        if abs(fps - float(ntsc)) < 0.003:
            return ntsc
    return min(Fraction(MOST_FPS), max(Fraction(1), Fraction(fps).limit_denominator(1000)))


def pcm_argv(program: str, source: Path, found: Type, target: Path) -> list[str]:
    """FFmpeg's command line for the first sound track as raw 16-bit stereo at 48 kHz, in step with the source's clock."""
    return [
        *(program, *input_argv(source, found), "-progress", "pipe:1"),
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-af", "aresample=async=1:first_pts=0"),
        *("-ac", str(CHANNELS), "-ar", str(RATE_HZ), "-f", "s16le", "-y", f"file:{target.absolute()}"),
    ]


def cut_pcm(
    source: Path, target: Path, kept: Sequence[Span], *, on_done: Callable[[float], None] | None = None
) -> None:
    """Write the kept stretches of raw sound, one after the other, faded at every join.

    Where the sound ends before the picture, silence goes on, so that both stay in step.
    """
    size = source.stat().st_size // _BYTES
    with source.open("rb") as reader, target.open("wb") as writer:
        for place, span in enumerate(kept):
            start, end = round(span.start_s * RATE_HZ), round(span.end_s * RATE_HZ)
            _copy(reader, writer, start, min(end, size), fade_in=place > 0, fade_out=place < len(kept) - 1)
            missing = end - max(start, size)
            if missing > 0:
                _silence(writer, missing)
            if on_done is not None:
                on_done((place + 1) / len(kept))


def _silence(writer: BinaryIO, samples: int) -> None:
    for left in range(samples * _BYTES, 0, -_BLOCK):
        writer.write(bytes(min(_BLOCK, left)))


def _copy(reader: BinaryIO, writer: BinaryIO, start: int, end: int, *, fade_in: bool, fade_out: bool) -> None:
    """Copy samples `start` to `end`; the ends that are joins rise from and fall to nothing."""
    count = end - start
    if count <= 0:
        return
    edge = min(_FADE_SAMPLES, count // 2)
    reader.seek(start * _BYTES)
    head = reader.read(edge * _BYTES)
    writer.write(_faded(head, rising=True) if fade_in else head)
    left = (count - 2 * edge) * _BYTES
    while left > 0:
        block = reader.read(min(_BLOCK, left))
        if not block:
            return
        writer.write(block)
        left -= len(block)
    tail = reader.read(edge * _BYTES)
    writer.write(_faded(tail, rising=False) if fade_out else tail)


def _faded(data: bytes, *, rising: bool) -> bytes:
    samples = array("h", data)
    frames = len(samples) // CHANNELS
    for frame in range(frames):
        at = (frame + 0.5) / frames
        gain = 0.5 - 0.5 * math.cos(math.pi * (at if rising else 1.0 - at))
        for channel in range(CHANNELS):
            place = frame * CHANNELS + channel
            samples[place] = int(samples[place] * gain)
    return samples.tobytes()


def frames_of(kept: Sequence[Span], rate: Fraction) -> list[tuple[int, int]]:
    """Return the first and last frame of each kept stretch; stretches shorter than a frame have none."""
    pairs = [(round(span.start_s * rate), round(span.end_s * rate) - 1) for span in kept]
    return [(first, last) for first, last in pairs if last >= first]


def video_argv(
    program: str, source: Path, found: Type, *, sound: Path | None, target: Path, kept: Sequence[Span], rate: Fraction
) -> list[str]:
    """FFmpeg's command line for the cut: H.264 and AAC in MP4 that plays while it loads.

    Args:
        program: FFmpeg.
        source: the talk.
        found: its type, which names the demuxer.
        sound: the cut sound, as `cut_pcm` wrote it; None for a silent film.
        target: where to write.
        kept: what stays.
        rate: frames a second.
    """
    chosen = "+".join(f"between(n,{first},{last})" for first, last in frames_of(kept, rate))
    picture = ",".join(
        [
            f"fps=fps={rate.numerator}/{rate.denominator}:start_time=0",
            f"select='{chosen}'",
            f"setpts=N*{rate.denominator}/({rate.numerator}*TB)",
            "scale='max(2,trunc(iw/2)*2)':'max(2,trunc(ih/2)*2)'",
            "format=yuv420p",
        ]
    )
    return [
        *(program, *input_argv(source, found)),
        *(_sound_input(sound) if sound else ()),
        *("-progress", "pipe:1", "-filter_complex", f"[0:V:0]{picture}[picture]", "-map", "[picture]"),
        *(("-map", "1:a:0") if sound else ()),
        *("-r", f"{rate.numerator}/{rate.denominator}", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20"),
        *_container(target, sound=sound is not None),
    ]


def sound_argv(program: str, sound: Path, target: Path) -> list[str]:
    """FFmpeg's command line for the cut of a recording without pictures."""
    head = ["-nostdin", "-hide_banner", "-loglevel", "error", "-nostats", "-protocol_whitelist", "file,pipe"]
    return [program, *head, *_sound_input(sound), "-progress", "pipe:1", *_container(target, sound=True)]


def _sound_input(sound: Path) -> list[str]:
    return ["-f", "s16le", "-ar", str(RATE_HZ), "-ac", str(CHANNELS), "-i", f"file:{sound.absolute()}"]


def _container(target: Path, *, sound: bool) -> list[str]:
    return [
        *(("-c:a", "aac", "-b:a", "160k") if sound else ()),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-movflags", "+faststart", "-f", "mp4", "-y"),
        f"file:{target.absolute()}",
    ]
