"""A transcript by a service instead of this machine: the sound as MP3 in pieces the service takes, the answers put together.

Pieces end in silences, so that no word is cut in two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from orpheus.media.speech.transcript import Segment, Span, Transcript, Word, build

PIECE_S: Final = 2_400.0
"""48 kbit/s make 14 MB of it; services take 25."""
_LOOKED_BACK_S: Final = 300.0


def pieces(duration_s: float, silences: Sequence[Span]) -> list[Span]:
    """Break a recording into pieces of at most `PIECE_S`, each ending in the longest silence of its last five minutes."""
    found, start_s = [], 0.0
    while duration_s - start_s > PIECE_S:
        latest_s = start_s + PIECE_S
        near = [one for one in silences if latest_s - _LOOKED_BACK_S <= one.start_s and one.end_s <= latest_s]
        longest = max(near, key=lambda one: one.length_s, default=None)
        end_s = latest_s if longest is None else (longest.start_s + longest.end_s) / 2
        found.append(Span(start_s, end_s))
        start_s = end_s
    return [*found, Span(start_s, duration_s)]


def piece_argv(program: str, wav: Path, target: Path, piece: Span) -> list[str]:
    """FFmpeg's command line for one piece of our own WAV as MP3."""
    return [
        *(program, "-nostdin", "-hide_banner", "-loglevel", "error", "-nostats", "-protocol_whitelist", "file,pipe"),
        *("-ss", f"{piece.start_s:.3f}", "-t", f"{piece.length_s:.3f}", "-f", "wav", "-i", f"file:{wav.absolute()}"),
        *("-c:a", "libmp3lame", "-b:a", "48k", "-f", "mp3", "-y", f"file:{target.absolute()}"),
    ]


def joined(parts: Sequence[tuple[Span, Transcript]], *, duration_s: float) -> Transcript:
    """Put the pieces' transcripts together, each moved to its place."""
    language = next((said.language for _, said in parts if said.language), "")
    segments = [segment for piece, said in parts for segment in _moved(said, piece.start_s)]
    return build(segments, language=language, duration_s=duration_s)


def _moved(said: Transcript, by_s: float) -> Iterator[Segment]:
    for one in said.segments:
        words = [Word(word.word, word.start_s + by_s, word.end_s + by_s, word.probability) for word in one.words]
        yield Segment(one.start_s + by_s, one.end_s + by_s, one.text, words)
