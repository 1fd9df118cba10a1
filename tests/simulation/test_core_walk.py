"""The decider alone, walked at random: thousands of facts, every invariant after each."""

from __future__ import annotations

import pytest

from orpheus.testing.simulation.core_walk import walk


@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_short_lives(first: int) -> None:
    """A hundred jobs of random graphs: whatever comes in, rows, counters and events agree and the job ends."""
    for seed in range(first, first + 100):
        walk(seed)


@pytest.mark.parametrize("first", range(50_000, 50_100, 20))
def test_long_lives(first: int) -> None:
    """The same with many more facts: cancels, rewinds and retries of jobs that ended."""
    for seed in range(first, first + 20):
        walk(seed, steps=250)


@pytest.mark.parametrize(
    ("seed", "steps"),
    [
        (423, 60),  # a rewind forgot that an untouched predecessor was still running
        (88, 60),  # … and counted open nodes wrongly
        (76, 60),  # a grant taken back let the next item start within the stagger
        (83, 60),  # an empty map settled at submission counted as null, not as []
        (2341, 60),  # a second attempt of one item let the next but one start within the stagger
    ],
)
def test_seeds_that_found_something(seed: int, steps: int) -> None:
    """Walks that showed a fault once."""
    walk(seed, steps=steps)
