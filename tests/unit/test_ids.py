"""Ids sort by time and are what RFC 9562 says."""

from __future__ import annotations

import random
import uuid

from orpheus.core.ids import RANDOM_BITS_OF_MANY, uuid7, uuid7s


def test_is_a_uuid7() -> None:
    """Version, variant and instant are where they belong."""
    made = uuid.UUID(uuid7(1_700_000_000.123, random.Random(1).getrandbits(74)))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == 1_700_000_000_123


def test_sorts_by_time() -> None:
    """A later instant gives a greater id, whatever the random bits; also within a millisecond."""
    rng = random.Random(2)
    instants = sorted(1_700_000_000 + rng.random() * 1e-2 + rng.randrange(1000) for _ in range(500))
    ids = [uuid7(now, rng.getrandbits(74)) for now in instants]
    micro = [int(now * 1_000_000) for now in instants]
    pairs = [
        (a, b)
        for (a, x), (b, y) in zip(zip(ids, micro, strict=True), list(zip(ids, micro, strict=True))[1:], strict=False)
        if x < y
    ]
    assert pairs and all(a < b for a, b in pairs)


def test_same_arguments_same_id() -> None:
    """Nothing but the arguments goes in."""
    assert uuid7(5.0, 7) == uuid7(5.0, 7)
    assert uuid7(-1.0, 0).startswith("00000000-0000-7")


def test_many_are_as_one_by_one() -> None:
    """Each is what its share of the bits makes of it; they differ, and none at all is none."""
    now, bits = 1_700_000_000.123, random.Random(3).getrandbits(RANDOM_BITS_OF_MANY * 5)
    shares = [bits >> (RANDOM_BITS_OF_MANY * place) for place in reversed(range(5))]
    assert uuid7s(now, bits, 5) == [uuid7(now, share) for share in shares]
    assert uuid7s(now, 0, 1) == [uuid7(now, 0)]
    assert uuid7s(now, 0, 0) == []
