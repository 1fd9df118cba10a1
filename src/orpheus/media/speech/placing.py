"""Where was each word said? The recogniser's times, set right by the pauses that are heard.

A recogniser knows the words and their order well, and their times badly: it lets a word begin in the pause before it, and
moves the first words of a sentence over a pause, by up to three seconds. What is heard between two pauses is certain. So the words are
dealt out in order to these sounds, such that each sound gets about as much text as it is long, of words that were near it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Final

from orpheus.media.speech.hesitations import is_filler, may_be_filler
from orpheus.media.speech.transcript import Segment, Span, Transcript, Word, build, spelt

PAUSE_S: Final = 0.15
_SHORTEST_S: Final = 0.05
"""Of a sound; shorter ones are clicks."""
_REACH_S: Final = 4.0
"""How far a word may be from the sound that it is given to."""
_SLOWEST_S: Final = 0.12
"""A letter takes at most; where more is heard, not all of it is speech."""
_COMPANY_S: Final = 0.4
"""What it costs to give a hesitation to a sound that holds other words as well: most stand alone between two pauses."""
_BREAK_S: Final = 0.2
"""What it costs to pause after a word without a full stop or comma."""
_PASSED_OVER_S: Final = 1.5
"""What it costs at most to give no word to a sound: recognisers pass over whole sentences."""
_LEFT_OUT_S: Final = 0.1
"""What it costs to give no word to a sound that is heard as a hesitation: recognisers leave them out."""
_UNTOLD_S: Final = 0.5
"""What it costs to give no word to one that is heard as a word."""
_OTHER_WORD_S: Final = 0.4
"""What it costs to give a sound a word that is not heard in it."""
_NOT_HERE_S: Final = 1.0
"""What it costs where a hesitation is heard."""
_NOT_ONLY_SPEECH_S: Final = 1.0
"""A sound that is longer than its text by more than this holds something else as well: its words stay where they were told."""


def sounds(silent: Sequence[Span], *, total_s: float, pause_s: float = PAUSE_S) -> list[Span]:
    """Return what is heard between pauses of at least `pause_s`, in order."""
    edges = [Span(0.0, 0.0), *[span for span in silent if span.length_s >= pause_s], Span(total_s, total_s)]
    return [
        Span(left.end_s, right.start_s) for left, right in pairwise(edges) if right.start_s - left.end_s >= _SHORTEST_S
    ]


def placed(transcript: Transcript, silences: Sequence[Span], alone: Mapping[Span, str] | None = None) -> Transcript:
    """Return the transcript with every word in the sound that it was said in.

    Args:
        transcript: as the recogniser gave it.
        silences: every pause that is heard, in order.
        alone: what some of the sounds say when they are listened to alone.
    """
    heard = sounds(silences, total_s=transcript.duration_s)
    words = [word for segment in transcript.segments for word in segment.words]
    if not heard or not words:
        return transcript
    pace_s = _pace_s(words, heard)
    moved = iter(
        [
            word
            for span, share in zip(heard, dealt(words, heard, alone), strict=True)
            for word in _set(share, span, pace_s)
        ]
    )
    segments = []
    for segment in transcript.segments:
        mine = [next(moved) for _ in segment.words]
        start_s = mine[0].start_s if mine else segment.start_s
        end_s = mine[-1].end_s if mine else segment.end_s
        segments.append(Segment(start_s, end_s, segment.text, mine))
    return build(segments, language=transcript.language, duration_s=transcript.duration_s)


def dealt(
    words: Sequence[Word], heard: Sequence[Span], alone: Mapping[Span, str] | None = None
) -> list[Sequence[Word]]:
    """Deal words out to sounds in order: the share of each sound, which may be empty.

    Of all ways to do so the one that costs least: a sound costs the seconds by which its text is too long or too short for it,
    a word the seconds between it and its sound; a hesitation among other words and a pause in the middle of a phrase cost a little.
    Where it is known what a sound says alone, what counts instead of its length is whether it gets these words.
    """
    pace_s = _pace_s(words, heard)
    written_s = list(accumulate((_length(word) * pace_s for word in words), initial=0.0))
    hesitant = list(accumulate((is_filler(word.word) for word in words), initial=0))
    costs: dict[int, float] = {0: 0.0}  # by how many words are dealt out: the least that it costs so far
    ways: list[dict[int, int]] = []
    least = most = 0
    for place, span in enumerate(heard):
        last = place + 1 == len(heard)
        while least < len(words) and (last or words[least].end_s < heard[place + 1].start_s - _REACH_S):
            least += 1
        while most < len(words) and words[most].start_s < span.end_s + _REACH_S:
            most += 1
        most = max(most, least)
        first = min(costs)
        away_s = list(accumulate((_away_s(word, span) for word in words[first:most]), initial=0.0))
        said = alone.get(span) if alone else None
        better: dict[int, float] = {}
        way: dict[int, int] = {}
        for before, cost in costs.items():
            for upto in range(max(before, least), most + 1):
                misfit_s = abs(written_s[upto] - written_s[before] - span.length_s)
                if upto == before:
                    misfit_s = min(misfit_s, _PASSED_OVER_S)
                far_s = away_s[upto - first] - away_s[before - first]
                if said is not None:
                    misfit_s = _unlike_s(words[before:upto], said, misfit_s)
                    far_s = far_s if misfit_s else 0.0
                company_s = _COMPANY_S * (hesitant[upto] - hesitant[before]) if upto - before > 1 else 0.0
                break_s = 0.0 if upto in (0, before) or not words[upto - 1].word[-1:].isalnum() else _BREAK_S
                total = cost + misfit_s + company_s + break_s + far_s
                if upto not in better or total < better[upto]:
                    better[upto], way[upto] = total, before
        costs = better
        ways.append(way)
    shares: list[Sequence[Word]] = []
    upto = len(words)
    for way in reversed(ways):
        shares.append(words[way[upto] : upto])
        upto = way[upto]
    return shares[::-1]


def _unlike_s(share: Sequence[Word], said: str, misfit_s: float) -> float:
    """Return what it costs to give words to a sound that says something, heard alone: nothing where it says them."""
    if not share:
        return _LEFT_OUT_S if is_filler(said) else _UNTOLD_S
    told = spelt(" ".join(word.word for word in share)).split()
    heard = spelt(said).split()
    if told == heard or (is_filler(said) and all(is_filler(word.word) for word in share)):
        return 0.0
    # What a hesitation is mistaken for is a little word; any other is said elsewhere.
    each_s = _NOT_HERE_S if is_filler(said) and not any(may_be_filler(word.word) for word in share) else _OTHER_WORD_S
    return misfit_s + each_s * max(1, sum(word not in heard for word in told))


def _pace_s(words: Sequence[Word], heard: Sequence[Span]) -> float:
    """Return how many seconds a letter takes."""
    return min(_SLOWEST_S, sum(span.length_s for span in heard) / sum(_length(word) for word in words))


def _length(word: Word) -> int:
    """Count a word's letters and the gap after it; digits and signs are spoken as words."""
    return 1 + sum(
        1 if letter.isalpha() else 4 if letter.isdigit() else 6 if letter in "%$€£" else 0 for letter in word.word
    )


