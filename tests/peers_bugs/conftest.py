"""Kinds of bugs that users of other programs have met, staged here against ours. Each test names the kind and where it was seen.

They run in the test kit: the real engine and store, under a clock that is moved by hand.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orpheus.testing import Kit


@pytest.fixture
def kit() -> Iterator[Kit]:
    with Kit() as made:
        yield made
