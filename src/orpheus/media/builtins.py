"""Two small tasks to try things with: `sum_range` and `wordcount`. They need no extra."""

from __future__ import annotations

from typing import Final, TypedDict

from orpheus.media.errors import InvalidInput

MAX_N: Final = 100_000_000
"""Beyond it, sums would leave the integers that every JSON reader keeps exact (2**53)."""

MAX_CHARACTERS: Final = 10_000_000


class Words(TypedDict):
    """What `wordcount` found. A word is what stands between white space; `unique` ignores case."""

    words: int
    unique: int
    lines: int
    characters: int


def sum_below(n: object) -> int:
    """Return `sum(range(n))` for a whole number from 0 to 100,000,000.

    Raises:
        InvalidInput: `n` is anything else; `True` and `3.0` are not numbers of things either.
    """
    if isinstance(n, bool) or not isinstance(n, int):
        raise InvalidInput(f"n must be a whole number, not a {type(n).__name__}")
    if n < 0:
        raise InvalidInput("n must not be negative")
    if n > MAX_N:  # the number itself stays out of the message: it may have a million digits
        raise InvalidInput(f"n must be at most {MAX_N:,}")
    return n * (n - 1) // 2


def count_words(text: object) -> Words:
    """Count words, distinct words, lines and characters of a text.

    Raises:
        InvalidInput: it is no text, or longer than 10,000,000 characters.
    """
    if not isinstance(text, str):
        raise InvalidInput(f"text must be a string, not {type(text).__name__}")
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(f"text must have at most {MAX_CHARACTERS:,} characters, but has {len(text):,}")
    words = text.split()
    return Words(
        words=len(words),
        unique=len({word.casefold() for word in words}),
        lines=len(text.splitlines()),
        characters=len(text),
    )
