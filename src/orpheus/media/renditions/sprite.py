"""The scrub sprite: small pictures of a film at even distances in one sheet, and a WebVTT file that says which is when.

Source: the thumbnail tracks that video.js, Plyr and JW Player read: `sprite.webp#xywh=x,y,w,h` per cue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from orpheus.media.sniff import Type
from orpheus.media.video import input_argv

WIDTH = 160
MOST = 100
COLUMNS = 10
LEAST_APART_S = 1.0


@dataclass(frozen=True, slots=True)
class Sheet:
    """How a sheet is laid out: `count` pictures of `width` x `height`, one every `apart_s` seconds, in rows of `columns`."""

    count: int
    apart_s: float
    columns: int
    rows: int
    width: int
    height: int


def layout(duration_s: float, width: int, height: int) -> Sheet:
    """Lay out a sheet for a film of `duration_s` whose upright size is `width` x `height`."""
    apart_s = max(LEAST_APART_S, duration_s / MOST)
    count = max(1, min(MOST, math.ceil(duration_s / apart_s - 1e-6)))
    columns = min(COLUMNS, count)
    wide = min(WIDTH, width)
    tall = max(2, round(wide * height / max(1, width) / 2) * 2)
    return Sheet(count, apart_s, columns, -(-count // columns), max(2, wide // 2 * 2), min(tall, 4 * WIDTH))


def argv(program: str, source: Path, found: Type, target: Path, sheet: Sheet) -> list[str]:
    """FFmpeg's command line for the sheet as WebP: the frame in the middle of each stretch."""
    # A film shorter than half a stretch would have no frame in the middle of it: its first one is taken.
    chosen = [f"fps=fps=1/{sheet.apart_s:.6f}:start_time=0:round=near"] if sheet.count > 1 else []
    filters = ",".join(
        [
            *chosen,
            f"scale={sheet.width}:{sheet.height}",
            "setsar=1",
            # A film that ends a little early leaves its last pictures out: the last one is repeated.
            f"tpad=stop_mode=clone:stop={sheet.count}",
            f"trim=end_frame={sheet.count}",
            f"tile={sheet.columns}x{sheet.rows}",
        ]
    )
    return [
        *(program, *input_argv(source, found), "-progress", "pipe:1"),
        *("-map", "0:V:0", "-an", "-sn", "-dn", "-map_metadata", "-1", "-vf", filters, "-frames:v", "1"),
        *("-c:v", "libwebp", "-quality", "70", "-f", "webp", "-y", f"file:{target.absolute()}"),
    ]


def vtt(sheet: Sheet, *, duration_s: float, picture: str = "sprite.webp") -> str:
    """Write the cues."""
    lines = ["WEBVTT", ""]
    for number in range(sheet.count):
        start_s, end_s = number * sheet.apart_s, min(duration_s, (number + 1) * sheet.apart_s)
        x, y = number % sheet.columns * sheet.width, number // sheet.columns * sheet.height
        lines += [
            f"{_clock(start_s)} --> {_clock(max(end_s, start_s + 0.001))}",
            f"{picture}#xywh={x},{y},{sheet.width},{sheet.height}",
            "",
        ]
    return "\n".join(lines)


def _clock(seconds: float) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}.{whole % 1000:03}"
