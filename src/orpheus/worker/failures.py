"""What does an exception of a handler mean? Its place in a report: final, retried, retried after a wait (R17)."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from orpheus.authoring.errors import Permanent, RetryAfter
from orpheus.protocol.worker import ReportedError

TRACEBACK_CHARS_MAX = 16_384
MESSAGE_CHARS_MAX = 4_096


class AttemptError(Exception):
    """The attempt fails for a reason that the worker found, with a code of its own.

    Args:
        message: names the culprit.
        code: a code of tasks and jobs (docs/errors).
        hint: what to do about it.
        final: True when another attempt could not end otherwise.
    """

    def __init__(
        self, message: str, *, code: str = "task_failed", hint: str = "", final: bool = False, type_name: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.final = final
        self.type_name = type_name


class BadName(AttemptError, ValueError):
    """A name that no artifact may have."""


def _unchanged(text: str) -> str:
    return text


def classify(exception: BaseException, *, redact: Callable[[str], str] = _unchanged) -> ReportedError:
    """Return the report of an exception.

    `Permanent` is final; `RetryAfter` sets the wait; the listed final error types are the server's to judge, by `type`;
    everything else is retried. `SystemExit` and its kin do not end the worker: they fail the attempt.
    """
    if isinstance(exception, AttemptError):
        return ReportedError(
            code=exception.code,
            message=redact(str(exception)),
            hint=redact(exception.hint),
            final=exception.final,
            type=exception.type_name,
        )
    return ReportedError(
        code=exception.code if isinstance(exception, Permanent) else "task_failed",
        message=redact(_message(exception))[:MESSAGE_CHARS_MAX],
        hint=redact(str(getattr(exception, "hint", "") or "")),
        type=type(exception).__name__,
        traceback=redact(bounded_traceback(exception)),
        final=isinstance(exception, Permanent),
        retry_after_s=exception.delay_s if isinstance(exception, RetryAfter) else None,
    )


def _message(exception: BaseException) -> str:
    try:
        text = str(exception)
    except Exception:  # a broken __str__ of a user's exception
        text = ""
    if isinstance(exception, SystemExit):
        return f"the handler called exit({text})"
    return text or type(exception).__name__


def bounded_traceback(exception: BaseException) -> str:
    """Return the traceback; of a very long one the beginning and the end, where cause and place stand."""
    try:
        text = "".join(traceback.format_exception(exception))
    except Exception:
        return ""
    if len(text) <= TRACEBACK_CHARS_MAX:
        return text
    half = TRACEBACK_CHARS_MAX // 2
    return f"{text[:half]}\n… ({len(text) - 2 * half} characters left out) …\n{text[-half:]}"
