"""Captions: a transcript broken into cues a person can read, written as SRT or WebVTT.

The measures are those that subtitlers use (BBC subtitle guidelines, Netflix timed text): at most two lines of about 42
characters, shown for at least a second where there is room, broken at the end of a sentence, a comma or a pause.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orpheus.media.speech.transcript import Transcript, Word, ends_sentence

LINE_CHARACTERS = 42
CUE_CHARACTERS = 2 * LINE_CHARACTERS
CUE_LONGEST_S = 6.0
CUE_SHORTEST_S = 1.0
PAUSE_S = 0.5
"""A pause this long ends a cue."""
BREATH_S = 0.2
"""A pause this long does behind a comma, or between phrases of `PHRASE_WORDS`: recognisers join sentences there."""
PHRASE_WORDS = 3
_CLAUSE_ENDS = (",", ";", ":")


@dataclass(frozen=True, slots=True)
class Cue:
    """Text shown from `start_s` to `end_s`; at most two lines."""

    start_s: float
    end_s: float
    text: str


def cues(transcript: Transcript) -> list[Cue]:
    """Break a transcript into cues, in order, none overlapping the next."""
    found = [
        cue for sentence in _sentences(transcript) for phrase in _breathed(sentence) for cue in _of_sentence(phrase)
    ]
    found += [
        Cue(one.start_s, one.end_s, wrapped(one.text.split()))
        for one in transcript.segments
        if not one.words and one.text
    ]
    return shown_long_enough(found, until_s=transcript.duration_s)


def shown_long_enough(found: Sequence[Cue], *, until_s: float) -> list[Cue]:
    """Put cues in order, and let short ones stand for a second where the next one leaves room."""
    ordered = sorted(found, key=lambda cue: cue.start_s)
    shown = []
    for place, cue in enumerate(ordered):
        following = ordered[place + 1].start_s if place + 1 < len(ordered) else max(until_s, cue.end_s)
        end_s = max(cue.end_s, min(cue.start_s + CUE_SHORTEST_S, following))
        shown.append(Cue(cue.start_s, min(end_s, max(following, cue.start_s + 0.001)), cue.text))
    return shown


def _sentences(transcript: Transcript) -> Iterator[list[Word]]:
    """Group words by what ends a cue in any case: the end of a sentence, or a pause.

    The recogniser's own segments are passed over: they end wherever its window of 30 s did.
    """
    taken: list[Word] = []
    for word in (word for segment in transcript.segments for word in segment.words):
        if taken and (ends_sentence(taken[-1]) or word.start_s - taken[-1].end_s >= PAUSE_S):
            yield taken
            taken = []
        taken.append(word)
    if taken:
        yield taken


def _breathed(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """Break a sentence where the speaker took a breath; what follows begins when it is said, not when the sentence did."""
    start = 0
    for place in range(1, len(words)):
        before, after = words[place - 1], words[place]
        whole = not before.word[-1:].isalnum() or min(place - start, len(words) - place) >= PHRASE_WORDS
        if whole and after.start_s - before.end_s >= BREATH_S:
            yield words[start:place]
            start = place
    yield words[start:]


def _of_sentence(words: Sequence[Word]) -> Iterator[Cue]:
    """Break a sentence into as few cues as hold it, of about the same length, at a comma where one is near."""
    characters = sum(len(word.word) + 1 for word in words)
    parts = max(
        -(-characters // CUE_CHARACTERS), -(-int((words[-1].end_s - words[0].start_s) * 10) // int(CUE_LONGEST_S * 10))
    )
    if parts <= 1 or len(words) < 2:
        yield Cue(words[0].start_s, words[-1].end_s, wrapped([word.word for word in words]))
        return
    wanted = characters / parts
    place = min(range(1, len(words)), key=lambda place: _cost(words, place, wanted))
    yield from _of_sentence(words[:place])
    yield from _of_sentence(words[place:])


def _cost(words: Sequence[Word], place: int, wanted: float) -> float:
    """Return how bad it is to break before `words[place]`: its distance from the wanted length, less where it is natural."""
    length = sum(len(word.word) + 1 for word in words[:place])
    natural = 20 if words[place - 1].word.endswith(_CLAUSE_ENDS) else 0
    pause = min(12.0, 40 * (words[place].start_s - words[place - 1].end_s))
    return abs(length - wanted) - natural - pause


def wrapped(words: Sequence[str]) -> str:
    """Set words in one line, or in two of about the same length."""
    text = " ".join(words)
    if len(text) <= LINE_CHARACTERS or len(words) < 2:
        return text
    best = min(range(1, len(words)), key=lambda place: abs(len(" ".join(words[:place])) - len(" ".join(words[place:]))))
    return " ".join(words[:best]) + "\n" + " ".join(words[best:])


def srt(shown: Sequence[Cue]) -> str:
    """Write SubRip: numbered, `HH:MM:SS,mmm`, a blank line after each."""
    return "".join(
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{cue.text}\n\n"
        for number, cue in enumerate(shown, start=1)
    )


def vtt(shown: Sequence[Cue]) -> str:
    """Write WebVTT; `&` and `<` are escaped, since players read markup in it."""
    body = "".join(
        f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n"
        f"{cue.text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}\n\n"
        for cue in shown
    )
    return f"WEBVTT\n\n{body}"


def _clock(seconds: float, mark: str) -> str:
    whole = max(0, round(seconds * 1000))
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{mark}{whole % 1000:03}"
