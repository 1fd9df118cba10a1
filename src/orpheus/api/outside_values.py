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
from orpheus.api.kept_markers import markers_of, put_back, set_aside
from orpheus.core.errors import InvalidParams
from orpheus.core.plain import pointer
from orpheus.core.sensitive import StillHidden, restored


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
    markers = markers_of(kept)
    try:
        if kept is not None:
            value = restored(known, value, kept)
    except StillHidden as fault:
        path = pointer(field, *fault.path)
        raise InvalidParams(f"{path}: {fault}", details=[{"path": path, "message": str(fault)}]) from None
    body = {field: set_aside(value, markers)}
    root = {"type": "object", "properties": {field: {k: v for k, v in known.items() if k != "$defs"}}}
    if "$defs" in known:
        root["$defs"] = known["$defs"]
    try:
        refuse_reserved(body)
        converted = await convert(call, body, root, tenant)
    except InvalidParams as refused:
        details = [{**detail, "path": detail["path"].removeprefix("/params")} for detail in refused.details]
        raise InvalidParams(refused.message.removeprefix("/params"), hint=refused.hint, details=details) from None
    return put_back(converted[field], markers)
