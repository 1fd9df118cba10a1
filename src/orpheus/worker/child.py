"""The child process: one attempt after another, at the worker's word (`python -m orpheus.worker.child FD`).

The main thread runs handlers. A second thread reads what the worker says, a third writes what is to be said to it, so a
stop that arrives as an exception in the main thread can never cut a message in half. When the worker is gone (its end of
the socket closes; on Linux a signal comes even sooner) the whole process group ends itself.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import msgspec
import urllib3

from orpheus import telemetry
from orpheus.authoring.context import WaitForCallback
from orpheus.authoring.errors import Cancelled
from orpheus.protocol.worker import Assignment
from orpheus.worker.attempt_files import AttemptFiles
from orpheus.worker.capture import AttemptLog, AttemptLogHandler, Redactor, current_log
from orpheus.worker.context import WorkerContext
from orpheus.worker.definitions import Definitions, LoadFailed, load_definitions
from orpheus.worker.failures import classify
from orpheus.worker.frames import (
    Beat,
    Done,
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
    read_from_parent,
)
from orpheus.worker.objects import Cache, Objects, RemoteObjects, SharedObjects
from orpheus.worker.resources import Resources
from orpheus.worker.stop_flag import StopFlag

PR_SET_PDEATHSIG = 1


class Channel:
    """Both directions of the socket, each with its thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._out: queue.SimpleQueue[FromChild | None] = queue.SimpleQueue()
        self.orders: queue.SimpleQueue[ToChild] = queue.SimpleQueue()
        self.on_stop: Any = None
        self._writer = threading.Thread(target=self._write, daemon=True)

    def start(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()
        self._writer.start()

    def send(self, message: FromChild) -> None:
        self._out.put(message)  # reentrant, so that a signal handler's exception can do no harm here

    def flush(self) -> None:
        """Write out everything, and no more after it."""
        self._out.put(None)
        self._writer.join(5)

    def _read(self) -> None:
        while True:
            message = read_from_parent(self._connection)
            if message is None:
                os.killpg(os.getpgid(0), signal.SIGKILL)
            elif isinstance(message, Stop):
                if self.on_stop is not None:
                    self.on_stop()
            else:
                self.orders.put(message)

    def _write(self) -> None:
        while (message := self._out.get()) is not None:
            try:
                self._connection.sendall(encode_frame(message))
            except OSError:
                return


class ChildVoice:
    """How the attempt is heard: as messages to the worker."""

    def __init__(self, channel: Channel) -> None:
        self.stopping = StopFlag()
        self._channel = channel

    def progress(self, fraction: float | None, stage: str | None) -> None:
        self._channel.send(Progressed(fraction, stage))

    def heartbeat(self, details: Any) -> None:
        self._channel.send(Beat(details))

    def spend(self, amount: float) -> None:
        self._channel.send(Spent(amount))

    def group_started(self, pgid: int) -> None:
        self._channel.send(GroupStarted(pgid))

    def group_ended(self, pgid: int) -> None:
        self._channel.send(GroupEnded(pgid))


class Runner:
    """Make attempts in the main thread, and stop the one at work when told."""

    def __init__(self, setup: Setup, channel: Channel, definitions: Definitions) -> None:
        self._setup = setup
        self._tracing = telemetry.start("orpheus-worker")
        self._definitions = definitions
        self._channel = channel
        # One loop for all attempts: what an async factory made belongs to it.
        self._loop = asyncio.Runner()
        self._resources = Resources(self._loop.run)
        self._cache = Cache(Path(setup.cache_dir), setup.cache_bytes)
        self._pool = urllib3.PoolManager(retries=False, maxsize=4)
        self._voice: ChildVoice | None = None
        self._in_handler = False
        self._task: asyncio.Task[Any] | None = None
        self._task_loop: asyncio.AbstractEventLoop | None = None

    def serve(self) -> None:
        """Make attempts until told to exit."""
        self._channel.on_stop = self.flag
        signal.signal(signal.SIGTERM, self._on_sigterm)
        while isinstance(order := self._channel.orders.get(), Start):
            self._channel.send(self._make(order))
        self._resources.close()
        self._loop.close()
        if self._tracing is not None:
            self._tracing.stop()

    def flag(self) -> None:
        """Note the stop (from the reading thread); the worker's SIGTERM brings it to the main thread."""
        if self._voice is not None:
            self._voice.stopping.set()

    def _on_sigterm(self, _number: int, _frame: object) -> None:
        if self._voice is None:
            return
        self._voice.stopping.set()
        if self._task is not None and self._task_loop is not None:
            self._task_loop.call_soon_threadsafe(self._task.cancel)
        elif self._in_handler:
            self._in_handler = False  # once: cleaning up is not to be interrupted again
            raise Cancelled("the attempt was told to stop")

    def _make(self, start: Start) -> Done:
        voice = self._voice = ChildVoice(self._channel)
        redact = Redactor()
        redact.add(start.hidden)
        log = AttemptLog(on_line=lambda: None, redact=redact, bytes_max=1 << 30)
        handler = _ForwardLog(self._channel, log)
        logging.getLogger().addHandler(handler)
        try:
            return self._attempt(start, voice)
        except Cancelled as stopped:
            if voice.stopping.is_set():
                return Done(stopped=True)
            return Done(error=classify(stopped, redact=redact))
        except BaseException as raised:
            return Done(error=classify(raised, redact=redact))
        finally:
            self._in_handler = False
            self._voice = None
            if self._tracing is not None:
                self._tracing.flush()  # the process may be ended at any time from here on
            logging.getLogger().removeHandler(handler)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            _flush_c_streams()

    def _attempt(self, start: Start, voice: ChildVoice) -> Done:
        assignment = msgspec.json.decode(start.assignment, type=Assignment)
        handler = self._definitions.handler(assignment.handler, assignment.version)
        files = AttemptFiles(self._objects(assignment), assignment.run_id, Path(start.folder))
        context = WorkerContext(assignment, voice, files, devices=tuple(start.devices), in_loop=handler.is_async)
        if self._tracing is not None:
            self._tracing.join(assignment.traceparent)
        self._in_handler = not handler.is_async
        arguments = handler.arguments(assignment.args)
        loaded = self._resources.load_all(handler.resources)
        value = handler.call(context, arguments, loaded)
        if handler.is_async:
            value = self._loop.run(self._in_loop(value))
        self._in_handler = False
        encoded = handler.encode(value)
        if isinstance(encoded, WaitForCallback):
            return Done(waiting_s=encoded.timeout_s, artifacts=files.artifacts)
        return Done(result=encoded, artifacts=files.artifacts)

    async def _in_loop(self, call: Awaitable[Any]) -> Any:
        self._task_loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        try:
            if self._voice is not None and self._voice.stopping.is_set():
                raise Cancelled("the attempt was told to stop")
            return await call
        except asyncio.CancelledError as stopped:
            raise Cancelled(str(stopped)) from stopped
        finally:
            self._task = self._task_loop = None

    def _objects(self, assignment: Assignment) -> Objects:
        if self._setup.objects_root is not None:
            return SharedObjects(Path(self._setup.objects_root), assignment.run_id)
        return RemoteObjects(
            self._setup.server,
            self._setup.api_key,
            run_id=assignment.run_id,
            run_token=assignment.run_token,
            cache=self._cache,
            pool=self._pool,
        )


class _ForwardLog(AttemptLogHandler):
    """Send records of any thread to the worker: here all of them are the one attempt's."""

    def __init__(self, channel: Channel, log: AttemptLog) -> None:
        super().__init__()
        self._channel = channel
        self._attempt_log = log

    def emit(self, record: logging.LogRecord) -> None:
        token = current_log.set(self._attempt_log)
        try:
            super().emit(record)
        finally:
            current_log.reset(token)
        for line in self._attempt_log.take():
            self._channel.send(Logged(line))


def _die_with(parent_pid: int) -> None:
    """Have the kernel end this process when the worker's main thread ends; elsewhere the socket's end does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)  # it ended before we asked


def _limit_memory(size_bytes: int | None) -> None:
    if size_bytes is not None:
        import resource  # noqa: PLC0415 (not on every platform)

        resource.setrlimit(resource.RLIMIT_AS, (size_bytes, size_bytes))


def _flush_c_streams() -> None:
    """Let native code's buffered output out before the attempt is reported done."""
    ctypes.CDLL(None).fflush(None)


def main() -> None:
    """Serve the worker at the other end of the inherited socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker decides what Ctrl-C means
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    setup = read_from_parent(connection)
    if not isinstance(setup, Setup):
        return
    _die_with(setup.parent_pid)
    _limit_memory(setup.memory_bytes)
    sys.argv = ["orpheus-child"]
    sys.path[:] = setup.sys_path
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    logging.getLogger().setLevel(logging.INFO)
    channel = Channel(connection)
    try:
        definitions = load_definitions(setup.imports)
    except LoadFailed as failed:
        connection.sendall(encode_frame(Ready(error=str(failed))))
        return
    connection.sendall(encode_frame(Ready()))
    channel.start()
    Runner(setup, channel, definitions).serve()
    channel.flush()


if __name__ == "__main__":
    main()
