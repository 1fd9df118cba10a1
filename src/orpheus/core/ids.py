"""What is a new thing called? UUIDv7 texts, which sort by the time they were made (formats.md, "Ids sort by time").

Pure as the rest of the core: the instant and the random bits are arguments, so a seed replays the same ids.
"""

from __future__ import annotations

from functools import lru_cache

RANDOM_BITS = 74
"""Bits of randomness an id has room for; more are cut off."""

RANDOM_BITS_OF_MANY = 64
"""For each of the ids that are made together."""

_MAX_MS = (1 << 48) - 1
_VARIANT = 1 << 63
"""0b10, in front of the random bits."""
_RANDOM = (1 << 62) - 1


def uuid7(now: float, bits: int) -> str:
    """Make an id from an instant and random bits.

    Args:
        now: seconds since the epoch, UTC. Its milliseconds lead the id; the fraction of the millisecond fills the next
            twelve bits, so ids of one clock sort within a millisecond too.
        bits: at least 62 random bits (`random.getrandbits(74)`); the low 62 are used.

    Returns:
        36 lower-case characters, e.g. `0192f7a4-5c3b-7d21-9c1e-5a0f4be2d7c3`.

    Source: RFC 9562, section 5.7 and 6.2 (method 3).
    """
    text = f"{_VARIANT | bits & _RANDOM:x}"
    return f"{_begins(now)}{text[:4]}-{text[4:]}"


def uuid7s(now: float, bits: int, count: int) -> list[str]:
    """Make many ids of one instant, as `uuid7` does one by one.

    Args:
        bits: at least `RANDOM_BITS_OF_MANY * count` random bits.
    """
    begins = _begins(now)
    variants = int("8000000000000000" * count or "0", 16)
    random = int("3fffffffffffffff" * count or "0", 16)
    ends = (bits & random | variants).to_bytes(8 * count, "big")
    return [f"{begins}{ends[at : at + 8].hex('-', 6)}" for at in range(0, 8 * count, 8)]


@lru_cache(maxsize=4)
def _begins(now: float) -> str:
    """Return what all ids of an instant begin with; those of a transaction share theirs."""
    microseconds = max(0, int(now * 1_000_000))
    milliseconds, rest = divmod(microseconds, 1000)
    text = f"{min(milliseconds, _MAX_MS):012x}"
    return f"{text[:8]}-{text[8:]}-7{rest * 4096 // 1000:03x}-"
