"""Which language is a text in? An ISO 639-1 code, told by py3langid where it is installed."""

from __future__ import annotations

from typing import Final

from orpheus.media.extras import need

LEAST_CHARACTERS: Final = 40
"""Shorter texts are guessed wrong too often to be told."""
_LOOKED_AT: Final = 20_000


def language_of(text: str) -> str | None:
    """Return the language of a text, or None when there is too little of it to say.

    Raises:
        ExtraMissing: py3langid is not installed.
    """
    sample = " ".join(text.split())[:_LOOKED_AT]
    if sum(character.isalpha() for character in sample) < LEAST_CHARACTERS:
        return None
    code, _ = need("py3langid").classify(sample)
    return str(code)
