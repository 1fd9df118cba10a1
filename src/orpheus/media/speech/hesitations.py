"""Which words are no words? The sounds of hesitation, however a recogniser spells them."""

from __future__ import annotations

import re
from typing import Final

from orpheus.media.speech.transcript import normal

PHRASES: Final = frozenset({"you know", "i mean", "sort of", "kind of", "you see"})
"""Said alone between two pauses they carry nothing. "Like", "so", "well" and "right" are not here: alone, they may."""

_SOUNDS = re.compile(r"^(?:u+h+m*|u+g+h+|u+m+|e+h*r+m*|e+h+|a+h+m*|h+m+|m+h*m+|m+|o+h+|mm hmm|uh huh)$")
"""Uh, um, uhm, ugh, er, erm, eh, ah, hm, mm, mhm."""


def is_filler(text: str) -> bool:
    """Tell whether a text is nothing but hesitation."""
    said = normal(text).replace("-", " ")
    return bool(said) and (said in PHRASES or all(_SOUNDS.match(word) for word in said.split()))


_NO_UTTERANCE = frozenset(
    "a am an are at buh burr earth er her i'm per the them".split()  # noqa: SIM905 (a list of words)
)
_NO_NEWS = frozenset("and come f go h hey hi huh i in m oh on yeah".split())  # noqa: SIM905
_MAY_BE_SAID = frozenset(["but", "or"])


_RHYMES = re.compile(r"^[^\W\daeiou]{1,3}(?:[eiu]r|ear)[demnt]?h?$|^[^\W\daeiou]{1,2}(?:um+|oo?m|ome|one|un)$")
"""Turn, burn, sure, third; come, done, boom: what "er", "erm" and "um" are taken for when they must be words."""


def rhymes_with_filler(text: str) -> bool:
    return bool(_RHYMES.match(normal(text)))


def may_be_filler(text: str) -> bool:
    """Tell whether a recogniser may have made this of a hesitation: it wants words."""
    return normal(text) in _NO_UTTERANCE | _NO_NEWS | _MAY_BE_SAID or is_filler(text)


def is_no_utterance(text: str) -> bool:
    """Tell whether nobody says this between two pauses, while recognisers make it of hesitations."""
    return normal(text) in _NO_UTTERANCE


def is_worth_adding(text: str) -> bool:
    """Tell whether a word that is heard alone, and was left out among others, is missed: not if it may have been a hesitation."""
    return normal(text) in _MAY_BE_SAID or not (may_be_filler(text) or rhymes_with_filler(text))
