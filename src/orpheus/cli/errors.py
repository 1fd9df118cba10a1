"""How is an error explained, and with what exit status does the command end?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orpheus.cli.exits import ExitCode
from orpheus.client.errors import ClientError, ConnectionLost, InvalidInput, JobFailed, OrpheusHTTPError, WaitTimeout
from orpheus.core.errors import OrpheusError


class CommandError(Exception):
    """A command cannot go on; said in the terms of the person who typed it."""

    def __init__(self, code: str, message: str, *, hint: str = "", exit_code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.exit_code = code, message, hint, exit_code


@dataclass(frozen=True, slots=True)
class Explained:
    code: str
    message: str
    hint: str
    exit_code: ExitCode
    more: dict[str, Any] = field(default_factory=dict)


_IN_USE = ("data_in_use", "port_in_use")
_USAGE = (
    "invalid_params",
    "invalid_request",
    "invalid_graph",
    "unknown_reference",
    "unknown_workflow",
    "invalid_setting",
    "unsupported_media",
    "corrupt_media",
    "too_large",
)
_CLIENT: tuple[tuple[type[ClientError], ExitCode], ...] = (
    (ConnectionLost, ExitCode.UNREACHABLE),
    (WaitTimeout, ExitCode.TIMEOUT),
    (InvalidInput, ExitCode.USAGE),
    (JobFailed, ExitCode.FAILED),
)


def explain(error: Exception) -> Explained | None:
    """Return what to show for an error, or None when it is not one of those that are meant for people."""
    if isinstance(error, CommandError):
        return Explained(error.code, error.message, error.hint, error.exit_code)
    if isinstance(error, OrpheusHTTPError):
        more = {"details": error.details, "correlation_id": error.correlation_id, "retryable": error.retryable}
        return Explained(error.code, error.message, error.hint, _by_code(error.code, ExitCode.REFUSED), more)
    if isinstance(error, ClientError):
        exit_code = next((code for kind, code in _CLIENT if isinstance(error, kind)), ExitCode.FAILED)
        return Explained(error.code, error.message, error.hint, exit_code, {"retryable": error.retryable})
    if isinstance(error, OrpheusError):
        return Explained(
            error.code,
            error.message,
            error.hint,
            _by_code(error.code, ExitCode.USAGE),
            {"details": error.details, "retryable": error.retryable},
        )
    if isinstance(error, OSError) and error.filename is not None:
        return Explained("file_error", f"{error.filename}: {error.strerror or error}", "", ExitCode.USAGE)
    return None


def _by_code(code: str, otherwise: ExitCode) -> ExitCode:
    if code in _IN_USE:
        return ExitCode.IN_USE
    return ExitCode.USAGE if code in _USAGE else otherwise
