"""What goes wrong before the engine is asked, and how every error looks on the wire (design.md section 5).

OrpheusError (core)          raised anywhere; code, status and hint are its own
├── MalformedBody            400  not JSON, not multipart
├── InvalidFileName      422  a path where a name belongs
├── Unauthorized             401  no key, or one that is of no use
├── Forbidden                403  a Host or Origin that is not allowed; a key that may not
├── NotFound                 404  no such path
├── MethodNotAllowed         405
├── TooLarge                 413
└── UnsupportedBody          415
anything else                500  internal_error, logged with the correlation id
"""

from __future__ import annotations

import msgspec

from orpheus.core.errors import OrpheusError
from orpheus.protocol.errors import ErrorBody


class MalformedBody(OrpheusError):
    """The body cannot be read at all."""

    status = 400


class Unauthorized(OrpheusError):
    """The request needs a key (or, of a worker's files, a run's token), and has none that is of use."""

    code = "unauthorized"
    status = 401


class Forbidden(OrpheusError):
    """The request comes from where requests are not taken, or its key does not allow this."""

    code = "forbidden"
    status = 403


class NotFound(OrpheusError):
    """There is nothing at this path."""

    code = "not_found"
    status = 404


class MethodNotAllowed(OrpheusError):
    """The path exists, the method does not."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, message: str, *, allow: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.allow = allow


class TooLarge(OrpheusError):
    """The body is larger than its limit. What of it has not been read is not waited for."""

    code = "too_large"
    status = 413


class UnsupportedBody(OrpheusError):
    """The body has a content type that the endpoint does not take."""

    code = "unsupported_content_type"
    status = 415


class InvalidFileName(OrpheusError):
    """A file's name holds a path. Names are never opened, but whoever sends such a one means something else."""

    code = "invalid_file_name"


class RangeNotSatisfiable(OrpheusError):
    """The range begins behind the end of the file."""

    code = "range_not_satisfiable"
    status = 416

    def __init__(self, message: str, *, size_bytes: int) -> None:
        super().__init__(message)
        self.size_bytes = size_bytes


_HINTS = {
    "invalid_graph": "GET /workflows/schema is the JSON Schema of a workflow.",
    "invalid_params": "GET /workflows/{name} shows the schema of a workflow's params.",
    "invalid_request": "/docs shows what each endpoint takes; `details` names the place.",
    "invalid_transition": "GET /jobs/{job_id} shows its state; nothing was changed.",
    "stale_run": "Another attempt has taken its place: stop working on it, nothing it says counts any more.",
    "unknown_file": "POST /files stores a file and answers with its file_id.",
    "unknown_job": "GET /jobs lists the jobs there are.",
}
"""Said where the one who raised the error had nothing better to say."""

_ENCODER = msgspec.json.Encoder()


def envelope(error: OrpheusError, correlation_id: str) -> bytes:
    """Return the JSON of an error."""
    return _ENCODER.encode(error_body(error, correlation_id))


def error_body(error: OrpheusError, correlation_id: str) -> ErrorBody:
    return ErrorBody(
        code=error.code,
        message=_clean(error.message) or error.code,
        hint=_clean(error.hint or _HINTS.get(error.code, "")),
        retryable=error.retryable,
        correlation_id=correlation_id,
        details=error.details or msgspec.UNSET,
    )


def internal_error(correlation_id: str) -> bytes:
    """Return the JSON of a fault of ours: says nothing of the inside, names what to look for in the log."""
    return _ENCODER.encode(
        ErrorBody(
            code="internal_error",
            message="the server met a fault of its own; nothing was acknowledged",
            hint=f"look for {correlation_id} in the server's log",
            retryable=True,
            correlation_id=correlation_id,
        )
    )


def _clean(text: str) -> str:
    """Make a message encodable whatever a client put into a name."""
    return text.encode("utf-8", "replace").decode()