def _away_s(word: Word, span: Span) -> float:
    """Return how far a word's middle is from a sound; 0 inside. The times of hesitations count little: they are mostly guessed."""
    middle_s = (word.start_s + word.end_s) / 2
    return max(0.0, span.start_s - middle_s, middle_s - span.end_s) * (0.3 if is_filler(word.word) else 1.0)


def _set(words: Sequence[Word], span: Span, pace_s: float) -> list[Word]:
    """Set words into a sound: the first begins with it, the last ends with it; inner times stay where they make sense."""
    if not words:
        return []
    lengths = list(accumulate((_length(word) for word in words), initial=0))
    if span.length_s - lengths[-1] * pace_s > _NOT_ONLY_SPEECH_S:
        return [_inside(word, span) for word in words]
    edges = [span.start_s + span.length_s * length / lengths[-1] for length in lengths]
    told = [span.start_s, *((left.end_s + right.start_s) / 2 for left, right in pairwise(words)), span.end_s]
    if all(right > left for left, right in pairwise(told)):
        edges = told
    return [
        Word(word.word, round(start_s, 3), round(end_s, 3), word.probability)
        for word, (start_s, end_s) in zip(words, pairwise(edges), strict=True)
    ]


def _inside(word: Word, span: Span) -> Word:
    start_s = min(max(word.start_s, span.start_s), span.end_s)
    return Word(word.word, round(start_s, 3), round(min(max(word.end_s, start_s), span.end_s), 3), word.probability)
