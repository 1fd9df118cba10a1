"""When is a word heard after the cut? Times of the source mapped to times of what is left."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from orpheus.media.speech.captions import Cue, cues, shown_long_enough
from orpheus.media.speech.transcript import Segment, Span, Transcript, Word, build


class Timeline:
    """The kept stretches, one after the other."""

    def __init__(self, kept: Sequence[Span]) -> None:
        self._kept = list(kept)
        self._starts = [span.start_s for span in self._kept]
        self._before = [0.0, *accumulate(span.length_s for span in self._kept)]

    @property
    def duration_s(self) -> float:
        return self._before[-1]

    def at(self, instant_s: float) -> float:
        """Return when this instant of the source is heard; one that was cut is the moment of the cut."""
        place = bisect_right(self._starts, instant_s) - 1
        if place < 0:
            return 0.0
        span = self._kept[place]
        return self._before[place] + min(instant_s, span.end_s) - span.start_s

    def heard_s(self, span: Word | Span) -> float:
        """Return how much of a span is left."""
        return self.at(span.end_s) - self.at(span.start_s)


def captions_of(transcript: Transcript, kept: Sequence[Span]) -> list[Cue]:
    """Return the captions of what is left.

    A word of which more than half was cut is gone. Captions end where the talk paused, also where that pause is cut away.
    """
    line = Timeline(kept)
    moved = [
        Cue(_ms(line.at(cue.start_s)), _ms(line.at(cue.end_s)), cue.text)
        for cue in cues(_left(transcript, line))
        if line.at(cue.end_s) > line.at(cue.start_s)
    ]
    return shown_long_enough(moved, until_s=_ms(line.duration_s))


def _left(transcript: Transcript, line: Timeline) -> Transcript:
    """Return the words that stay, at the source's times."""
    segments = []
    for segment in transcript.segments:
        words = [word for word in segment.words if _stays(word, line)]
        if segment.words and not words:
            continue
        text = " ".join(word.word for word in words) if words and len(words) < len(segment.words) else segment.text
        segments.append(Segment(segment.start_s, segment.end_s, text, words))
    return build(segments, language=transcript.language, duration_s=transcript.duration_s)


def _stays(word: Word, line: Timeline) -> bool:
    length_s = word.end_s - word.start_s
    if length_s <= 0:  # a word without length, as hesitations are given: it stays when its instant does
        return line.at(word.start_s + 0.01) > line.at(word.start_s)
    return line.heard_s(word) >= length_s / 2


def _ms(seconds: float) -> float:
    return round(seconds, 3)
