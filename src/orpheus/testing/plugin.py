"""A fixture for pytest: `orpheus_kit`, an empty kit per test. In `conftest.py`:

pytest_plugins = ["orpheus.testing.plugin"]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from orpheus.testing import Kit


@pytest.fixture
def orpheus_kit() -> Iterator[Kit]:
    """Give a kit that learns each workflow as it is submitted."""
    from orpheus.testing import Kit  # noqa: PLC0415 (loaded by the tests that use it)

    with Kit() as kit:
        yield kit
