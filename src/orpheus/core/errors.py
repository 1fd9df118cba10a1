"""What can go wrong, as values (`TaskError`, written down) and as exceptions (`OrpheusError`, answered)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class TaskError:
    """Why a task or job ended badly; stored with it and shown to people.

    `code` is one of the codes of tasks and jobs in the docs (`task_failed`, `worker_lost`, `timeout_start_to_close` …).
    """

    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    task: str | None = None
    type: str | None = None
    """Class name of the exception that a handler raised."""
    details: dict[str, Any] = field(default_factory=dict)


class OrpheusError(Exception):
    """A request cannot be met; nothing was changed. Becomes the error envelope of the API as it stands.

    Args:
        message: names the culprit.
        hint: what to do about it.
        details: `[{"path": JSON Pointer, …}]` for errors in a body.
    """

    code = "invalid_request"
    status = 422
    retryable = False

    def __init__(self, message: str, *, hint: str = "", details: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details or []


class InvalidRequest(OrpheusError):
    """The body or a field of it is not what the endpoint takes."""


class InvalidParams(OrpheusError):
    """The params do not fit the workflow's schema."""

    code = "invalid_params"


class InvalidGraph(OrpheusError):
    """The graph is cyclic, dangling or otherwise unusable; the message names workflow, node and remedy."""

    code = "invalid_graph"

    def __str__(self) -> str:
        """Tell all of it, as a traceback or a command line shows it."""
        return (
            f"{self.code}: {self.message}{'' if self.message.endswith(('.', '?', '!')) else '.'} {self.hint}".rstrip()
        )


class UnknownReference(InvalidGraph):
    """The graph mentions a node, param or field that does not exist; the hint holds the nearest match."""

    code = "unknown_reference"


class UnknownWorkflow(OrpheusError):
    code = "unknown_workflow"
    status = 404


class UnknownJob(OrpheusError):
    code = "unknown_job"
    status = 404


class UnknownTask(OrpheusError):
    code = "unknown_task"
    status = 404


class UnknownSchedule(OrpheusError):
    code = "unknown_schedule"
    status = 404


class ScheduleConflict(OrpheusError):
    """The tenant has a schedule of this name already, with another content."""

    code = "schedule_conflict"
    status = 409


class UnknownSignal(OrpheusError):
    """The job waits for no signal of that name (R22)."""

    code = "unknown_signal"
    status = 404


class UnknownCallback(OrpheusError):
    """The token was never given out (R22)."""

    code = "unknown_callback"
    status = 404


class InvalidTransition(OrpheusError):
    """The state machine does not allow it."""

    code = "invalid_transition"
    status = 409


class BudgetExceeded(OrpheusError):
    """The job costs more than its budget, whatever happens."""

    code = "budget_exceeded"


class IdempotencyConflict(OrpheusError):
    """The same idempotency key came with another body (R21)."""

    code = "idempotency_conflict"
    status = 409


class DefinitionConflict(OrpheusError):
    """The same name and version came with another content (R24)."""

    code = "definition_conflict"
    status = 409


class QuotaExceeded(OrpheusError):
    """The tenant has as much as it may have; the same request may succeed when some of it has ended."""

    code = "quota_exceeded"
    status = 429
    retryable = True

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class StaleRun(OrpheusError):
    """The report names an attempt that is no longer current (R6)."""

    code = "stale_run"
    status = 409
