"""How does a person see a job move? A bar with its stage on a terminal, a line per stage elsewhere, nothing when quiet."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from orpheus.cli.output import error_console, note, watched
from orpheus.cli.show import ENDED, waiting
from orpheus.client import Client, WaitTimeout
from orpheus.protocol.jobs import JobInfo

LOOK_EVERY_S = 0.3
"""The long poll ends at once when the job does, so this only paces the bar."""
_SETTLED = ("completed", "skipped", "failed", "cancelled")
WONDER_S = 1.0
"""Nobody wonders why something waits before it has waited so long."""


def follow_progress(
    client: Client, job_id: str, *, quiet: bool = False, check: Callable[[], None] | None = None
) -> JobInfo:
    """Show a job's progress until it has ended, and return it.

    Args:
        check: called between looks; may raise, e.g. when a process this job needs has died.
    """
    began = time.monotonic()
    job = client.get(job_id)
    told: dict[str, None] = {}
    with _drawing(quiet=quiet) as draw:
        while True:
            if not quiet:
                _tell_approvals(client, job, told)
            draw(job, describe(job, wondering=time.monotonic() - began > WONDER_S))
            if job.state in ENDED:
                return job
            if check is not None:
                check()
            try:
                job = client.wait(job_id, timeout_s=LOOK_EVERY_S)
            except WaitTimeout:
                job = client.get(job_id)


def _tell_approvals(client: Client, job: JobInfo, told: dict[str, None]) -> None:
    """Say once of each approval that the job waits for, how it is given."""
    if not any(one.reason == "approval" for one in job.waiting_for):
        return
    if job.state == "pending":
        asked = [""]
    else:
        waiting = client.tasks(job.job_id, state="waiting")
        asked = [f" --task {task.name}" for task in waiting if not isinstance(task.approval, msgspec.UnsetType)]
    for which in asked:
        if which not in told:
            told[which] = None
            note(f"waits for approval: orpheus approve {job.job_id}{which}")


class _Lines:
    """For logs and pipes: says each new stage once."""

    def __init__(self) -> None:
        self._said = ""

    def __enter__(self) -> Callable[[JobInfo, str], None]:
        return self._draw

    def __exit__(self, *_: object) -> None:
        pass

    def _draw(self, job: JobInfo, text: str) -> None:
        if text != self._said and job.state not in ENDED:
            self._said = text
            note(f"{job.progress_percentage:3.0f} %  {text}")


class _Silent:
    def __enter__(self) -> Callable[[JobInfo, str], None]:
        return lambda _job, _text: None

    def __exit__(self, *_: object) -> None:
        pass


class _Bar:
    """For a terminal."""

    def __enter__(self) -> Callable[[JobInfo, str], None]:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[name]}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.description}"),
            console=error_console(),
            transient=True,
        )
        self._task = self._progress.add_task("", total=100, name="")
        self._progress.start()
        return self._draw

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _draw(self, job: JobInfo, text: str) -> None:
        from rich.markup import escape  # noqa: PLC0415

        self._progress.update(
            self._task, completed=job.progress_percentage, name=escape(job.workflow), description=escape(text)
        )


def _drawing(*, quiet: bool) -> _Bar | _Lines | _Silent:
    if quiet:
        return _Silent()
    return _Bar() if watched() else _Lines()


def describe(job: JobInfo, *, wondering: bool = True) -> str:
    """Return in a few words what a job is at, or, to somebody who wonders, why it does not move."""
    if job.cancel_requested_at is not None and job.state not in ENDED:
        return "stopping"
    why = waiting(job.waiting_for) if wondering else ""
    if why and job.state != "running":
        return f"{job.state}, waits for {why}"
    running = job.tasks.get("running", 0)
    stage = job.current_stage or (f"waits for {why}" if why and not running else job.state)
    done, total = sum(job.tasks.get(state, 0) for state in _SETTLED), job.tasks.get("total", 0)
    return f"{stage} ({done} of {total} tasks)" if total > 1 else stage
