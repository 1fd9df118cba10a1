"""What does a handler see of its attempt? The `ctx` of formats.md, the same in the loop, in a thread and in a child process.

What differs between those places is behind two things the context is given: `Voice` (how progress, heartbeats and log
lines get out) and `AttemptFiles`. Every call is safe from any thread of the handler.

A sync handler that is cancelled meets `Cancelled` at its next call of the context; an async one gets `CancelledError` at
its next await as well.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from orpheus.authoring.codec import to_wire
from orpheus.authoring.context import Context, ProcessFailed, ProcessResult, amount_of
from orpheus.authoring.errors import Cancelled
from orpheus.authoring.file import File
from orpheus.protocol.worker import Assignment
from orpheus.worker import processes
from orpheus.worker.attempt_files import AttemptFiles
from orpheus.worker.stop_flag import StopFlag


class Voice(Protocol):
    """How an attempt is heard, and how it hears that it is to stop."""

    stopping: StopFlag

    def progress(self, fraction: float | None, stage: str | None) -> None: ...
    def heartbeat(self, details: Any) -> None: ...
    def spend(self, amount: float) -> None: ...
    def group_started(self, pgid: int) -> None: ...
    def group_ended(self, pgid: int) -> None: ...


class WorkerContext(Context):
    """The context of an attempt that a worker makes."""

    def __init__(
        self, assignment: Assignment, voice: Voice, files: AttemptFiles, *, devices: tuple[int, ...], in_loop: bool
    ) -> None:
        self._assignment = assignment
        self._voice = voice
        self._files = files
        self._devices = devices
        self._in_loop = in_loop
        self._log: logging.LoggerAdapter[logging.Logger] | None = None

    # Who am I ------------------------------------------------------------------------------------------------------
    @property
    def job_id(self) -> str:
        return self._assignment.job_id

    @property
    def task(self) -> str:
        return self._assignment.task

    @property
    def index(self) -> int | None:
        return self._assignment.index

    @property
    def attempt(self) -> int:
        return self._assignment.attempt

    @property
    def run_id(self) -> str:
        return self._assignment.run_id

    @property
    def tenant(self) -> str:
        return self._assignment.tenant

    @property
    def correlation_id(self) -> str:
        return self._assignment.correlation_id

    @property
    def devices(self) -> tuple[int, ...]:
        return self._devices

    @property
    def last_heartbeat(self) -> Any:
        return self._assignment.last_heartbeat

    # Saying how it goes ----------------------------------------------------------------------------------------------
    def progress(self, fraction: float | None, stage: str | None = None) -> None:
        self._check()
        if fraction is not None:
            fraction = None if math.isnan(fraction) else min(1.0, max(0.0, float(fraction)))
        self._voice.progress(fraction, stage)

    def heartbeat(self, details: Any = None) -> None:
        self._check()
        self._voice.heartbeat(to_wire(details))

    def spend(self, amount: float) -> None:
        self._voice.spend(amount_of(amount))

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        if self._log is None:
            self._log = logging.LoggerAdapter(logging.getLogger(f"task.{self.task}"), {})
        return self._log

    @property
    def is_cancelled(self) -> bool:
        return self._voice.stopping.is_set()

    def _check(self) -> None:
        if self._voice.stopping.is_set():
            raise Cancelled(f"{self.task} is to stop")

    # Files -----------------------------------------------------------------------------------------------------------
    @property
    def temp_dir(self) -> Path:
        return self._files.temp_dir

    def path(self, file: File) -> Path:
        self._check()
        return self._files.path(file.to_wire()["$file"])

    def open(self, file: File) -> BinaryIO:
        return self.path(file).open("rb")

    def save(
        self,
        name: str,
        source: str | os.PathLike[str] | bytes,
        content_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> File:
        self._check()
        return File.from_wire({"$file": self._files.save(name, source, content_type, metadata)})

    def save_json(self, name: str, value: Any) -> File:
        text = json.dumps(to_wire(value), ensure_ascii=False, indent=2, allow_nan=False)
        return self.save(name, text.encode() + b"\n", "application/json")

    # Other programs --------------------------------------------------------------------------------------------------
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
        kill_after_s: float = processes.KILL_AFTER_S,
    ) -> Any:
        def start(stopping: StopFlag, tell: Callable[[str, str], None] | None) -> ProcessResult:
            watched = processes.Watched(stopping, started=self._voice.group_started, ended=self._voice.group_ended)
            try:
                finished = processes.run(
                    argv,
                    watched,
                    on_line=tell,
                    timeout_s=timeout_s,
                    cwd=None if cwd is None else os.fspath(cwd),
                    env=None if env is None else {**os.environ, **env},
                    input_bytes=stdin,
                    kill_after_s=kill_after_s,
                )
            except processes.ProcessStopped:
                raise Cancelled(f"{self.task} is to stop") from None
            return _judge(argv, finished, timeout_s=timeout_s, check=check)

        if self._in_loop:
            return self._run_beside_loop(start, on_line)
        return start(self._voice.stopping, None if on_line is None else lambda _stream, line: on_line(line))

    async def _run_beside_loop(
        self,
        start: Callable[[StopFlag, Callable[[str, str], None] | None], ProcessResult],
        on_line: Callable[[str], None] | None,
    ) -> ProcessResult:
        """Follow the program in a thread; lines are handed on in the loop, and a cancel waits until the group is gone."""
        loop = asyncio.get_running_loop()
        stopping = StopFlag()
        tell = None if on_line is None else lambda _stream, line: _call_soon(loop, on_line, line)
        work = loop.create_task(asyncio.to_thread(start, stopping, tell))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stopping.set()
            await asyncio.wait([work])
            work.exception() if not work.cancelled() else None
            raise

    def callback_token(self) -> str:
        run_token = self._assignment.run_token.encode()
        return f"{self.run_id}.{hmac.new(run_token, b'callback', hashlib.sha256).hexdigest()}"


def _call_soon(loop: asyncio.AbstractEventLoop, on_line: Callable[[str], None], line: str) -> None:
    loop.call_soon_threadsafe(on_line, line)


def _judge(
    argv: Sequence[str | os.PathLike[str]], finished: processes.Finished, *, timeout_s: float | None, check: bool
) -> ProcessResult:
    name = Path(argv[0]).name
    stdout = finished.stdout.decode("utf-8", "replace")
    stderr = finished.stderr.decode("utf-8", "replace")
    result = ProcessResult(returncode=finished.returncode, stdout=stdout, stderr=stderr, duration_s=finished.duration_s)
    if finished.timed_out:
        raise ProcessFailed(f"{name} was stopped after its time limit of {timeout_s:g} s", result)
    if check and finished.returncode != 0:
        tail = stderr.strip()[-2000:] or stdout.strip()[-2000:]
        how = processes.describe_returncode(finished.returncode)
        raise ProcessFailed(f"{name} ended with {how}" + (f": {tail}" if tail else ""), result)
    return result
