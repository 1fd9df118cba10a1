"""Which sentences say the most? LexRank for what is central, MMR against saying it twice.

Sources: Erkan and Radev 2004 (LexRank: a random walk over sentences that are alike); Carbonell and Goldstein 1998 (maximal
marginal relevance). Only sentences of the text are given back, so a summary says nothing the text did not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orpheus.media.extras import need

MOST_SENTENCES: Final = 300
"""A longer text is thinned out evenly: the walk is quadratic, and a book's middle is as likely to matter as its beginning."""

_DAMPING: Final = 0.85
_ROUNDS: Final = 50
_NOVELTY: Final = 0.6
"""How much being central counts against being new."""

Embed = Callable[[Sequence[str]], Any]


@dataclass(frozen=True, slots=True)
class Extract:
    """A summary made of the text's own sentences, in their order."""

    summary: str
    sentences: list[str]
    method: str = "lexrank-mmr/minilm"


def worth_quoting(sentence: str) -> bool:
    """Tell a sentence from a page number, a line of a table, a heading or a bibliography entry."""
    words = re.findall(r"[^\W\d_]{2,}", sentence)
    letters = sum(character.isalpha() for character in sentence)
    return len(words) >= 5 and letters >= 0.6 * len(sentence.replace(" ", "")) and len(sentence) <= 400


def extract(found: Sequence[str], embed: Embed, *, count: int = 3) -> Extract:
    """Choose the `count` sentences that say the most together.

    Args:
        found: all sentences, in order.
        embed: sentences to rows of length 1.
        count: how many; a text with no more than these is its own summary.
    """
    quoted = list(dict.fromkeys(one for one in found if worth_quoting(one))) or list(dict.fromkeys(found))
    thinned = quoted[:: max(1, -(-len(quoted) // MOST_SENTENCES))]
    if len(thinned) <= count:
        return Extract(" ".join(thinned), thinned)
    chosen = sorted(choose(embed(thinned), count=count))
    told = [thinned[place] for place in chosen]
    return Extract(" ".join(told), told)


def choose(vectors: Any, *, count: int) -> list[int]:
    """Return the places of the chosen rows, the most telling first."""
    np = need("numpy")
    alike = np.clip(vectors @ vectors.T, 0.0, 1.0)
    central = _walk(alike)
    central = central / max(float(central.max()), 1e-9)
    chosen: list[int] = []
    left = list(range(len(vectors)))
    while left and len(chosen) < count:
        repeats = alike[:, chosen].max(axis=1) if chosen else np.zeros(len(vectors))
        best = max(left, key=lambda place: (_NOVELTY * central[place] - (1 - _NOVELTY) * repeats[place], -place))
        chosen.append(best)
        left.remove(best)
    return chosen


def _walk(alike: Any) -> Any:
    """Power iteration over the similarity graph: where a reader who jumps between alike sentences spends the time."""
    np = need("numpy")
    weights = np.where(alike >= 0.1, alike, 0.0)
    weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    rank = np.full(len(alike), 1.0 / len(alike))
    for _ in range(_ROUNDS):
        following = (1 - _DAMPING) / len(alike) + _DAMPING * (weights.T @ rank)
        if float(np.abs(following - rank).sum()) < 1e-6:
            return following
        rank = following
    return rank
