"""The error envelope (design.md section 5): every error of the API, also 404, 405, 413 and 422, has this shape."""

from __future__ import annotations

from typing import Any

import msgspec


class ErrorBody(msgspec.Struct, kw_only=True):
    """One error. `details` holds `{"path": JSON Pointer, "message": …}` for errors in a body."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    correlation_id: str = ""
    details: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
