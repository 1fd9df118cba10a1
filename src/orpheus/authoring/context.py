"""What a handler sees of its attempt: `ctx` (formats.md). The worker fills it in; `LocalContext` serves unit tests.

All of it may be called from the handler's own thread or loop. After a cancel, the next call that could wait, and every
`await` of an async handler, raises `Cancelled`.
"""

from __future__ import annotations

import abc
import logging
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from orpheus.authoring.file import File


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a program ended.

    `ctx.run_process(…)` gives it at once in a plain handler; in an async one it is to be awaited.
    """

    returncode: int
    """Negative when a signal ended it."""
    stdout: str
    stderr: str
    duration_s: float

    def __await__(self) -> Generator[Any, None, ProcessResult]:
        """Let async handlers write `await`, whichever context they are given."""
        yield from ()
        return self


class ProcessFailed(Exception):
    """A program ended with another status than 0, or passed its time limit. `result` has what it wrote."""

    def __init__(self, message: str, result: ProcessResult) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> Any:
        return (type(self), (str(self), self.result))


@dataclass(frozen=True, slots=True)
class WaitForCallback:
    """Returned by a handler: the result comes later, by `POST /callbacks/{token}` (R22)."""

    timeout_s: float


def wait_for_callback(*, timeout_s: float) -> Any:
    """Return this from a handler after giving `ctx.callback_token()` to another system.

    Args:
        timeout_s: how long to wait for the callback; then the attempt has failed.
    """
    if not timeout_s > 0:
        raise ValueError("timeout_s must be above 0")
    return WaitForCallback(float(timeout_s))


def amount_of(amount: float) -> float:
    """Return what `ctx.spend` was given.

    Raises:
        ValueError: it is negative or no number.
    """
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount <= 1e12:
        raise ValueError(f"an amount is a number from 0 to 1e12, not {amount!r:.80}")
    return float(amount)


class Context(abc.ABC):
    """One attempt, as its handler sees it."""

    @property
    @abc.abstractmethod
    def job_id(self) -> str: ...

    @property
    @abc.abstractmethod
    def task(self) -> str:
        """Name of the node."""

    @property
    @abc.abstractmethod
    def index(self) -> int | None:
        """Place in a map, from 0; None outside of one."""

    @property
    @abc.abstractmethod
    def attempt(self) -> int:
        """Number of this attempt, from 1."""

    @property
    @abc.abstractmethod
    def run_id(self) -> str: ...

    @property
    @abc.abstractmethod
    def tenant(self) -> str: ...

    @property
    @abc.abstractmethod
    def correlation_id(self) -> str: ...

    @property
    @abc.abstractmethod
    def devices(self) -> tuple[int, ...]:
        """Indices of the devices this attempt holds (`resources={"gpu": 1}`)."""

    @property
    @abc.abstractmethod
    def last_heartbeat(self) -> Any:
        """Details that the attempt before gave to `heartbeat`; None on the first (R17)."""

    @abc.abstractmethod
    def progress(self, fraction: float | None, stage: str | None = None) -> None:
        """Tell how far it is, 0 to 1, and what it is doing. Cheap: call it as often as you like."""

    @abc.abstractmethod
    def heartbeat(self, details: Any = None) -> None:
        """Say that the handler is alive (`heartbeat_s`), and leave details for the next attempt."""

    @abc.abstractmethod
    def spend(self, amount: float) -> None:
        """Say what something has really cost, in the currency of the tasks' prices; amounts add up.

        What an attempt has spent counts in place of its task's price, also when it fails, and makes estimates of later jobs.

        Raises:
            ValueError: the amount is negative or no number.
        """

    @property
    @abc.abstractmethod
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """The attempt's log."""

    @property
    @abc.abstractmethod
    def is_cancelled(self) -> bool:
        """True once the attempt has been told to stop. Loops without other calls of the context ask this."""

    @property
    @abc.abstractmethod
    def temp_dir(self) -> Path:
        """A folder of the attempt's own, removed after it."""

    @abc.abstractmethod
    def path(self, file: File) -> Path:
        """Return a local path of a file's content, to be read only. May download it."""

    @abc.abstractmethod
    def open(self, file: File) -> BinaryIO:
        """Open a file's content for reading."""

    @abc.abstractmethod
    def save(
        self,
        name: str,
        source: str | os.PathLike[str] | bytes,
        content_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> File:
        """Save an artifact of the job.

        Args:
            name: its place among the job's artifacts, e.g. `thumbnails/320.webp`.
            source: a path, or the content itself.
            content_type: guessed from the name when left out.
            metadata: shown in the manifest.

        Raises:
            ValueError: the name leaves the job's folder.
        """

    @abc.abstractmethod
    def save_json(self, name: str, value: Any) -> File:
        """Save a value as a JSON artifact."""

    @abc.abstractmethod
    def run_process(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        on_line: Callable[[str], None] | None = None,
        timeout_s: float | None = None,
        check: bool = True,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        kill_after_s: float = 5.0,
    ) -> ProcessResult:
        """Run a program in a process group of its own, which a cancel ends. Async handlers write `await`.

        Args:
            argv: program and arguments; no shell.
            on_line: called with each line it writes.
            timeout_s: time limit.
            check: raise when its status is not 0.
            env: added to the environment.
            stdin: written to its standard input.
            kill_after_s: between SIGTERM and SIGKILL, when it is to stop or its time is over.

        Raises:
            ProcessFailed: it failed, or passed its time limit.
            Cancelled: the attempt was told to stop; the group is gone.
        """

    @abc.abstractmethod
    def callback_token(self) -> str:
        """Return the token with which another system reports this attempt's result; then return `wait_for_callback(…)`."""
