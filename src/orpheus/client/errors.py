"""What can go wrong for a caller, as exceptions.

ClientError
├── ConnectionLost           no answer: refused, reset, timed out (`sent` tells whether the server may have seen it)
├── WaitTimeout              the job had not ended when the caller's patience had
├── JobFailed                `result()` of a job that ended as failed or cancelled
├── InvalidInput             what was handed over cannot be sent (a missing file, a value that is not JSON)
└── OrpheusHTTPError         the server answered with an error envelope; subclasses for the codes people catch
    ├── NotFound             unknown_job, unknown_workflow, unknown_task … (`404`)
    ├── Conflict             invalid_transition, idempotency_conflict, definition_conflict … (`409`)
    ├── Invalid              invalid_params, invalid_graph, unknown_reference … (`422`, `400`)
    ├── TooLarge             too_large (`413`)
    ├── Unauthorized         unauthorized (`401`)
    ├── Forbidden            forbidden (`403`)
    └── Unavailable          `5xx`, `429`: worth another try when `retryable`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from orpheus.protocol.errors import ErrorBody
from orpheus.protocol.jobs import JobInfo


class ClientError(Exception):
    """Anything this client raises. `code` and `hint` are always there, so that programs can show every error alike."""

    code = "client_error"
    hint = ""
    retryable = False

    @property
    def message(self) -> str:
        return str(self)


class ConnectionLost(ClientError):
    """The server could not be reached, or went away before it answered.

    Args:
        sent: whether the request may have reached it; if not, repeating is always safe.
    """

    code = "connection_lost"
    retryable = True
    hint = "Is the server running? `orpheus up` starts one; `--server URL` or ORPHEUS_URL names another."

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class WaitTimeout(ClientError):
    """The waiting was over before the job was. The job goes on; wait again whenever you like."""

    code = "wait_timeout"
    retryable = True

    def __init__(self, message: str, *, job_id: str | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id
        """Which, where one was waited for."""


class InvalidInput(ClientError):
    """The value cannot be sent as it is; the message names it."""

    code = "invalid_input"


class JobFailed(ClientError):
    """The job ended otherwise than `completed`; `job` is how it ended."""

    code = "job_failed"

    def __init__(self, job: JobInfo) -> None:
        error = job.error
        super().__init__(f"job {job.job_id} ended as {job.state}" + (f": {error.message}" if error else ""))
        self.job = job
        if error is not None:
            self.code, self.hint, self.retryable = error.code, error.hint, error.retryable


class OrpheusHTTPError(ClientError):
    """The server refused. What it says is what its error envelope said."""

    def __init__(self, status: int, body: ErrorBody, *, retry_after_s: float | None = None) -> None:
        super().__init__(body.message)
        self.status = status
        self.code = body.code
        self.hint = body.hint
        self.retryable = body.retryable
        self.correlation_id = body.correlation_id
        self.details: list[dict[str, Any]] = body.details if isinstance(body.details, list) else []
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.code}: {self.args[0]}"

    @property
    def message(self) -> str:
        return str(self.args[0])


class NotFound(OrpheusHTTPError):
    """There is no such thing, or not for this tenant."""


class Conflict(OrpheusHTTPError):
    """It does not fit what is stored: a transition, a key, a definition."""


class Invalid(OrpheusHTTPError):
    """The request itself is wrong; `details` point into it."""


class TooLarge(OrpheusHTTPError):
    """The body is over a limit of the server."""


class Unauthorized(OrpheusHTTPError):
    """No key, or an unknown one."""


class Forbidden(OrpheusHTTPError):
    """The key's role does not allow it."""


class Unavailable(OrpheusHTTPError):
    """The server cannot answer now."""


_BY_STATUS: dict[int, type[OrpheusHTTPError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: Invalid,
    429: Unavailable,
}

_ENVELOPE = msgspec.json.Decoder(ErrorBody)
_GATEWAY = (502, 503, 504)


def error_from_reply(status: int, headers: Mapping[str, str], body: bytes) -> OrpheusHTTPError:
    """Make the exception for a reply outside 2xx.

    An answer that is not ours (a proxy's error page, another program on the port) becomes `unexpected_reply`; a gateway's
    502, 503 and 504 count as retryable.
    """
    try:
        envelope = _ENVELOPE.decode(body)
    except msgspec.DecodeError:
        text = body[:200].decode("utf-8", "replace").strip()
        envelope = ErrorBody(
            code="unexpected_reply",
            message=f"HTTP {status} without an error envelope" + (f": {text}" if text else ""),
            hint="Is there an Orpheus server at this address, or a proxy in between?",
            retryable=status in _GATEWAY,
            correlation_id=headers.get("x-correlation-id", ""),
        )
    kind = _BY_STATUS.get(status, Unavailable if status >= 500 else OrpheusHTTPError)
    return kind(status, envelope, retry_after_s=_seconds(headers.get("retry-after")))


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:  # an HTTP date; our own server never sends one
        return None
