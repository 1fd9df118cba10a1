"""What a test is told when something did not go as it said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orpheus.core.errors import OrpheusError, TaskError

if TYPE_CHECKING:
    from orpheus.testing.inline import InlineRun
    from orpheus.testing.kit.jobs import KitJob


class JobFailed(OrpheusError):
    """The job ended as failed or cancelled. `__cause__` is what the handler raised; `job` has everything there is to see: a
    `KitJob` in a test, an `InlineRun` after `orpheus.run`."""

    code = "task_failed"

    def __init__(self, error: TaskError | None, job: KitJob[Any] | InlineRun) -> None:
        where = f"task {error.task!r}: " if error is not None and error.task else ""
        super().__init__(
            f"{where}{error.message if error is not None else 'the job did not complete'}",
            hint=error.hint if error is not None else "",
        )
        if error is not None:
            self.code = error.code
        self.error = error
        self.job = job


class Stuck(AssertionError):
    """The job does not move however much time passes: somebody has to answer, or nothing ever will. The message lists
    what each of its tasks waits for."""

    def __init__(self, message: str, job: KitJob[Any]) -> None:
        super().__init__(message)
        self.job = job
