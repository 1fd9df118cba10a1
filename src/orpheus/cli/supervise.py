"""How are a server and its workers kept running? Each is a process of its own, restarted when it dies, stopped in order.

The supervisor holds the listening socket and hands it to the server: while a server is being replaced, clients wait in the
socket's queue instead of being refused, and "port in use" is known before anything starts. Children get a pipe as their
standard input: it closes when the supervisor is killed, and they drain and end instead of staying behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orpheus.cli.exits import ExitCode

RESTART_FIRST_S = 0.5
RESTART_MAX_S = 30.0
STEADY_S = 60.0
"""A child that lived this long starts anew with the shortest pause."""
HOPELESS = (ExitCode.USAGE, ExitCode.REFUSED, ExitCode.IN_USE)
"""Exit statuses that another start cannot change: a setting, a module that does not import, a directory in use,
a definition that the server refuses."""
LINE_BYTES = 1 << 20

Sink = Callable[[str, str], None]
"""Takes (name of the process, line)."""


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    argv: Sequence[str]
    stop_s: float
    """How long it may take to end after SIGTERM."""
    fds: tuple[int, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    on_death: Callable[[int], Awaitable[None]] | None = None
    """Told of the process that ended unexpectedly, by its pid, before another is started."""
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=30))
    stopping: bool = False

    def is_stopping(self) -> bool:
        return self.stopping

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.returncode is None else None


class ChildFailed(Exception):
    """A child ended in a way that no restart can mend."""

    def __init__(self, child: Child, status: int) -> None:
        super().__init__(f"{child.name} ended with status {status}")
        self.child, self.status = child, status


class Supervisor:
    """Keeps children running until `stop`.

    Args:
        sink: takes every line that a child writes.
        restart: False for one-shot runs, where a death is the end.
    """

    def __init__(self, sink: Sink, *, restart: bool = True) -> None:
        self._sink = sink
        self._restart = restart
        self._children: list[Child] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failed: asyncio.Future[ChildFailed] = asyncio.get_running_loop().create_future()

    @property
    def children(self) -> Sequence[Child]:
        return self._children

    async def start(self, child: Child) -> None:
        """Start a child and watch over it from now on."""
        self._children.append(child)
        await self._spawn(child)
        self._tasks[child.name] = asyncio.create_task(self._watch(child))

    async def failed(self) -> ChildFailed:
        """Wait until a child has ended for good."""
        return await asyncio.shield(self._failed)

    def failure(self) -> ChildFailed | None:
        """Return the verdict if there is one."""
        return self._failed.result() if self._failed.done() else None

    async def stop(self) -> None:
        """End the children, the last started first, so that workers can still report to the server. Safe to call twice."""
        for group in self._stopping_order():
            await asyncio.gather(*(self._end(child) for child in group))
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def kill(self) -> None:
        """End everything now."""
        for child in self._children:
            child.stopping = True
            self._signal(child, signal.SIGKILL)

    def _stopping_order(self) -> list[list[Child]]:
        return [self._children[1:], self._children[:1]]  # workers drain side by side, then the server

    async def _spawn(self, child: Child) -> None:
        child.starts += 1
        child.process = await asyncio.create_subprocess_exec(
            *child.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=child.fds,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **child.env},
            limit=LINE_BYTES,
            start_new_session=True,  # Ctrl-C is ours to pass on, in order
        )

    async def _watch(self, child: Child) -> None:
        pause = RESTART_FIRST_S
        while True:
            began = time.monotonic()
            await self._read(child)
            assert child.process is not None
            status = await child.process.wait()
            if child.is_stopping():
                return
            if status in HOPELESS or not self._restart:
                if not self._failed.done():
                    self._failed.set_result(ChildFailed(child, status))
                return
            if time.monotonic() - began > STEADY_S:
                pause = RESTART_FIRST_S
            self._sink(child.name, f"ended unexpectedly ({_status(status)}); starts again in {pause:g} s")
            if child.on_death is not None:
                await child.on_death(child.process.pid)
            await asyncio.sleep(pause)
            pause = min(pause * 2, RESTART_MAX_S)
            if child.is_stopping():
                return
            await self._spawn(child)

    async def _read(self, child: Child) -> None:
        assert child.process is not None and child.process.stdout is not None
        while True:
            try:
                line = await child.process.stdout.readline()
            except ValueError:  # longer than LINE_BYTES: drop what there is of it
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            child.last_lines.append(text)
            self._sink(child.name, text)

    async def _end(self, child: Child) -> None:
        child.stopping = True
        process = child.process
        if process is None or process.returncode is not None:
            return
        self._signal(child, signal.SIGTERM)
        try:
            async with asyncio.timeout(child.stop_s):
                await process.wait()
        except TimeoutError:
            self._sink(child.name, f"did not end within {child.stop_s:g} s and is killed")
            self._signal(child, signal.SIGKILL)
            await process.wait()

    @staticmethod
    def _signal(child: Child, number: signal.Signals) -> None:
        if child.pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if number is signal.SIGKILL:
                os.killpg(child.pid, number)  # a session of its own, so the id is also the group's
            else:
                os.kill(child.pid, number)


def command(*arguments: str) -> list[str]:
    """Return the command line of one of our own commands, run by this interpreter."""
    return [sys.executable, "-m", "orpheus.cli", *arguments]


def _status(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"status {status}"
