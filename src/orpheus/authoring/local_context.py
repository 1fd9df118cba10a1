"""A context without a worker: for unit tests of handlers, and for `orpheus.run`.

Files lie in a temporary folder; artifacts can be read back. What a handler tells (progress, heartbeats) is kept to be
asserted on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mimetypes
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from orpheus.authoring.codec import to_wire
from orpheus.authoring.context import Context, ProcessFailed, ProcessResult, amount_of
from orpheus.authoring.errors import Cancelled
from orpheus.authoring.file import LOCAL, File


class LocalContext(Context):
    """One attempt in this process.

    Args:
        folder: where artifacts and temporary files go; made when left out, and removed with the object.
        The rest: what the handler is to see.
    """

    def __init__(
        self,
        *,
        job_id: str = "local",
        task: str = "task",
        index: int | None = None,
        attempt: int = 1,
        run_id: str = "local-run",
        tenant: str = "default",
        correlation_id: str = "local",
        devices: tuple[int, ...] = (),
        last_heartbeat: Any = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self._job_id = job_id
        self._task = task
        self._index = index
        self._attempt = attempt
        self._run_id = run_id
        self._tenant = tenant
        self._correlation_id = correlation_id
        self._devices = devices
        self._last_heartbeat = last_heartbeat
        self._own = tempfile.TemporaryDirectory(prefix="orpheus-") if folder is None else None
        self._folder = Path(self._own.name if self._own is not None else os.fspath(folder or ".")).resolve()
        self._cancelled = threading.Event()
        self.told: list[tuple[float | None, str | None]] = []
        """Every `progress(fraction, stage)`."""
        self.heartbeats: list[Any] = []
        self.spent = 0.0
        self.saved: dict[str, File] = {}
        """Artifacts by name."""
        self.metadata: dict[str, dict[str, Any]] = {}

    def cancel(self) -> None:
        """Tell the attempt to stop, as a cancelled job would."""
        self._cancelled.set()

    @property
    def job_id(self) -> str:
        return self._job_id

    @property
    def task(self) -> str:
        return self._task

    @property
    def index(self) -> int | None:
        return self._index

    @property
    def attempt(self) -> int:
        return self._attempt

    @property
    def run_id(self) -> str:
        return self._run_id

    @property
    def tenant(self) -> str:
        return self._tenant

    @property
    def correlation_id(self) -> str:
        return self._correlation_id

    @property
    def devices(self) -> tuple[int, ...]:
        return self._devices

    @property
    def last_heartbeat(self) -> Any:
        return self._last_heartbeat

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        return logging.LoggerAdapter(logging.getLogger(f"task.{self._task}"), {})

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    @property
    def temp_dir(self) -> Path:
        folder = self._folder / "temp" / self._run_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def progress(self, fraction: float | None, stage: str | None = None) -> None:
        self._check()
        self.told.append((None if fraction is None else min(1.0, max(0.0, float(fraction))), stage))

    def heartbeat(self, details: Any = None) -> None:
        self._check()
        self.heartbeats.append(to_wire(details))

    def spend(self, amount: float) -> None:
        self.spent += amount_of(amount)

    def path(self, file: File) -> Path:
        self._check()
        if not file.key.startswith(LOCAL):
            raise ValueError(f"{file!r} is not a local file; make one with File.from_path(path)")
        return Path(file.key.removeprefix(LOCAL))

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
        target = self._folder / "artifacts" / _checked(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        target.write_bytes(content)
        guessed = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        file = File(
            name=name,
            key=f"{LOCAL}{target}",
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            content_type=guessed,
        )
        self.saved[name] = file
        self.metadata[name] = dict(metadata or {})
        return file

    def save_json(self, name: str, value: Any) -> File:
        text = json.dumps(to_wire(value), ensure_ascii=False, indent=2, allow_nan=False)
        return self.save(name, text.encode() + b"\n", "application/json")

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
        """Run a program to its end, then hand on its lines: simpler than a worker's, which follows it while it runs."""
        self._check()
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 (running programs is its purpose; never through a shell)
            [os.fspath(part) for part in argv],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            start_new_session=True,
        )
        timed_out = False
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            timed_out = True
            _kill_group(process)
            stdout, stderr = process.communicate()
        except BaseException:
            _kill_group(process)
            process.wait()
            raise
        result = ProcessResult(
            process.returncode,
            stdout.decode("utf-8", "replace"),
            stderr.decode("utf-8", "replace"),
            time.monotonic() - began,
        )
        if on_line is not None:
            for line in (result.stdout + result.stderr).splitlines():
                on_line(line)
        program = Path(os.fspath(argv[0])).name
        if timed_out:
            raise ProcessFailed(f"{program} was stopped after its time limit of {timeout_s:g} s", result)
        if check and result.returncode != 0:
            raise ProcessFailed(
                f"{program} ended with status {result.returncode}: {result.stderr.strip()[-2000:]}", result
            )
        return result

    def callback_token(self) -> str:
        return f"token-of-{self._run_id}"

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled(f"{self._task} is to stop")


def _checked(name: str) -> PurePosixPath:
    found = PurePosixPath(name)
    if not name or found.is_absolute() or ".." in found.parts or "\\" in name or "\0" in name:
        raise ValueError(f"{name!r} is not the name of an artifact; write e.g. 'thumbnails/320.webp'")
    return found


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError, AttributeError):
        process.kill()
