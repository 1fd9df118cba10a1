"""A whole result, put together from what lies inline and what was spilled to the object store."""

from __future__ import annotations

from typing import Any

import msgspec

from orpheus.api.calls import Answer, Streamed, json_answer
from orpheus.api.route import Sendable
from orpheus.artifacts.errors import MissingObject
from orpheus.artifacts.store import ObjectStore
from orpheus.core.values import operator_of

MOST_BYTES = 256 * 1024 * 1024
"""Largest spilled part that is put together in memory; a result that is one object is streamed whatever its size."""


async def load_result(objects: ObjectStore, result: Any) -> Sendable:
    """Answer with a result.

    Raises:
        MissingObject: a part of it is gone.
        ObjectTooLarge: a part of it is too large to be put together.
    """
    if operator_of(result) == "$spill" and not result["$spill"].get("path"):
        key = str(result["$spill"]["key"])
        info = await objects.stat(key)
        if info is None:
            raise MissingObject("the result is gone from the object store")
        return Streamed(objects.open_range(key), content_type=b"application/json", length=info.size_bytes)
    if not _spilled(result):
        return json_answer(result)
    return Answer(msgspec.json.encode(await whole_result(objects, result)))


async def whole_result(objects: ObjectStore, result: Any) -> Any:
    """Put a result together in memory.

    Raises:
        MissingObject: a part of it is gone.
        ObjectTooLarge: a part of it is too large to be put together.
    """
    return await _whole(objects, result, {})


def _spilled(value: Any) -> bool:
    stack = [value]
    while stack:
        inner = stack.pop()
        if operator_of(inner) == "$spill":
            return True
        if isinstance(inner, dict):
            stack.extend(inner.values())
        elif isinstance(inner, list):
            stack.extend(inner)
    return False


async def _whole(objects: ObjectStore, value: Any, loaded: dict[str, Any]) -> Any:
    if operator_of(value) == "$spill":
        spill = value["$spill"]
        key = str(spill["key"])
        if key not in loaded:
            loaded[key] = msgspec.json.decode(await objects.read(key, max_bytes=MOST_BYTES))
        whole = loaded[key]
        for step in spill.get("path", ()):
            whole = whole[step]
        return whole
    if isinstance(value, dict):
        return {key: await _whole(objects, inner, loaded) for key, inner in value.items()}
    if isinstance(value, list):
        return [await _whole(objects, inner, loaded) for inner in value]
    return value
