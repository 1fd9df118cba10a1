"""How does a handler run another program so that it never outlives its attempt? (promise 4)

Each program gets a process group of its own. A cancel, a time limit or the end of the attempt sends SIGTERM to the group,
and SIGKILL after a grace. Should the worker itself be killed, the reaper (reaper.py) ends the groups that it left.

`run` blocks and serves both kinds of handlers: sync ones call it where they are, async ones in a thread.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orpheus.worker.stop_flag import StopFlag

READ_BYTES = 65_536
TAIL_BYTES_MAX = 256 * 1024
"""Of each stream, what `ProcessResult` keeps when lines are handed on: the end, where programs say what went wrong."""
OUTPUT_BYTES_MAX = 64 * 1024 * 1024
LINE_BYTES_MAX = 65_536
KILL_AFTER_S = 5.0


class ProcessStopped(Exception):
    """The program was ended because the attempt is to stop."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended. `returncode` is negative when a signal ended it."""

    returncode: int
    stdout: bytes
    stderr: bytes
    duration_s: float
    timed_out: bool


@dataclass(slots=True)
class _Output:
    name: str
    kept: deque[bytes]
    kept_bytes: int = 0
    partial: bytes = b""


class Watched:
    """What a running program is watched with.

    Args:
        stopping: set when the attempt is to stop.
        started, ended: told the process group, for the reaper and for whoever kills the attempt.
    """

    def __init__(self, stopping: StopFlag, *, started: Callable[[int], None], ended: Callable[[int], None]) -> None:
        self.stopping = stopping
        self.started = started
        self.ended = ended


def run(
    argv: Sequence[str | os.PathLike[str]],
    watched: Watched,
    *,
    on_line: Callable[[str, str], None] | None = None,
    timeout_s: float | None = None,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    input_bytes: bytes | None = None,
    kill_after_s: float = KILL_AFTER_S,
) -> Finished:
    """Run a program to its end.

    Args:
        argv: program and arguments; no shell is involved.
        on_line: called with `("stdout" | "stderr", line)` for every line; `\\r` ends a line too, as progress displays do.
        timeout_s: time limit; when it passes the group is ended and `timed_out` set.
        input_bytes: written to its standard input, which is empty otherwise.
        kill_after_s: between SIGTERM and SIGKILL.

    Raises:
        ProcessStopped: the attempt is to stop; the group is gone.
        OSError: the program could not be started.
    """
    if watched.stopping.is_set():
        raise ProcessStopped
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 (running programs is its purpose; never through a shell)
        [os.fspath(part) for part in argv],
        stdin=subprocess.PIPE if input_bytes is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=None if env is None else dict(env),
        process_group=0,
    )
    watched.started(process.pid)
    ender = _Ender(process, kill_after_s)
    try:
        deadline = None if timeout_s is None else began + timeout_s
        outputs = _follow(process, watched, ender, on_line=on_line, deadline=deadline, input_bytes=input_bytes)
    finally:
        ender.kill_now()
        watched.ended(process.pid)
    if watched.stopping.is_set() and ender.stopped:
        raise ProcessStopped
    stdout, stderr = (b"".join(output.kept) for output in outputs)
    return Finished(process.returncode, stdout, stderr, time.monotonic() - began, ender.timed_out)


class _Ender:
    """End a process group: first asked, then forced."""

    def __init__(self, process: subprocess.Popen[bytes], kill_after_s: float) -> None:
        self._process = process
        self._kill_after_s = kill_after_s
        self._kill_at: float | None = None
        self.stopped = False
        self.timed_out = False

    def look(self, *, stopping: bool, deadline: float | None) -> None:
        now = time.monotonic()
        if self._kill_at is None and (stopping or (deadline is not None and now >= deadline)):
            self.stopped = stopping
            self.timed_out = not stopping
            self._kill_at = now + self._kill_after_s
            signal_group(self._process.pid, signal.SIGTERM)
        elif self._kill_at is not None and now >= self._kill_at:
            signal_group(self._process.pid, signal.SIGKILL)
            self._kill_at = now + self._kill_after_s

    def kill_now(self) -> None:
        """Leave nothing behind: also children that the program started and did not wait for."""
        signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _follow(
    process: subprocess.Popen[bytes],
    watched: Watched,
    ender: _Ender,
    *,
    on_line: Callable[[str, str], None] | None,
    deadline: float | None,
    input_bytes: bytes | None,
) -> tuple[_Output, _Output]:
    """Read both streams and write the input until the program has ended."""
    assert process.stdout is not None and process.stderr is not None
    outputs = _Output("stdout", deque()), _Output("stderr", deque())
    exited_at: float | None = None
    with selectors.DefaultSelector() as selector:
        for pipe, output in zip((process.stdout, process.stderr), outputs, strict=True):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ, output)
        if process.stdin is not None and input_bytes:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE, memoryview(input_bytes))
        elif process.stdin is not None:
            process.stdin.close()
        while selector.get_map():
            for key, _ in selector.select(0.1):
                if isinstance(key.data, _Output):
                    chunk = os.read(key.fd, READ_BYTES)
                    if chunk:
                        _take(key.data, chunk, on_line)
                    else:
                        selector.unregister(key.fileobj)
                else:
                    _feed(selector, key)
            ender.look(stopping=watched.stopping.is_set(), deadline=deadline)
            if process.poll() is not None:
                # A grandchild may hold the pipes open for ever; the program itself is what we wait for.
                exited_at = exited_at or time.monotonic()
                if time.monotonic() - exited_at > 1.0:
                    break
        while process.poll() is None:
            ender.look(stopping=watched.stopping.is_set(), deadline=deadline)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
    for output in outputs:
        if output.partial and on_line is not None:
            on_line(output.name, output.partial.decode("utf-8", "replace"))
    return outputs


def _feed(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    rest: memoryview = key.data
    try:
        rest = rest[os.write(key.fd, rest[:READ_BYTES]) :]
    except BlockingIOError:
        return
    except BrokenPipeError:
        rest = rest[len(rest) :]
    if len(rest):
        selector.modify(key.fileobj, selectors.EVENT_WRITE, rest)
    else:
        selector.unregister(key.fileobj)
        if hasattr(key.fileobj, "close"):
            with contextlib.suppress(OSError):
                key.fileobj.close()


def _take(output: _Output, chunk: bytes, on_line: Callable[[str, str], None] | None) -> None:
    output.kept.append(chunk)
    output.kept_bytes += len(chunk)
    bound = OUTPUT_BYTES_MAX if on_line is None else TAIL_BYTES_MAX
    while output.kept_bytes > bound and len(output.kept) > 1:
        output.kept_bytes -= len(output.kept.popleft())
    if on_line is None:
        return
    *lines, output.partial = (output.partial + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if len(output.partial) > LINE_BYTES_MAX:
        lines.append(output.partial)
        output.partial = b""
    for line in lines:
        on_line(output.name, line.decode("utf-8", "replace"))


def signal_group(pgid: int, signal_number: int) -> None:
    """Signal a process group; one that is gone is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, signal_number)


def describe_returncode(returncode: int) -> str:
    """Return `exit status 3` or `SIGKILL (9)`."""
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"{signal.Signals(-returncode).name} ({-returncode})"
    except ValueError:
        return f"signal {-returncode}"
