"""Is a result too large to travel? Then it is written beside the attempt's files, and a marker travels (design section 4).

The marker carries inline what the graph reads from the result (`needed_paths`), and the lengths of lists there, so that
the server decides conditions and fans out without opening the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

INLINE_VALUE_BYTES_MAX = 16_384
"""A needed value larger than this stays in the file; its readers get a reference into it."""


def spill_marker(
    *, key: str, sha256: str, result: bytes, needed_paths: Sequence[Sequence[str | int]]
) -> dict[str, Any]:
    """Return the `$spill` marker of a result.

    Args:
        key: where the whole result was written.
        sha256: of what was written: by it the cache knows the value (R23).
        result: its JSON.
        needed_paths: paths the graph reads; one that does not exist is left out, and fails where it is bound.
    """
    value = msgspec.json.decode(result)
    inline: list[list[Any]] = []
    lengths: list[list[Any]] = []
    paths = [list(path) for path in needed_paths]
    if [] not in paths:
        paths.insert(0, [])
    for path in paths:
        found, inner = _at(value, path)
        if not found:
            continue
        if isinstance(inner, list):
            lengths.append([path, len(inner)])
        if path and len(msgspec.json.encode(inner)) <= INLINE_VALUE_BYTES_MAX:
            inline.append([path, inner])
    size = len(result)
    return {
        "$spill": {
            "key": key,
            "sha256": sha256,
            "size_bytes": size,
            "path": [],
            "inline": inline,
            "lengths": lengths,
        }
    }


def _at(value: Any, path: Sequence[str | int]) -> tuple[bool, Any]:
    for step in path:
        if isinstance(value, dict) and len(value) == 1 and "$file" in value:
            value = value["$file"]
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False, None
    return True, value
