"""A kit over the workflows of `flows.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from orpheus.authoring.registry import load_module
from orpheus.testing import Kit


@pytest.fixture(scope="session")
def flows() -> ModuleType:
    return load_module(str(Path(__file__).with_name("flows.py")))


@pytest.fixture
def kit(flows: ModuleType) -> Iterator[Kit]:
    with Kit(flows) as made:
        yield made
