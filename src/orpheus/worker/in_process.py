"""How do handlers run in the worker's own process? Async ones in its loop, plain ones in threads.

Whatever a handler raises stays its own affair, `SystemExit` and `KeyboardInterrupt` too: they fail the attempt and leave
the worker alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import signal
import threading
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import msgspec

from orpheus.authoring.context import WaitForCallback
from orpheus.authoring.errors import Cancelled
from orpheus.worker.capture import current_log
from orpheus.worker.context import WorkerContext
from orpheus.worker.definitions import Arguments, Handler
from orpheus.worker.failures import classify
from orpheus.worker.offspring import Offspring
from orpheus.worker.runs import Run
from orpheus.worker.threads import Homecoming, Threads
from orpheus.worker.work import Failed, Outcome, Stopped, returned


class LoopWork(msgspec.Struct, eq=False):
    """An `async def` handler in the task that awaits it: a task of its own for each would be half of a short attempt.

    `begin` may be called before there is anybody to await: it takes the handler's first step, which is the only one of most that are
    short. The steps are taken in a context of their own, so what the handler sets there is seen by nobody else.
    """

    run: Run
    handler: Handler
    context: WorkerContext | None
    arguments: Arguments
    loaded: dict[str, Any]
    outcome: Outcome | None = None
    """Once the handler has ended."""
    dies: bool = False
    _variables: contextvars.Context | None = None
    _steps: Coroutine[Any, Any, Any] | None = None
    _waits_for: Any = None
    """What the handler has given to the loop at its latest step, and the loop is to be given by us."""

    __repr__ = object.__repr__

    def stop(self) -> None:
        if self.run.task is not None:
            self.run.task.cancel()

    def press(self) -> None:
        self.stop()  # a handler that swallowed the first CancelledError gets another

    def kill(self) -> None:
        self.stop()

    def begin(self) -> Outcome | None:
        """Take the first step. None: the handler waits for something, and `start` is to be awaited."""
        self._variables = contextvars.copy_context()
        self.outcome = self._variables.run(self._begin)
        return self.outcome

    async def start(self) -> Outcome:
        run = self.run
        try:
            return (self.begin() if self._variables is None else self.outcome) or await self._go_on()
        finally:
            if run.task is not None and run.task.cancelling():
                await _forget_cancels(run.task)

    def _begin(self) -> Outcome | None:
        current_log.set(self.run.log)
        try:
            self._steps = self.handler.call(self.context, self.arguments, self.loaded)
        except BaseException as raised:
            return self._failed(raised)
        return self._step(self._steps.send, None)

    @types.coroutine
    def _go_on(self) -> Generator[Any, Any, Outcome]:
        """Pass on between the handler and the loop, as an `await` would."""
        assert self._variables is not None, "it has begun"
        assert self._steps is not None, "it has begun"
        outcome: Outcome | None = None
        while outcome is None:
            sent, thrown = None, None
            try:
                sent = yield self._waits_for
            except GeneratorExit:
                self._variables.run(self._steps.close)
                raise
            except BaseException as raised:
                thrown = raised
            step, given = (self._steps.send, sent) if thrown is None else (self._steps.throw, thrown)
            outcome = self._variables.run(self._step, step, given)
        return outcome

    def _step(self, step: Callable[[Any], Any], given: Any) -> Outcome | None:
        try:
            try:
                self._waits_for = step(given)
            except StopIteration as ended:
                value = ended.value
            else:
                return None
            return returned(self.handler.encode(value))
        except BaseException as raised:
            return self._failed(raised)

    def _failed(self, raised: BaseException) -> Outcome:
        if isinstance(raised, asyncio.CancelledError | Cancelled) and self.run.stopping.is_set():
            return Stopped()
        # A CancelledError of the handler's own making (a library's, a task it cancelled) is a failure like any other.
        return Failed(classify(raised, redact=self.run.redactor))


async def _forget_cancels(task: asyncio.Task[Any]) -> None:
    """Meant for the handler, which has ended, and not for what the task does after it."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)  # one that was asked for and not yet raised is raised here
    while task.uncancel():
        pass


class ThreadWork:
    """A plain function in a thread of the pool.

    Args:
        load: makes the attempt's resources ready; what it starts outlives the attempt.
        call: calls the handler with them and returns the encoded result.
        spared: see `Offspring`.
    """

    dies = False

    def __init__(
        self,
        run: Run,
        load: Callable[[], dict[str, Any]],
        call: Callable[[dict[str, Any]], bytes | WaitForCallback],
        *,
        threads: Threads,
        home: Homecoming,
        spared: Callable[[], int | None],
    ) -> None:
        self._run = run
        self._load = load
        self._call = call
        self._threads = threads
        self._home = home
        self._spared = spared
        self._outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._ident: int | None = None
        self._pressed = False
        self._offspring: Offspring | None = None
        self._lock = threading.Lock()

    def start(self) -> Awaitable[Outcome]:
        context = contextvars.copy_context()
        self._threads.submit(lambda: context.run(self._perform))
        return self._outcome

    def stop(self) -> None:
        """Nothing beyond `run.stopping`: the handler meets it at its next call of the context."""

    def press(self) -> None:
        """Raise `Cancelled` in the thread, and end the programs it may be blocked in: the exception arrives between two
        of its bytecodes, not inside a call into C."""
        self._insist(signal.SIGTERM)

    def kill(self) -> None:
        self._insist(signal.SIGKILL)

    def _insist(self, number: signal.Signals) -> None:
        with self._lock:  # as long as it is held the handler does not end, and the thread takes no other
            if self._ident is not None:
                self._pressed = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._ident), ctypes.py_object(Cancelled))
                if self._offspring is not None:
                    self._offspring.signal(number)

    def _perform(self) -> None:
        current_log.set(self._run.log)
        with self._lock:
            self._ident = threading.get_ident()
        try:
            outcome = self._make()
        except Cancelled:  # pressed in the very moment in which the handler ended
            outcome = Stopped()
        self._home.bring(lambda: self._tell(outcome))

    def _make(self) -> Outcome:
        try:
            try:
                loaded = self._load()
                self._offspring = Offspring(self._spared)
                return returned(self._call(loaded))
            finally:
                with self._lock:
                    self._offspring = None
                    if self._pressed:
                        assert self._ident is not None
                        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._ident), None)
                    self._ident = None
        except Cancelled as cancelled:
            return Stopped() if self._run.stopping.is_set() else Failed(classify(cancelled, redact=self._run.redactor))
        except BaseException as raised:
            return Failed(classify(raised, redact=self._run.redactor))

    def _tell(self, outcome: Outcome) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)
