"""The fixture for pytest."""

from __future__ import annotations

from typing import Any

from orpheus.testing import Kit
from orpheus.testing.plugin import orpheus_kit

__all__ = ["orpheus_kit"]


def test_an_empty_kit_per_test(orpheus_kit: Kit, flows: Any) -> None:
    assert orpheus_kit.jobs == []
    assert orpheus_kit.run(flows.rendering, n=1) == 0
