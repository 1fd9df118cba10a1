"""Which sizes of a film are worth making? Those below its own, never above; and how each is encoded and cut for streaming.

Pictures begin anew every two seconds in all sizes at once, so that a player may change between them (Apple's HLS authoring
specification, section 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orpheus.media.sniff import Type
from orpheus.media.video import input_argv

KEYFRAME_S = 2
SEGMENT_S = 4


@dataclass(frozen=True, slots=True)
class Rung:
    """One size: its name is the length of its shorter side."""

    name: str
    width: int
    height: int
    bits_per_s: int


_RUNGS = (
    (2160, 14_000_000),
    (1440, 8_000_000),
    (1080, 5_000_000),
    (720, 2_800_000),
    (480, 1_400_000),
    (360, 800_000),
    (240, 400_000),
)


def ladder(width: int, height: int, *, most: int = 4) -> list[Rung]:
    """Return the sizes to make of a film, largest first: its own at most, at most `most` of them.

    Args:
        width: upright, in pixels.
        height: upright, in pixels.
    """
    short = min(width, height)
    fitting = [(side, rate) for side, rate in _RUNGS if side <= short] or [(short, _RUNGS[-1][1])]
    # A film between two rungs keeps its own size as the largest.
    if fitting[0][0] < short * 0.9:
        above = next((rate for side, rate in reversed(_RUNGS) if side > short), _RUNGS[0][1])
        fitting.insert(0, (short, above))
    chosen = fitting[:most]
    return [_rung(side, rate, width, height) for side, rate in chosen]


def _rung(side: int, rate: int, width: int, height: int) -> Rung:
    scale = side / min(width, height)
    return Rung(str(side), _even(width * scale), _even(height * scale), rate)


def _even(length: float) -> int:
    return max(2, round(length / 2) * 2)


def encode_argv(program: str, source: Path, found: Type, target: Path, rung: Rung, *, has_audio: bool) -> list[str]:
    """FFmpeg's command line for one size: H.264 and AAC in MP4 that plays while it loads."""
    sound = ("-map", "0:a:0", "-c:a", "aac", "-ac", "2", "-ar", "48000", "-b:a", "128k") if has_audio else ("-an",)
    return [
        *(program, *input_argv(source, found), "-progress", "pipe:1"),
        *("-map", "0:V:0", *sound, "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"),
        *("-vf", f"scale={rung.width}:{rung.height}:flags=bicubic,setsar=1,format=yuv420p"),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "21", "-profile:v", "high"),
        *("-maxrate", str(rung.bits_per_s), "-bufsize", str(2 * rung.bits_per_s)),
        *("-force_key_frames", f"expr:gte(t,n_forced*{KEYFRAME_S})", "-sc_threshold", "0"),
        *("-movflags", "+faststart", "-f", "mp4", "-y", f"file:{target.absolute()}"),
    ]


def segment_argv(program: str, source: Path, folder: Path) -> list[str]:
    """FFmpeg's command line that cuts an encoded size into segments without encoding it again."""
    return [
        *(program, "-nostdin", "-hide_banner", "-loglevel", "error", "-nostats", "-protocol_whitelist", "file,pipe"),
        *("-f", "mov", "-i", f"file:{source.absolute()}", "-map", "0", "-c", "copy", "-f", "hls"),
        *("-hls_time", str(SEGMENT_S), "-hls_playlist_type", "vod", "-hls_list_size", "0"),
        *("-hls_segment_filename", f"{folder.absolute()}/%05d.ts", f"{folder.absolute()}/index.m3u8"),
    ]


def master(rungs: list[tuple[Rung, int]], *, has_audio: bool) -> str:
    """Write the master playlist: `(size, its measured bits per second)`, largest first."""
    codecs = "avc1.640028,mp4a.40.2" if has_audio else "avc1.640028"
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for rung, bits_per_s in rungs:
        lines += [
            f'#EXT-X-STREAM-INF:BANDWIDTH={bits_per_s},RESOLUTION={rung.width}x{rung.height},CODECS="{codecs}"',
            f"{rung.name}/index.m3u8",
        ]
    return "\n".join(lines) + "\n"
