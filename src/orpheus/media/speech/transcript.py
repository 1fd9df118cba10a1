"""What was said, when: the values behind `transcripts/{job_id}.json` (formats.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time: from `start_s` (included) to `end_s` (not included), seconds from the beginning."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s

    def overlap_s(self, other: Span | Word) -> float:
        """Return how many seconds both share; 0 when they only touch."""
        return max(0.0, min(self.end_s, other.end_s) - max(self.start_s, other.start_s))


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it is written, with its punctuation."""

    word: str
    start_s: float
    end_s: float
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence, or a part of one, spoken without a long pause."""

    start_s: float
    end_s: float
    text: str
    words: list[Word] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that was said in a recording of `duration_s`. `language` is an ISO 639-1 code, empty when nothing was said."""

    language: str
    duration_s: float
    text: str
    segments: list[Segment] = field(default_factory=list)


EMPTY_LANGUAGE = ""

_STRIPPED = re.compile(r"[^\w']+", re.UNICODE)


def normal(word: str) -> str:
    """Return a word without case and punctuation, to compare by: `"Um,"` → `um`."""
    return _STRIPPED.sub(" ", word).strip().casefold()


_SPELT = {
    **{
        str(number): word
        for number, word in enumerate(
            ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
        )
    },
    "ok": "okay",
}


def spelt(text: str) -> str:
    """Return words to compare by, as they are spelt among others: `"8."` → `eight`."""
    return " ".join(_SPELT.get(word, word) for word in normal(text).split())


_ABBREVIATIONS = frozenset(["mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "etc", "no", "approx"])


def ends_sentence(word: Word) -> bool:
    """Tell whether a sentence ends with this word; the dot of "Mr." ends none."""
    return word.word.endswith((".", "!", "?")) and normal(word.word) not in _ABBREVIATIONS


def words_of(transcript: Transcript) -> Iterator[Word]:
    for segment in transcript.segments:
        yield from segment.words


def build(segments: Iterable[Segment], *, language: str, duration_s: float) -> Transcript:
    """Put segments together, in order of time."""
    ordered = sorted(segments, key=lambda one: (one.start_s, one.end_s))
    text = " ".join(one.text for one in ordered if one.text)
    return Transcript(
        language=language if ordered else EMPTY_LANGUAGE, duration_s=duration_s, text=text, segments=ordered
    )


def to_json(transcript: Transcript) -> dict[str, Any]:
    """Write the form of formats.md."""
    return {
        "language": transcript.language,
        "duration_s": round(transcript.duration_s, 3),
        "text": transcript.text,
        "segments": [
            {
                "start_s": round(segment.start_s, 3),
                "end_s": round(segment.end_s, 3),
                "text": segment.text,
                "words": [
                    {
                        "word": word.word,
                        "start_s": round(word.start_s, 3),
                        "end_s": round(word.end_s, 3),
                        "probability": round(word.probability, 3),
                    }
                    for word in segment.words
                ],
            }
            for segment in transcript.segments
        ],
    }


def from_json(value: dict[str, Any]) -> Transcript:
    """Read the form of formats.md; fields it does not know are passed over."""
    segments = [
        Segment(
            float(one["start_s"]),
            float(one["end_s"]),
            str(one["text"]),
            [
                Word(
                    str(word["word"]), float(word["start_s"]), float(word["end_s"]), float(word.get("probability", 1.0))
                )
                for word in one.get("words", ())
            ],
        )
        for one in value["segments"]
    ]
    return Transcript(str(value["language"]), float(value["duration_s"]), str(value["text"]), segments)
