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
