"""The cut as an edit decision list (CMX 3600), which video editors import: to go on by hand from where we stopped.

Source: SMPTE 258M; the form that Premiere, Resolve and Avid read: number, reel, channels, cut, four timecodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from orpheus.media.speech.transcript import Span


def edl(kept: Sequence[Span], rate: Fraction, *, title: str, clip: str) -> str:
    """Write an edit decision list.

    Args:
        kept: what stays.
        rate: frames a second; timecodes count whole frames (non-drop).
        title: of the list.
        clip: name of the source.
    """
    lines = [f"TITLE: {_plain(title)}", "FCM: NON-DROP FRAME", ""]
    at = 0
    for number, span in enumerate(kept, start=1):
        start, end = round(span.start_s * rate), round(span.end_s * rate)
        codes = " ".join(_timecode(frame, rate) for frame in (start, end, at, at + end - start))
        lines += [f"{number:03}  AX       AA/V  C        {codes}", f"* FROM CLIP NAME: {_plain(clip)}", ""]
        at += end - start
    return "\n".join(lines)


def _timecode(frame: int, rate: Fraction) -> str:
    base = max(1, round(rate))
    seconds, frames = divmod(frame, base)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frames:02}"


def _plain(text: str) -> str:
    """One line of ASCII, which is all the format knows."""
    return " ".join(text.encode("ascii", "replace").decode().split())[:120]
