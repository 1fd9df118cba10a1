"""Workflows of the design, shared by the tests of the authoring side."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[1] / "typing" / "pass" / "design_examples.py"


@pytest.fixture(scope="session")
def examples() -> ModuleType:
    """The design's examples, the very file that type checkers read."""
    name = "orpheus_design_examples"
    spec = importlib.util.spec_from_file_location(name, EXAMPLES)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
