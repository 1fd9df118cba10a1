"""Which sounds are hesitations? Short sounds between two pauses that say nothing else, or nothing.

Only what stands by itself is taken for a hesitation: cutting "um" out of the middle of a flowing phrase would be heard, and
"like" or "so" inside of one are words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orpheus.media.speech.alone import lies_in, short_sounds
from orpheus.media.speech.hesitations import is_filler
from orpheus.media.speech.transcript import Span, Word


@dataclass(frozen=True, slots=True)
class Filler:
    """A hesitation: when, and what was heard."""

    span: Span
    text: str


def find(silent: Sequence[Span], words: Sequence[Word], *, total_s: float) -> list[Filler]:
    """Find hesitations: short sounds in which the transcript has nothing but hesitation, or nothing at all.

    Args:
        silent: every pause that is heard.
        words: the transcript's, each in its sound (`alone.settled`).
        total_s: the recording's length.
    """
    found = []
    for span in short_sounds(silent, total_s=total_s) if words else ():
        text = " ".join(word.word for word in words if lies_in(word, span))
        if not text or is_filler(text):
            found.append(Filler(span, text or "uh"))
    return found
