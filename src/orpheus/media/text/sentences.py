"""Where does a sentence end? For texts of documents and transcripts, without a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

LONGEST: Final = 600
"""Characters of one sentence; longer ones are tables and lists, and are broken at a space."""

_WRITTEN_SHORT: Final = """
mr mrs ms dr prof st sr jr vs etc no fig figs eq e.g i.e approx inc ltd co bzw z.b d.h u.a usw nr abb vgl
"""
_ABBREVIATED: Final = frozenset(_WRITTEN_SHORT.split())
_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s+\S)")


def sentences(text: str) -> list[str]:
    """Break a text into sentences, in order; blank lines end one too."""
    return [piece for paragraph in re.split(r"\n\s*\n", text) for piece in _of_paragraph(" ".join(paragraph.split()))]


def _of_paragraph(text: str) -> Iterator[str]:
    start = 0
    for match in _END.finditer(text):
        if _is_end(text, match):
            yield from _bounded(text[start : match.end()].strip())
            start = match.end()
    yield from _bounded(text[start:].strip())


def _is_end(text: str, match: re.Match[str]) -> bool:
    before = text[: match.start()].rsplit(" ", 1)[-1].lstrip("(\"'").lower()
    following = text[match.end() :].lstrip()[:1]
    if match.group().startswith("."):
        if before in _ABBREVIATED or (len(before) == 1 and before.isalpha()):
            return False
        return not following.islower()
    return True


def _bounded(sentence: str) -> Iterator[str]:
    while len(sentence) > LONGEST:
        cut = sentence.rfind(" ", 0, LONGEST)
        cut = LONGEST if cut <= 0 else cut
        yield sentence[:cut]
        sentence = sentence[cut:].strip()
    if sentence:
        yield sentence
