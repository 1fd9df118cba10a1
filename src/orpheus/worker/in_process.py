"""How do handlers run in the worker's own process? Async ones in its loop, plain ones in threads.

Whatever a handler raises stays its own affair, `SystemExit` and `KeyboardInterrupt` too: they fail the attempt and leave
the worker alone.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import logging
import queue
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from orpheus.authoring.context import WaitForCallback
from orpheus.authoring.errors import Cancelled
from orpheus.worker.capture import current_log
from orpheus.worker.failures import classify
from orpheus.worker.offspring import Offspring
from orpheus.worker.runs import Run
from orpheus.worker.work import Abandoned, Failed, Outcome, Stopped, returned, settle

logger = logging.getLogger("orpheus.worker")


class LoopWork:
    """An `async def` handler as a task of the worker's loop.

    Args:
        call: makes the handler's coroutine, which returns the encoded result.
    """

    def __init__(
        self, run: Run, call: Callable[[], Coroutine[Any, Any, bytes | WaitForCallback]], redact: Callable[[str], str]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.outcome: asyncio.Future[Outcome] = loop.create_future()
        self.vacated: asyncio.Future[None] = loop.create_future()
        self._run = run
        self._call = call
        self._redact = redact
        self._task: asyncio.Task[None] | None = None

    @property
    def task(self) -> asyncio.Task[None] | None:
        return self._task

    def start(self) -> None:
        self._task = asyncio.create_task(self._perform(), name=f"run-{self._run.run_id}")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def press(self) -> None:
        self.stop()  # a handler that swallowed the first CancelledError gets another

    def kill(self) -> None:
        self.stop()
        settle(self.outcome, Abandoned())

    async def _perform(self) -> None:
        current_log.set(self._run.log)
        try:
            outcome = returned(await self._call())
        except (asyncio.CancelledError, Cancelled) as stopped:
            # A CancelledError of the handler's own making (a library's, a task it cancelled) is a failure like any other.
            outcome = Stopped() if self._run.stopping.is_set() else Failed(classify(stopped, redact=self._redact))
        except BaseException as raised:
            outcome = Failed(classify(raised, redact=self._redact))
        settle(self.outcome, outcome)
        if not self.vacated.done():
            self.vacated.set_result(None)


class ThreadWork:
    """A plain function in a thread of the pool.

    Args:
        load: makes the attempt's resources ready; what it starts outlives the attempt.
        call: calls the handler with them and returns the encoded result.
        spared: see `Offspring`.
    """

    def __init__(
        self,
        run: Run,
        load: Callable[[], dict[str, Any]],
        call: Callable[[dict[str, Any]], bytes | WaitForCallback],
        redact: Callable[[str], str],
        *,
        threads: Threads,
        spared: Callable[[], int | None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.outcome: asyncio.Future[Outcome] = self._loop.create_future()
        self.vacated: asyncio.Future[None] = self._loop.create_future()
        self._run = run
        self._load = load
        self._call = call
        self._redact = redact
        self._threads = threads
        self._spared = spared
        self._ident: int | None = None
        self._offspring: Offspring | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        context = contextvars.copy_context()
        self._threads.submit(lambda: context.run(self._perform))

    def stop(self) -> None:
        """Nothing beyond `run.stopping`: the handler meets it at its next call of the context."""

    def press(self) -> None:
        """Raise `Cancelled` in the thread, and end the programs it may be blocked in: the exception arrives between two
        of its bytecodes, not inside a call into C."""
        self._insist(signal.SIGTERM)

    def kill(self) -> None:
        self._insist(signal.SIGKILL)
        settle(self.outcome, Abandoned())

    def _insist(self, number: signal.Signals) -> None:
        with self._lock:  # as long as it is held the handler does not end, and the thread takes no other
            if self._ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._ident), ctypes.py_object(Cancelled))
                if self._offspring is not None:
                    self._offspring.signal(number)

    def _perform(self) -> None:
        current_log.set(self._run.log)
        with self._lock:
            self._ident = threading.get_ident()
        try:
            outcome = self._outcome()
        except Cancelled:  # pressed in the very moment in which the handler ended
            outcome = Stopped()
        self._tell(outcome)

    def _outcome(self) -> Outcome:
        try:
            try:
                loaded = self._load()
                self._offspring = Offspring(self._spared)
                return returned(self._call(loaded))
            finally:
                with self._lock:
                    self._offspring = None
                    assert self._ident is not None
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._ident), None)
                    self._ident = None
        except Cancelled as cancelled:
            return Stopped() if self._run.stopping.is_set() else Failed(classify(cancelled, redact=self._redact))
        except BaseException as raised:
            return Failed(classify(raised, redact=self._redact))

    def _tell(self, outcome: Outcome) -> None:
        def on_loop() -> None:
            settle(self.outcome, outcome)
            if not self.vacated.done():
                self.vacated.set_result(None)

        try:
            self._loop.call_soon_threadsafe(on_loop)
        except RuntimeError:
            logger.debug("run %s ended after the worker", self._run.run_id)


class Threads:
    """Daemon threads that are started as needed and kept. `concurrent.futures` would wait for abandoned ones at exit."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._count = 0

    def submit(self, call: Callable[[], None]) -> None:
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            else:
                self._count += 1
                threading.Thread(target=self._serve, name=f"orpheus-handler-{self._count}", daemon=True).start()
        self._work.put(call)

    def close(self) -> None:
        """Let idle threads end."""
        for _ in range(self._count):
            self._work.put(None)

    def _serve(self) -> None:
        while (call := self._work.get()) is not None:
            call()
            with self._lock:
                self._idle += 1
