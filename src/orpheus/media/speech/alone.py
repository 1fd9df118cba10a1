"""What do the short sounds say that stand alone between two pauses? Listened to one by one, where the transcript leaves a doubt.

A recogniser that hears a whole sentence leaves hesitations out, makes words of them ("I'm", "her"), or puts the little word
before a pause behind it. Alone, each such sound is heard well. What it says settles which words are said in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from orpheus.media.speech import placing
from orpheus.media.speech.hesitations import (
    is_filler,
    is_no_utterance,
    is_worth_adding,
    may_be_filler,
    rhymes_with_filler,
)
from orpheus.media.speech.sound import islands
from orpheus.media.speech.transcript import Segment, Span, Transcript, Word, build, spelt, words_of

LONGEST_S: Final = 1.2
PAUSE_S: Final = placing.PAUSE_S

_SURE: Final = 0.8
"""From this probability a word that is told at the place of a sound is believed."""
_GUESSED: Final = 0.5
"""Below this a little word is not, where the sound alone is heard as another."""
_HARDLY: Final = 0.35
"""Below this no word is that rhymes with a hesitation."""
_SENTENCE_S: Final = 15.0
"""What is longer, and has no word, is music or noise."""
_CLEAR: Final = 0.6
"""From this probability what is heard alone takes the place of such a word."""
_ROUNDS: Final = 3
"""A word that moves to another sound leaves one behind that has none: how often to look again."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a sound says when it is listened to alone, and how likely (0 to 1, per token); nothing where nobody could listen."""

    text: str
    probability: float


Hear = Callable[[Sequence[Span]], Sequence[Heard]]


def short_sounds(silent: Sequence[Span], *, total_s: float) -> list[Span]:
    """Return the sounds that may be hesitations: short, with a pause on both sides."""
    return islands(silent, total_s=total_s, longest_s=LONGEST_S, pause_s=PAUSE_S)


def settled(said: Transcript, silent: Sequence[Span], hear: Hear, *, closely: bool = True) -> Transcript:
    """Return the transcript with every word in the sound it was said in, and with the hesitations that it had left out.

    Args:
        said: as the recogniser gave it.
        silent: every pause that is heard, in order.
        hear: what is said in each of some spans.
        closely: listen to doubtful short sounds too, not only to sentences that were passed over.
    """
    if not any(words_of(said)):
        return said
    short = short_sounds(silent, total_s=said.duration_s) if closely else []
    heard: dict[Span, Heard] = {}
    for _ in range(_ROUNDS):
        shares = _shares(placing.placed(said, silent, _texts(heard)), short)
        open_questions = [span for span in short if span not in heard and not _is_sure(said, shares[span], span)]
        if not open_questions:
            break
        heard |= zip(open_questions, hear(open_questions), strict=True)
    placed = placing.placed(said, silent, _texts(heard))
    shares = _shares(placed, short)
    passed_over = _passed_over(placed, silent)
    heard |= zip(passed_over, hear(passed_over), strict=True)
    shares |= _shares(placed, passed_over)
    changed = {span: told for span, one in heard.items() if (told := _verdict(shares[span], one, span)) != shares[span]}
    return _with(placed, shares, changed)


def _passed_over(placed: Transcript, silent: Sequence[Span]) -> list[Span]:
    """Return the longer sounds in which the transcript has no word: sentences that the recogniser left out, or no speech."""
    longer = [
        span
        for span in placing.sounds(silent, total_s=placed.duration_s, pause_s=PAUSE_S)
        if LONGEST_S < span.length_s <= _SENTENCE_S
    ]
    return [span for span, share in _shares(placed, longer).items() if not share]


def _texts(heard: Mapping[Span, Heard]) -> dict[Span, str]:
    return {span: one.text for span, one in heard.items() if one.text}


def _shares(placed: Transcript, short: Sequence[Span]) -> dict[Span, list[Word]]:
    words = list(words_of(placed))
    return {span: [word for word in words if lies_in(word, span)] for span in short}


