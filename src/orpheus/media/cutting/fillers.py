"""Which sounds are hesitations? Short sounds between two pauses, listened to alone.

Only what stands by itself is taken for a hesitation: cutting "um" out of the middle of a flowing phrase would be heard, and
"like" or "so" inside of one are words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orpheus.media.speech.hesitations import is_filler
from orpheus.media.speech.sound import islands
from orpheus.media.speech.transcript import Span, Word, normal

LONGEST_S = 1.2
PAUSE_S = 0.15
DOUBTFUL = 0.8
"""A little word below this probability is not believed where the sound alone is heard as another."""
GUESSED = 0.35
"""No word is, below this."""
NEAR_S = 2.0

_MISHEARD = frozenset(
    "a ah am an and are at burr ha her hey huh i in oh on or the uh".split()  # noqa: SIM905 (a list of words)
)
"""What a recogniser makes of "um" and "er" when it wants words."""


@dataclass(frozen=True, slots=True)
class Filler:
    """A hesitation: when, and what was heard."""

    span: Span
    text: str


def find(
    silent: Sequence[Span],
    words: Sequence[Word],
    *,
    total_s: float,
    hear: Callable[[Sequence[Span]], Sequence[str]],
) -> list[Filler]:
    """Find hesitations.

    A short sound in which the transcript has words is what they say. One in which it has none, or has a doubtful little word, is
    listened to alone, which takes a third of a second each: a recogniser leaves hesitations out, but hardly ever words.

    Args:
        silent: every pause of at least `PAUSE_S`.
        words: the transcript's, each in its sound (`placing.placed`).
        total_s: the recording's length.
        hear: what is said in each span.
    """
    short = islands(silent, total_s=total_s, longest_s=LONGEST_S, pause_s=PAUSE_S)
    told = {span: [word for word in words if _lies_in(word, span)] for span in short}
    open_questions = [span for span in short if not told[span] or _is_doubtful(told[span])]
    heard = dict(zip(open_questions, hear(open_questions), strict=True))
    found = []
    for span in short:
        text = " ".join(word.word for word in told[span])
        if is_filler(text):
            found.append(Filler(span, text))
        elif span not in heard:
            continue
        elif is_filler(heard[span]):
            found.append(Filler(span, heard[span].strip()))
        elif not _is_confirmed(heard[span], span, words):
            found.append(Filler(span, "uh"))
    return found


def _lies_in(word: Word, span: Span) -> bool:
    return word.end_s > word.start_s and span.overlap_s(word) >= (word.end_s - word.start_s) / 2


def _is_doubtful(words: Sequence[Word]) -> bool:
    if len(words) > 1:
        return False
    (word,) = words
    return word.probability < (DOUBTFUL if normal(word.word) in _MISHEARD else GUESSED)


def _is_confirmed(heard: str, span: Span, words: Sequence[Word]) -> bool:
    """Tell whether what is heard alone stands in the transcript, here or nearby: then it is a word with a wrong time."""
    near = Span(span.start_s - NEAR_S, span.end_s + NEAR_S)
    around = {_spelt(normal(word.word)) for word in words if near.overlap_s(word) > 0}
    said = normal(heard).split()
    return bool(said) and all(_spelt(one) in around for one in said)


def _spelt(word: str) -> str:
    """Return a small number as a word, which is how it is spelt among others."""
    return _NUMBERS.get(word, word)


_NUMBERS = {
    str(number): word
    for number, word in enumerate("zero one two three four five six seven eight nine ten".split())  # noqa: SIM905
}
