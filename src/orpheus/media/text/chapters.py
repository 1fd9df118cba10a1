"""Where does a talk turn to something else? Chapter marks from the transcript's sentences and its pauses.

Source: TextTiling (Hearst 1997) on sentence vectors: a boundary lies where what follows is least like what came before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from orpheus.media.extras import need

LEAST_CHAPTER_S: Final = 30.0
_WINDOW: Final = 4
_DEPTH: Final = 0.12
"""How much less alike two neighbourhoods must be than their surroundings."""
_TITLE_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class Chapter:
    """From `start_s` to the next chapter's."""

    start_s: float
    title: str


@dataclass(frozen=True, slots=True)
class Timed:
    """A sentence and when it begins."""

    start_s: float
    text: str


def chapters(spoken: Sequence[Timed], vectors: Any, *, duration_s: float) -> list[Chapter]:
    """Return chapter marks; none for a recording too short to have two.

    The first begins at 0. Titles are the most telling sentence's first words.

    Args:
        spoken: sentences in order.
        vectors: their rows of length 1.
        duration_s: of the recording.
    """
    if duration_s < 2 * LEAST_CHAPTER_S or len(spoken) < 2 * _WINDOW:
        return []
    starts = _boundaries(spoken, vectors, duration_s)
    if not starts:
        return []
    edges = [0, *starts, len(spoken)]
    made = []
    for first, last in pairwise(edges):
        at_s = 0.0 if first == 0 else spoken[first].start_s
        made.append(Chapter(round(at_s, 3), _title(spoken[first:last], vectors[first:last])))
    return made


def _boundaries(spoken: Sequence[Timed], vectors: Any, duration_s: float) -> list[int]:
    np = need("numpy")
    likeness = []
    for place in range(1, len(spoken)):
        before, after = (
            vectors[max(0, place - _WINDOW) : place].mean(axis=0),
            vectors[place : place + _WINDOW].mean(axis=0),
        )
        scale = float(np.linalg.norm(before) * np.linalg.norm(after)) or 1.0
        likeness.append(float(before @ after) / scale)
    depths = [
        (max(likeness[max(0, i - _WINDOW) : i + 1]) + max(likeness[i : i + _WINDOW + 1]) - 2 * likeness[i], i + 1)
        for i in range(len(likeness))
    ]
    most = max(1, min(40, math.floor(duration_s / (2 * LEAST_CHAPTER_S))))
    taken: list[int] = []
    for depth, place in sorted(depths, reverse=True):
        if depth < _DEPTH or len(taken) >= most:
            break
        at_s = spoken[place].start_s
        others = [0.0, duration_s, *(spoken[one].start_s for one in taken)]
        if all(abs(at_s - other) >= LEAST_CHAPTER_S for other in others):
            taken.append(place)
    return sorted(taken)


def _title(spoken: Sequence[Timed], vectors: Any) -> str:
    centre = vectors.mean(axis=0)
    best = max(range(len(spoken)), key=lambda place: (float(vectors[place] @ centre), -place))
    text = spoken[best].text.strip().rstrip(".!?,;:")
    if len(text) <= _TITLE_CHARACTERS:
        return text
    return text[: text.rfind(" ", 0, _TITLE_CHARACTERS)].rstrip(",;:") + " …"