def lies_in(word: Word, span: Span) -> bool:
    return word.end_s > word.start_s and span.overlap_s(word) >= (word.end_s - word.start_s) / 2


def _is_sure(said: Transcript, share: Sequence[Word], span: Span) -> bool:
    """Tell whether a sound's words need no second hearing: likely ones, told where the sound is."""
    told = [word for word in words_of(said) if span.start_s <= (word.start_s + word.end_s) / 2 <= span.end_s]
    return (
        bool(share)
        and [word.word for word in told] == [word.word for word in share]
        and all(word.probability >= _SURE for word in share)
        and not (len(share) == 1 and (may_be_filler(share[0].word) or rhymes_with_filler(share[0].word)))
    )


def _verdict(share: list[Word], heard: Heard, span: Span) -> list[Word]:
    """Return the words of a sound: those of the transcript, or what was heard alone."""
    alone = _spread(heard, span)
    if not share:
        # Left out by the recogniser, as hesitations are; a clear word that it missed is put back.
        clear = heard.probability >= _GUESSED and is_worth_adding(heard.text)
        return alone if is_filler(heard.text) or clear else []
    if len(share) > 1 or not heard.text:
        return share
    (word,) = share
    if spelt(word.word) == spelt(heard.text) or (is_filler(word.word) and is_filler(heard.text)):
        return [Word(word.word, word.start_s, word.end_s, max(word.probability, heard.probability))]
    if is_filler(word.word):
        return share
    if is_filler(heard.text):
        return alone if may_be_filler(word.word) or word.probability < _SURE else share
    if _is_hardly_said(word, heard.text):
        return []
    clear = heard.probability >= _CLEAR and is_worth_adding(heard.text)
    return alone if clear and word.probability < _HARDLY else share


def _is_hardly_said(word: Word, heard: str) -> bool:
    """Tell whether a word was made of a hesitation, though nowhere is one heard: a doubtful one, and alone it is another."""
    if may_be_filler(word.word):
        return is_no_utterance(word.word) or word.probability < _GUESSED
    return word.probability < _HARDLY and (rhymes_with_filler(word.word) or rhymes_with_filler(heard))


def _spread(heard: Heard, span: Span) -> list[Word]:
    """Return what was heard as words, each as long as it is written."""
    words = heard.text.split()
    ends = [span.start_s, *(span.start_s + span.length_s * part for part in _parts(words))]
    return [
        Word(word, round(start_s, 3), round(end_s, 3), heard.probability)
        for word, (start_s, end_s) in zip(words, pairwise(ends), strict=True)
    ]


def _parts(words: Sequence[str]) -> list[float]:
    """Return where each word ends, as a part of the whole."""
    lengths = list(accumulate(len(word) + 1 for word in words))
    return [length / lengths[-1] for length in lengths]


def _with(
    placed: Transcript, shares: Mapping[Span, Sequence[Word]], changed: Mapping[Span, Sequence[Word]]
) -> Transcript:
    """Return the transcript with other words in some sounds."""
    gone = {id(word) for span in changed for word in shares[span]}
    segments = []
    for segment in placed.segments:
        words = [word for word in segment.words if id(word) not in gone]
        if len(words) == len(segment.words):
            segments.append(segment)
        elif words:
            segments.append(_segment(words))
    new = [_segment(words) for words in changed.values() if words]
    return build(_whole([*segments, *new]), language=placed.language, duration_s=placed.duration_s)


def _segment(words: Sequence[Word]) -> Segment:
    return Segment(words[0].start_s, words[-1].end_s, " ".join(word.word for word in words), list(words))


def _whole(segments: Iterable[Segment]) -> list[Segment]:
    """Put words that were added inside a segment into it, in order of time."""
    found: list[Segment] = []
    for segment in sorted(segments, key=lambda one: one.start_s):
        if found and segment.words and found[-1].words and segment.start_s < found[-1].end_s:
            found[-1] = _segment(sorted([*found[-1].words, *segment.words], key=lambda word: word.start_s))
        else:
            found.append(segment)
    return found
