"""What may somebody outside put into a running job? Approved values and signals' payloads on their way in.

As with params, a file is named by `{"file_id"}` or `{"artifact"}` where the type says file, `***` stands for the hidden
value that was shown there, and whatever else means something to a worker is refused. What was shown may be sent back: a
`$file` that stands in the value that is edited is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orpheus.api.calls import Call
from orpheus.api.file_params import convert, refuse_reserved
from orpheus.core.errors import InvalidParams
from orpheus.core.plain import pointer
from orpheus.core.sensitive import StillHidden, restored
from orpheus.core.values import PASSED_THROUGH, operator_of

_KEPT = "\x00kept:"
"""Begins the text that stands for a kept marker while the rest is looked at; JSON from outside may hold no such text."""


async def resolve_value(call: Call, value: Any, schema: Any, tenant: str, *, field: str, kept: Any = None) -> Any:
    """Return a value from outside as the engine takes it.

    Args:
        schema: JSON Schema of the value; None or True where nothing is known of it.
        field: where in the body it stands.
        kept: the value that was shown to whom edited it; None where there was none.

    Raises:
        InvalidParams: a file that does not exist, a reserved or hidden value.
    """
    known = schema if isinstance(schema, Mapping) else {}
    markers = _markers(kept)
    try:
        if kept is not None:
            value = restored(known, value, kept)
    except StillHidden as fault:
        path = pointer(field, *fault.path)
        raise InvalidParams(f"{path}: {fault}", details=[{"path": path, "message": str(fault)}]) from None
    body = {field: _set_aside(value, markers)}
    root = {"type": "object", "properties": {field: {k: v for k, v in known.items() if k != "$defs"}}}
    if "$defs" in known:
        root["$defs"] = known["$defs"]
    try:
        refuse_reserved(body)
        converted = await convert(call, body, root, tenant)
    except InvalidParams as refused:
        details = [{**detail, "path": detail["path"].removeprefix("/params")} for detail in refused.details]
        raise InvalidParams(refused.message.removeprefix("/params"), hint=refused.hint, details=details) from None
    return _put_back(converted[field], markers)


def _markers(value: Any) -> list[Any]:
    found: list[Any] = []
    stack = [value]
    while stack:
        inner = stack.pop()
        if operator_of(inner) in PASSED_THROUGH:
            found.append(inner)
        elif isinstance(inner, dict):
            stack.extend(inner.values())
        elif isinstance(inner, list):
            stack.extend(inner)
    return found


def _set_aside(value: Any, markers: list[Any]) -> Any:
    if operator_of(value) in PASSED_THROUGH and value in markers:
        return f"{_KEPT}{markers.index(value)}"
    if isinstance(value, str) and value.startswith(_KEPT):
        raise InvalidParams("a text must not begin with NUL")
    if isinstance(value, dict):
        return {key: _set_aside(inner, markers) for key, inner in value.items()}
    if isinstance(value, list):
        return [_set_aside(inner, markers) for inner in value]
    return value


def _put_back(value: Any, markers: list[Any]) -> Any:
    if isinstance(value, str) and value.startswith(_KEPT):
        return markers[int(value.removeprefix(_KEPT))]
    if isinstance(value, dict):
        return {key: _put_back(inner, markers) for key, inner in value.items()}
    if isinstance(value, list):
        return [_put_back(inner, markers) for inner in value]
    return value
