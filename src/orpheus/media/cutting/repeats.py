"""Which phrases were said again? The first of two takes goes, the last one stays.

A speaker who stumbles stops, and begins the sentence anew. So a phrase (what stands between two pauses or full stops) is an
abandoned take when the one right after it says the same, or begins with the same words and goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from orpheus.media.speech.transcript import Span, Word, ends_sentence, normal

PAUSE_S = 0.35
LEAST_WORDS = 3
"""Shorter ones ("No. No.", "Thank you, thank you.") are rhetoric more often than mistakes."""
ALIKE = 0.85
"""Share of words in common (difflib's ratio) from which two phrases are two takes of one. "Ask not what your country can do for
you" and "ask what you can do for your country" have 0.59."""
WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words spoken without a pause."""

    words: tuple[Word, ...]

    @property
    def said(self) -> list[str]:
        return [text for text in (normal(word.word) for word in self.words) if text]

    @property
    def span(self) -> Span:
        return Span(self.words[0].start_s, self.words[-1].end_s)


@dataclass(frozen=True, slots=True)
class Repeat:
    """An abandoned take, and where its successor begins."""

    span: Span
    text: str


def phrases(words: Sequence[Word]) -> Iterator[Phrase]:
    """Break words at full stops and pauses."""
    taken: list[Word] = []
    for word in words:
        if taken and (word.start_s - taken[-1].end_s >= PAUSE_S or ends_sentence(taken[-1])):
            yield Phrase(tuple(taken))
            taken = []
        taken.append(word)
    if taken:
        yield Phrase(tuple(taken))


def find(words: Sequence[Word]) -> list[Repeat]:
    """Find abandoned takes. Each reaches to the beginning of the phrase that replaces it."""
    spoken = [phrase for phrase in phrases(words) if phrase.said]
    found = []
    for first, second in pairwise(spoken):
        if second.span.start_s - first.span.end_s <= WITHIN_S and _is_retaken(first.said, second.said):
            text = " ".join(word.word for word in first.words)
            found.append(Repeat(Span(first.span.start_s, second.span.start_s), text))
    return found


def _is_retaken(first: list[str], second: list[str]) -> bool:
    if len(first) < LEAST_WORDS:
        return False
    if second[: len(first)] == first and len(second) >= len(first):
        return True
    # A take that broke off inside a word: "the new ware-" before "the new warehouse".
    whole, broken = first[:-1], first[-1]
    if len(whole) >= LEAST_WORDS - 1 and len(second) > len(whole) and second[: len(whole)] == whole:
        return second[len(whole)].startswith(broken)
    return len(second) >= LEAST_WORDS and SequenceMatcher(None, first, second, autojunk=False).ratio() >= ALIKE
