"""One child process of the worker: how it is started, what it says, how it is stopped, and what its death means.

A child makes one attempt at a time, in a session and process group of its own. What it and its subprocesses write to
stdout and stderr is read here and becomes the attempt's log. It is ended by group, so that nothing it started survives.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from codecs import IncrementalDecoder, getincrementaldecoder
from typing import IO

from orpheus.worker.capture import Stream
from orpheus.worker.failures import AttemptError, classify
from orpheus.worker.frames import (
    Beat,
    Done,
    Exit,
    FromChild,
    GroupEnded,
    GroupStarted,
    Logged,
    Progressed,
    Ready,
    Setup,
    Spent,
    Start,
    Stop,
    ToChild,
    encode_frame,
    read_from_child,
)
from orpheus.worker.processes import describe_returncode, signal_group
from orpheus.worker.reaper import Reaper
from orpheus.worker.runs import Run
from orpheus.worker.work import Completed, Failed, HandedOver, Outcome, Stopped

logger = logging.getLogger("orpheus.worker")

EXIT_GRACE_S = 5.0
READ_BYTES = 65_536


class Child:
    """The worker's side of one child process. All methods but `kill_now` belong to the loop."""

    def __init__(self, devices: tuple[int, ...], reaper: Reaper) -> None:
        self.devices = devices
        self.runs_made = 0
        self.alive = True
        self._reaper = reaper
        self._run: Run | None = None
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pipes: dict[int, tuple[Stream, IncrementalDecoder]] = {}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self, setup: Setup, environment: dict[str, str]) -> None:
        """Start the process and wait until it has loaded its modules.

        Raises:
            AttemptError: it died, or could not load them; the message says why.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            # Blocking for the milliseconds of a vfork: the kernel's parent-death signal is bound to the thread that starts
            # the child, so it has to be this one, which lives as long as the worker.
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220
                [sys.executable, "-m", "orpheus.worker.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        self._reaper.add(self.pid)
        outputs: list[tuple[IO[bytes] | None, Stream]] = [
            (self._process.stdout, "stdout"),
            (self._process.stderr, "stderr"),
        ]
        for pipe, stream in outputs:
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._pipes[pipe.fileno()] = (stream, getincrementaldecoder("utf-8")("replace"))
            asyncio.get_running_loop().add_reader(pipe.fileno(), self._read_output, pipe.fileno())
        ours.setblocking(False)
        self._reader, self._writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        await self._send(setup)
        ready = await read_from_child(self._reader)
        if isinstance(ready, Ready) and not ready.error:
            return
        if isinstance(ready, Ready):
            raise AttemptError(f"the child process could not load its modules: {ready.error}", code="task_failed")
        raise self._death("before it was ready")

    async def make(self, run: Run, start: Start) -> Outcome:
        """Have the child make an attempt."""
        assert self._reader is not None
        self._run = run
        self.runs_made += 1
        try:
            await self._send(start)
            while True:
                message = await read_from_child(self._reader)
                if isinstance(message, Done):
                    self._drain_output()
                    return self._outcome(message)
                if message is None:
                    await self._wait_ended()
                    self._drain_output()
                    if run.stopping.is_set():
                        return Stopped()
                    return Failed(classify(self._death(f"while it ran {run.assignment.handler}")))
                self._hear(run, message)
        finally:
            self._run = None

    def stop(self) -> None:
        """Ask the attempt to stop: its subprocesses get SIGTERM, and the handler `Cancelled`."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode_frame(Stop()))
        self._signal(signal.SIGTERM)

    def kill_now(self) -> None:
        """End the process and everything it started, at once. Safe from any thread."""
        self.alive = False
        self._signal(signal.SIGKILL)

    async def close(self) -> None:
        """Let an idle child close its resources and end; force it when it does not."""
        if self._writer is not None and self.alive and not self._writer.is_closing():
            self._writer.write(encode_frame(Exit()))
            try:
                await asyncio.wait_for(self._wait_ended(), EXIT_GRACE_S)
            except TimeoutError:
                logger.warning("child process %d did not end in %g s: killed", self.pid, EXIT_GRACE_S)
        await self.bury()

    async def bury(self) -> None:
        """Kill what is left, and give back what the child held in this process. Safe to call twice."""
        self.kill_now()
        if self._process is not None:
            await self._wait_ended()
            self._reaper.remove(self.pid)
        for pgid in self._groups:
            self._reaper.remove(pgid)
        self._groups.clear()
        for descriptor in list(self._pipes):
            asyncio.get_running_loop().remove_reader(descriptor)
            self._pipes.pop(descriptor)
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()

    def _hear(self, run: Run, message: FromChild) -> None:
        if isinstance(message, Progressed):
            run.progress(message.fraction, message.stage)
        elif isinstance(message, Beat):
            run.heartbeat(message.details)
        elif isinstance(message, Spent):
            run.spend(message.amount)
        elif isinstance(message, Logged):
            run.log.take_line(message.line)
        elif isinstance(message, GroupStarted):
            self._groups.add(message.pgid)
            self._reaper.add(message.pgid)
        elif isinstance(message, GroupEnded):
            self._groups.discard(message.pgid)
            self._reaper.remove(message.pgid)

    def _outcome(self, done: Done) -> Outcome:
        if done.stopped:
            return Stopped()
        if done.error is not None:
            return Failed(done.error)
        if done.waiting_s is not None:
            return HandedOver(done.waiting_s, done.artifacts)
        assert done.result is not None
        return Completed(done.result, done.artifacts)

    def _death(self, when: str) -> AttemptError:
        """Say how the process died; a SIGKILL that nobody here sent is most often the kernel's, for memory."""
        returncode = self._process.poll() if self._process is not None else None
        how = "for an unknown reason" if returncode is None else f"by {describe_returncode(returncode)}"
        hint = ""
        if returncode == -signal.SIGKILL:
            hint = "Often the system's out-of-memory killer: give the task less at once, or the machine more memory."
        elif returncode in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL):
            hint = "A crash in native code; the end of the attempt's log may hold the place."
        self.alive = False
        return AttemptError(
            f"the child process ended {when}, {how}", code="task_failed", hint=hint, type_name="worker_process_died"
        )

    async def _send(self, message: ToChild) -> None:
        assert self._writer is not None
        try:
            self._writer.write(encode_frame(message))
            await self._writer.drain()
        except ConnectionError:
            return  # the reading side finds out, and says how it died

    async def _wait_ended(self) -> None:
        assert self._process is not None
        wait_s = 0.001
        while self._process.poll() is None:
            await asyncio.sleep(wait_s)
            wait_s = min(0.05, wait_s * 2)

    def _signal(self, number: signal.Signals) -> None:
        for pgid in list(self._groups):
            signal_group(pgid, number)
        if self._process is not None and self._process.returncode is None:
            signal_group(self._process.pid, number)

    def _drain_output(self) -> None:
        """Read what was written before the last message: it is in the pipes already."""
        for descriptor in list(self._pipes):
            while self._read_output(descriptor):
                pass

    def _read_output(self, descriptor: int) -> bool:
        try:
            chunk = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            chunk = b""
        if not chunk:
            asyncio.get_running_loop().remove_reader(descriptor)
            self._pipes.pop(descriptor, None)
            return False
        stream, decoder = self._pipes[descriptor]
        text = decoder.decode(chunk)
        if self._run is not None:
            self._run.log.write(text, stream)
        elif text.strip():
            logger.info("child %d: %s", self.pid, text.rstrip())
        return True
