"""Which sounds are hesitations? Short sounds between two pauses, listened to alone.

Only what stands by itself is taken for a hesitation: cutting "um" out of the middle of a flowing phrase would be heard, and
"like" or "so" inside of one are words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orpheus.media.speech.sound import islands
from orpheus.media.speech.transcript import Span, Word, normal

LONGEST_S = 0.9
PAUSE_S = 0.15

PHRASES = frozenset({"you know", "i mean", "sort of", "kind of", "you see"})
"""Said alone between two pauses they carry nothing. "Like", "so", "well" and "right" are not here: alone, they may."""

_SOUNDS = re.compile(r"^(?:u+h+m*|u+m+|e+h*r+m*|e+h+|a+h+m*|h+m+|m+h*m+|m+|o+h+|mm hmm|uh huh)$")
"""The hesitation sounds themselves, however Whisper spells them: uh, um, uhm, er, erm, eh, ah, hm, mm, mhm."""

_MISHEARD = frozenset({"", "yeah", "yes", "huh", "oh", "ah", "hey", "ha", "a", "the", "you", "i"})
"""What a lone "uh" is taken for. Counts only where the whole sentence, heard with its context, has no word at that place."""


@dataclass(frozen=True, slots=True)
class Filler:
    """A hesitation: when, and what was heard."""

    span: Span
    text: str


def is_filler(text: str) -> bool:
    """Tell whether a text is nothing but hesitation."""
    said = normal(text).replace("-", " ")
    if not said:
        return False
    if said in PHRASES:
        return True
    return all(_SOUNDS.match(word) for word in said.split())


def find(
    silent: Sequence[Span],
    words: Sequence[Word],
    *,
    total_s: float,
    hear: Callable[[Sequence[Span]], Sequence[str]],
) -> list[Filler]:
    """Find hesitations.

    A short sound in which the transcript has words is what they say. Only the others are listened to alone, which takes
    a third of a second each.

    Args:
        silent: every pause of at least `PAUSE_S`.
        words: the transcript's, with times outside of the pauses (`transcript.settled`).
        total_s: the recording's length.
        hear: what is said in each span.
    """
    short = islands(silent, total_s=total_s, longest_s=LONGEST_S, pause_s=PAUSE_S)
    told = {span: _written(span, words) for span in short}
    unexplained = [span for span in short if not told[span]]
    heard = dict(zip(unexplained, hear(unexplained), strict=True))
    found = []
    for span in short:
        if told[span]:
            if is_filler(told[span]):
                found.append(Filler(span, told[span]))
        elif is_filler(heard[span]):
            found.append(Filler(span, heard[span].strip()))
        elif normal(heard[span]) in _MISHEARD:
            found.append(Filler(span, "uh"))
    return found


def _written(span: Span, words: Sequence[Word]) -> str:
    """Return the words that lie mostly in a span."""
    return " ".join(
        word.word
        for word in words
        if word.end_s > word.start_s and span.overlap_s(word) >= (word.end_s - word.start_s) / 2
    )
