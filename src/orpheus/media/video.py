"""Videos and recordings: probed in process with PyAV, converted by FFmpeg as a child. Plain functions; no task in sight.

A file is only ever opened with the one demuxer of its sniffed type and with `file` as the only protocol, so a playlist or
script in disguise opens nothing else.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from orpheus.media.errors import CorruptMedia, ExtraMissing, Refused, TooLarge, UnsupportedMedia
from orpheus.media.extras import need
from orpheus.media.image import check_size
from orpheus.media.limits import (
    CHILD_MEMORY_BYTES,
    MAX_DURATION_S,
    MAX_STREAMS,
    MAX_VIDEO_PIXELS,
    POSTER_SIDE,
)
from orpheus.media.sniff import Type

_OPEN_OPTIONS: Final = {"protocol_whitelist": "file", "enable_drefs": "0"}

_MISSING_TAIL_S: Final = 1.0
_MISSING_TAIL_SHARE: Final = 0.1
"""Containers round: a file counts as cut off when more than a second and more than a tenth of it cannot be reached."""

_KNOWS_ITS_LENGTH: Final = frozenset({"mov", "matroska", "avi", "flac"})
"""Containers that write their length down; for the others it is estimated from the bit rate, or claimed by a header that a
recorder never came back to."""

_GUESSES_ITS_LENGTH: Final = frozenset({"mp3", "aac"})
"""Recordings whose length is guessed from the bit rate, or told by a header that a cut-off file still carries: their packets
are counted, which takes 0.2 s an hour."""

_TITLES: Final = ("title", "artist", "album", "comment")
"""Tags worth showing. An allow-list: phones write the place of the recording into others."""


@contextlib.contextmanager
def opened(path: Path, found: Type) -> Iterator[Any]:
    """Open a container with the demuxer of its type only.

    Raises:
        CorruptMedia: the container cannot be read.
        UnsupportedMedia: it asks for a protocol or codec that is not allowed or not known.
        ExtraMissing: PyAV is not installed.
    """
    av = need("av")
    with (
        _translated(found),
        av.open(
            str(path.absolute()), mode="r", format=found.opener, options=dict(_OPEN_OPTIONS), metadata_errors="replace"
        ) as container,
    ):
        if len(container.streams) > MAX_STREAMS:
            raise TooLarge(f"the file has {len(container.streams)} streams; at most {MAX_STREAMS} are opened")
        yield container


@contextlib.contextmanager
def _translated(found: Type) -> Iterator[None]:
    av = need("av")
    try:
        yield
    except Refused:
        raise
    except MemoryError as error:
        raise TooLarge("opening the file took more memory than is allowed") from error
    except (av.error.DecoderNotFoundError, av.error.ProtocolNotFoundError) as error:
        raise UnsupportedMedia(
            f"this {found.label} uses a codec that cannot be decoded here: {error.strerror}"
        ) from error
    except (av.error.FFmpegError, OSError, ValueError, EOFError, ArithmeticError) as error:
        # str(error) would quote our own path, which says nothing to anybody.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise CorruptMedia(
            f"this is a broken {found.label}: {reason[:1].lower()}{reason[1:]}",
            hint="The file may be cut off: send it again, or export it anew.",
        ) from error


def describe(path: Path, found: Type) -> dict[str, Any]:
    """Read the facts of a video or recording from its headers and first frame.

    Returns:
        `kind` ("video" or "audio"), `content_type`, `duration_s`, `has_video`, `has_audio`, `codecs`, `bit_rate`, tags, and
        for videos upright `width` and `height`, `rotation`, `fps`, `frames`; for sound `sample_rate_hz`, `channels`.
    """
    with opened(path, found) as container:
        picture, sound = _picture(container), _sound(container)
        if picture is None and sound is None:
            raise UnsupportedMedia(f"this {found.label} holds neither pictures nor sound")
        duration_s = _duration_s(container)
        if found.opener in _GUESSES_ITS_LENGTH and _falls_short(reached_s := _reached_s(path, found), duration_s):
            duration_s = reached_s
        facts: dict[str, Any] = {
            "kind": "video" if picture is not None else "audio",
            "content_type": _content_type(found, container, has_video=picture is not None),
            "duration_s": round(duration_s, 3),
            "has_video": picture is not None,
            "has_audio": sound is not None,
            "codecs": [_codec(stream) for stream in (picture, sound) if stream is not None],
            "bit_rate": int(container.bit_rate or 0),
            "tags": {name: str(container.metadata[name])[:500] for name in _TITLES if container.metadata.get(name)},
        }
        if sound is not None:
            facts |= {"sample_rate_hz": int(sound.sample_rate or 0), "channels": int(sound.codec_context.channels or 0)}
        if picture is not None:
            facts |= _picture_facts(container, picture)
        return facts


def _picture_facts(container: Any, picture: Any) -> dict[str, Any]:
    context = picture.codec_context
    check_size(context.width, context.height, cap=MAX_VIDEO_PIXELS, what="the video")
    frame = next(container.decode(picture), None)
    rotation = int(getattr(frame, "rotation", 0) or 0) % 360
    width, height = context.width, context.height
    ratio = picture.sample_aspect_ratio
    if ratio and ratio > 0 and ratio != 1:
        width = max(1, round(width * float(ratio)))
    if rotation in (90, 270):
        width, height = height, width
    rate = picture.average_rate or picture.guessed_rate
    return {
        "width": width,
        "height": height,
        "rotation": rotation,
        "fps": round(float(rate), 3) if rate else None,
        "frames": int(picture.frames or 0) or None,
    }


def _picture(container: Any) -> Any:
    """The first real video stream; a cover picture in a recording is none."""
    av = need("av")
    cover = av.stream.Disposition.attached_pic
    return next((stream for stream in container.streams.video if not stream.disposition & cover), None)


def _sound(container: Any) -> Any:
    return next(iter(container.streams.audio), None)


def _codec(stream: Any) -> str:
    """Name the codec, not the decoder that happens to be built in."""
    codec = stream.codec_context.codec
    return str(getattr(codec, "canonical_name", None) or codec.name)


def _duration_s(container: Any) -> float:
    if container.duration:
        return max(0.0, float(container.duration) / 1_000_000)
    lengths = [float(stream.duration * stream.time_base) for stream in container.streams if stream.duration]
    return max([0.0, *lengths])


def _content_type(found: Type, container: Any, *, has_video: bool) -> str:
    """Name the type that the streams show: WebM is a narrower Matroska, and MP4 without pictures is M4A."""
    if found.opener == "matroska":
        names = {_codec(stream) for stream in (*container.streams.video, *container.streams.audio)}
        webm = names <= {"vp8", "vp9", "av1", "opus", "vorbis"}
        return f"{'video' if has_video else 'audio'}/{'webm' if webm else 'x-matroska'}"
    if not has_video and found.content_type == "video/mp4":
        return "audio/mp4"
    if has_video and found.content_type == "audio/ogg":
        return "video/ogg"
    return found.content_type


def check(path: Path, found: Type) -> dict[str, Any]:
    """Read the whole container and decode its beginning, so that nothing later meets a file that ends early.

    Returns what `describe` returns.

    Packets are read but not decoded, except the first of each stream: an hour of video takes a second or two.

    Raises:
        CorruptMedia: cut off, or its beginning cannot be decoded.
        TooLarge: longer than `MAX_DURATION_S`, or frames larger than `MAX_VIDEO_PIXELS`.
    """
    facts = describe(path, found)  # decodes the first frame
    if facts["has_audio"]:
        with opened(path, found) as container, _translated(found):
            if next(container.decode(_sound(container)), None) is None and not facts["has_video"]:
                raise CorruptMedia(f"this {found.label} holds no sound that can be decoded")
    if facts["has_video"]:
        with opened(path, found) as container, _translated(found):
            if next(container.decode(_picture(container)), None) is None:
                raise CorruptMedia(f"this {found.label} holds no picture that can be decoded")
    claimed_s, reached_s = facts["duration_s"], _reached_s(path, found)
    if max(claimed_s, reached_s) > MAX_DURATION_S:
        raise TooLarge(
            f"the file is {max(claimed_s, reached_s) / 3600:.1f} hours long; at most {MAX_DURATION_S / 3600:.0f} are taken"
        )
    if found.opener in _KNOWS_ITS_LENGTH and _falls_short(reached_s, claimed_s):
        raise CorruptMedia(
            f"the file is cut off: it claims {claimed_s:.2f} s, but its data ends at {reached_s:.2f} s",
            hint="The upload may have broken off: send it again.",
        )
    return facts


def _falls_short(reached_s: float, claimed_s: float) -> bool:
    missing_s = claimed_s - reached_s
    return missing_s > _MISSING_TAIL_S and missing_s > claimed_s * _MISSING_TAIL_SHARE


def _reached_s(path: Path, found: Type) -> float:
    """Read every packet; return the time at which the last whole one ends."""
    reached = 0.0
    with opened(path, found) as container:
        start = (container.start_time or 0) / 1_000_000
        # A packet that ends early raises in some demuxers and ends the stream in others; both are the end of the data.
        with contextlib.suppress(need("av").error.FFmpegError):
            for packet in container.demux([stream for stream in (_picture(container), _sound(container)) if stream]):
                at = packet.pts if packet.pts is not None else packet.dts
                if at is None or packet.is_corrupt or packet.time_base is None:
                    continue
                reached = max(reached, float((at + (packet.duration or 0)) * packet.time_base) - start)
    return reached


# --- FFmpeg as a child --------------------------------------------------------------------------------------------------


def ffmpeg() -> str:
    """Find FFmpeg: `ORPHEUS_FFMPEG`, else the one in the wheel of imageio-ffmpeg.

    Raises:
        ExtraMissing: there is none.
    """
    named = os.environ.get("ORPHEUS_FFMPEG", "")
    if named:
        found = shutil.which(named)
        if found is None:
            raise ExtraMissing(
                f"ORPHEUS_FFMPEG names {named!r}, which is not a program",
                hint="Set it to the path of FFmpeg, or unset it.",
            )
        return found
    try:
        path: str = need("imageio_ffmpeg").get_ffmpeg_exe()
    except RuntimeError as error:
        raise ExtraMissing(
            f"imageio-ffmpeg brings no FFmpeg for this machine ({error})",
            hint="Install FFmpeg and set ORPHEUS_FFMPEG to its path.",
        ) from error
    return path


def input_argv(source: Path, found: Type, *, start_s: float = 0.0) -> list[str]:
    """The part of a command line that reads `source`: forced demuxer, no protocol but `file`, no stdin."""
    seek = ["-ss", f"{start_s:.3f}"] if start_s > 0 else []
    return [
        *("-nostdin", "-hide_banner", "-loglevel", "error", "-nostats", "-threads", "2"),
        *("-protocol_whitelist", "file,pipe", "-f", found.opener, *seek),
        *("-i", f"file:{source.absolute()}"),
    ]


def audio_argv(program: str, source: Path, found: Type, target: Path) -> list[str]:
    """Take the first audio track as MP3: at most two channels, no tags, progress on stdout."""
    return [
        *(program, *input_argv(source, found)),
        *("-progress", "pipe:1", "-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"),
        *("-ac", "2", "-c:a", "libmp3lame", "-q:a", "3", "-f", "mp3", "-y", f"file:{target.absolute()}"),
    ]


def poster_argv(program: str, source: Path, found: Type, target: Path, *, duration_s: float) -> list[str]:
    """Take one telling frame as WebP: upright, square pixels, longest side at most `POSTER_SIDE`.

    The filter `thumbnail` picks, among frames from a tenth of the way in, the one nearest to their mean, which is rarely
    black or in the middle of a cut.
    """
    start_s = min(duration_s * 0.1, 60.0) if duration_s > 2 else 0.0
    filters = ",".join(
        [
            "thumbnail=24",
            "scale=w='max(1,trunc(iw*if(gt(sar,0),sar,1)))':h=ih",
            "setsar=1",
            f"scale=w='min({POSTER_SIDE},iw)':h='min({POSTER_SIDE},ih)':force_original_aspect_ratio=decrease",
        ]
    )
    return [
        *(program, *input_argv(source, found, start_s=start_s)),
        *("-map", "0:V:0", "-an", "-sn", "-dn", "-map_metadata", "-1", "-vf", filters),
        *("-frames:v", "1", "-c:v", "libwebp", "-quality", "82", "-f", "webp", "-y", f"file:{target.absolute()}"),
    ]


def limited(argv: Sequence[str], *, memory_bytes: int = CHILD_MEMORY_BYTES) -> list[str]:
    """Wrap a command line so that the program may map at most `memory_bytes`; its arguments pass untouched.

    The shell only sets the limit and replaces itself: no word of `argv` is ever parsed by it. Where the system has no such
    limit (macOS), the program runs without.
    """
    if os.name != "posix":
        return list(argv)
    return ["/bin/sh", "-c", f'ulimit -v {memory_bytes // 1024} 2>/dev/null; exec "$@"', "sh", *argv]


def progress_of(line: str, duration_s: float) -> float | None:
    """Read one line of `-progress`: the share that is done, from 0 to 1, or None when the line tells nothing of it."""
    key, _, value = line.strip().partition("=")
    if key == "progress" and value == "end":
        return 1.0
    if key not in ("out_time_us", "out_time_ms") or duration_s <= 0:  # both are microseconds
        return None
    try:
        done = int(value) / 1_000_000 / duration_s
    except ValueError:  # "N/A" before the first packet
        return None
    return min(1.0, max(0.0, done))


def why(stderr: str) -> str:
    """Pick the last line of FFmpeg's complaint that tells something, without our paths and its addresses."""
    lines = [line.split("] ", 1)[-1].strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Error opening", "Conversion failed", "file:"))]
    return (telling or lines or ["FFmpeg gave no reason"])[0][:300]
