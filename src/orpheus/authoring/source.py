"""Where did the author write that? The first frame outside this room, as `flows.py:31`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_HERE = str(Path(__file__).parent)


def author_frame() -> Any:
    """Return the innermost frame that is not the authoring room's own, or None."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return frame


def author_line() -> str:
    """Return `file.py:31` of the author's code that is running now."""
    frame = author_frame()
    return "" if frame is None else f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def definition_line(function: Callable[..., Any]) -> str:
    """Return `file.py:12` of a function's definition."""
    code = getattr(function, "__code__", None)
    return "" if code is None else f"{Path(code.co_filename).name}:{code.co_firstlineno}"
