"""The life of one attempt: arrive, wait for a slot, prepare, perform, be judged, be reported, be cleaned up.

Each stage is a small method; what may go wrong in one becomes the attempt's outcome and never the worker's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeGuard

import msgspec

from orpheus.protocol.worker import Assignment, ReportedArtifact, ReportedError, ReportItem
from orpheus.telemetry import Tracing
from orpheus.worker.attempt_files import AttemptFiles
from orpheus.worker.capture import Redactor
from orpheus.worker.child_pool import ChildPool, ChildWork
from orpheus.worker.context import WorkerContext
from orpheus.worker.definitions import Definitions, Handler
from orpheus.worker.devices import DEVICE_RESOURCE, Devices
from orpheus.worker.failures import classify
from orpheus.worker.frames import Start
from orpheus.worker.in_process import LoopWork, ThreadWork
from orpheus.worker.markers import Resolver, Secrets, has_markers
from orpheus.worker.objects import Objects
from orpheus.worker.outbox import Outbox
from orpheus.worker.reaper import Reaper
from orpheus.worker.resources import Resources
from orpheus.worker.runs import Run, Runs, StopReason
from orpheus.worker.slots import Slots
from orpheus.worker.spans import begin_span, end_span
from orpheus.worker.spilling import spill_marker
from orpheus.worker.threads import Homecoming, Threads
from orpheus.worker.time_limits import TimeLimits
from orpheus.worker.turns import Turns
from orpheus.worker.work import Abandoned, Completed, Failed, HandedOver, Outcome, Stopped, Work

logger = logging.getLogger("orpheus.worker")

STOP_GRACE_S = 5.0
"""Between asking and ending where the server did not name a grace (time limits, lost contact)."""


class RunVoice:
    """How a handler in this process is heard (see context.Voice)."""

    __slots__ = ("group_ended", "group_started", "heartbeat", "progress", "spend", "stopping")

    def __init__(self, run: Run, reaper: Reaper) -> None:
        self.stopping = run.stopping
        self.progress = run.progress
        self.heartbeat = run.heartbeat
        self.spend = run.spend
        self.group_started = reaper.add
        self.group_ended = reaper.remove


class Attempts:
    """Make the attempts that arrive.

    Args:
        objects_for: how the object store is reached for an attempt.
        inline_bytes: results larger than this are spilled.
    """

    def __init__(
        self,
        *,
        definitions: Definitions,
        runs: Runs,
        outbox: Outbox,
        devices: Devices,
        slots: int,
        pool: ChildPool,
        reaper: Reaper,
        resources: Resources,
        secrets: Secrets,
        redactor: Redactor,
        work_dir: Path,
        log_bytes_max: int,
        objects_for: Callable[[Assignment], Objects],
        downloads: bool,
        inline_bytes: Callable[[], int],
        tracing: Tracing | None = None,
    ) -> None:
        self._tracing = tracing
        self._definitions = definitions
        self._runs = runs
        self._outbox = outbox
        self._devices = devices
        self._ended = asyncio.Event()
        self._turns = Turns(self._pass, self._live, made=self._passed, idle=self._ended.set)
        self._slots = Slots(slots, begin=self._turns.add, leave=self._leave, overdue=self._give_back)
        self._limits = TimeLimits(runs, over=lambda run: run.stop(StopReason.TIMEOUT, STOP_GRACE_S))
        self._pool = pool
        self._reaper = reaper
        self._resources = resources
        self._secrets = secrets
        self._redactor = redactor
        self._work_dir = work_dir
        self._log_bytes_max = log_bytes_max
        self._objects_for = objects_for
        self._downloads = downloads
        self._inline_bytes = inline_bytes
        self._threads = Threads()
        self._home = Homecoming()
        self._device_freed = asyncio.Condition()

    def begin(self, assignment: Assignment) -> None:
        """Take a run. From here on it is held until its end is acknowledged."""
        run = Run.arrived(
            assignment,
            redactor=self._redactor,
            log_bytes_max=self._log_bytes_max,
            on_news=self._outbox.touch,
        )
        self._runs.add(run)
        self._slots.take(run)

    def _pass(self, run: Run, began_at: float) -> Coroutine[Any, Any, None] | None:
        """Make the attempt if it can be made without waiting for anything, as most short ones can. Otherwise return what is to be
        awaited: the rest of it.

        What is done here is what `_live` comes to when a handler in the loop returns something small at its first step.
        """
        try:
            work = self._made_at_once(run)
        except Exception:
            return self._live(run, began_at)  # and there it will be reported
        if work is None or not self._is_inline(outcome := work.begin(), run):
            return self._live(run, began_at, work)
        self._outbox.add_end(run, self._completed(run, msgspec.Raw(outcome.result), []))
        self._slots.give()
        self._runs.passed(run, time.monotonic() - began_at)
        run.log.tell_nobody()
        return None

    def _passed(self) -> None:
        """Attempts were made by `_pass`: tell those whom `_live` tells of each."""
        self._outbox.ends_came()
        self._runs.on_room()
        self._ended.set()

    def _leave(self, run: Run) -> None:
        """The run was stopped before it had a slot."""
        self._outbox.end(run, self._ending(run, Stopped()))
        self._runs.vacate(run, completed=False)
        run.log.tell_nobody()
        self._ended.set()

    def _give_back(self, runs: list[Run]) -> None:
        """Let others have what was asked for ahead and still waits: the runs are missing from the next poll (R8)."""
        if not self._runs.gives_back or self._runs.draining:
            return
        for run in runs:
            self._runs.forget(run.run_id)
            run.stop(StopReason.UNKNOWN, 0.0)
        self._runs.on_given_back()

    async def ended(self) -> None:
        """Wait until no attempt is under way."""
        while self._turns or self._runs.occupied:
            self._ended.clear()
            await self._ended.wait()

    def close(self) -> None:
        self._threads.close()
        self._limits.close()

    def run_of(self, task: asyncio.Task[Any] | None) -> Run | None:
        """Return the run whose handler is this task of the loop."""
        return None if task is None else next((run for run in self._runs if run.task is task), None)

    async def _live(self, run: Run, began_at: float, work: LoopWork | None = None) -> None:
        """Make the attempt, of which `work` may have begun."""
        completed = False
        try:
            self._runs.begins(run, began_at)
            try:
                span = None if self._tracing is None else begin_span(self._tracing, run)
                item = await self._make(run, work)
                if item is not None and run.spent is not None:
                    item.price = run.spent
                if span is not None:
                    end_span(span, item)
                completed = item is not None and item.kind in ("completed", "waiting")
                if not run.finished:
                    # A run that the drain gives back says its last words too, and is left out of the last poll (worker.py).
                    self._outbox.end(run, item, given_back=run.stop_reason is StopReason.DRAIN)
            finally:
                self._slots.give()
        except Exception:
            logger.exception("run %s: the worker itself failed", run.run_id, extra=_about(run))
            if not run.finished:
                self._outbox.end(run, _failed(run, ReportedError(message="the worker failed inside; see its log")))
        finally:
            self._runs.vacate(run, completed=completed)
            run.log.tell_nobody()
            if run.files is not None and run.files.are_used:
                await asyncio.to_thread(run.files.clean, keep_files=completed)

    async def _make(self, run: Run, work: Work | None) -> ReportItem | None:
        """Make the attempt; return what to report (None: nothing)."""
        if work is None:
            if self._runs.draining:
                run.stop(StopReason.DRAIN, 0.0)  # it waited for its slot until the drain began: another may have it
            if run.is_stopped():
                return self._ending(run, Stopped())
        wanted = run.assignment.resources
        if wanted:
            try:
                run.devices = await self._lease(run)
            except ValueError as never:
                return _failed(run, ReportedError(code="task_failed", message=str(never), final=False))
        self._limits.watch(run)
        try:
            work = work or await self._prepare(run)
            outcome: Outcome
            if run.is_stopped():
                outcome = Stopped()
            else:
                run.work, run.on_stop = work, self._climb
                try:
                    outcome = await work.start()
                finally:
                    run.work = run.on_stop = None
                    for rung in run.rungs:
                        rung.cancel()
            if run.finished:
                return None
            if self._is_inline(outcome, run):
                if type(work) is LoopWork and work.outcome is not None:
                    self._turns.share()  # it ended at its first step
                return self._completed(run, msgspec.Raw(outcome.result), [])
            return await self._judge(run, outcome)
        except Exception as raised:
            return self._ending(run, Failed(classify(raised, redact=run.redactor)))
        finally:
            if wanted:
                self._devices.give_back(wanted, run.devices)
                self._runs.on_given_back()
                async with self._device_freed:
                    self._device_freed.notify_all()

    async def _lease(self, run: Run) -> tuple[int, ...]:
        leased = self._devices.lease(run.assignment.resources)
        while leased is None:  # prefetched before the one ahead of it has given them back
            async with self._device_freed:
                await self._device_freed.wait()
            leased = self._devices.lease(run.assignment.resources)
        return leased

    # Prepare ---------------------------------------------------------------------------------------------------------

    def _made_at_once(self, run: Run) -> LoopWork | None:
        """Make the work of a handler in the loop for which nothing has to be waited for. None: see `_live`."""
        assignment = run.assignment
        if run.stop_reason is not None or self._runs.draining or assignment.resources or self._tracing is not None:
            return None
        handler = self._definitions.handler(assignment.handler, assignment.version)
        if not handler.is_ready or self._downloads or has_markers(assignment.args):
            return None
        return self._loop_work(run, handler, assignment.args, {})

    async def _prepare(self, run: Run) -> Work:
        """Resolve what the arguments stand for, and make the work. Nothing of the handler's has run yet."""
        assignment = run.assignment
        handler = self._definitions.handler(assignment.handler, assignment.version)
        args = assignment.args
        if has_markers(args):
            args = await asyncio.to_thread(self._resolve, assignment)
        if handler.hides:
            run.hide(handler.hidden(args))
        if handler.executor == "process" or (assignment.resources and assignment.resources.get(DEVICE_RESOURCE, 0)):
            self._files(run).are_used = True  # by the child
            whole = msgspec.structs.replace(assignment, args=args)
            start = Start(
                assignment=msgspec.json.encode(whole),
                folder=str(self._work_dir / run.run_id),
                devices=list(run.devices),
                hidden=run.redactor.values,
            )
            return ChildWork(run, self._pool, start)
        if handler.is_async:
            if self._downloads:
                await asyncio.to_thread(_fetch_files, args, self._files(run))  # so that ctx.path never blocks the loop
            loaded = self._resources.ready(handler.resources) if handler.resources else {}
            if loaded is None:
                loaded = await asyncio.to_thread(self._resources.load_all, handler.resources)
            return self._loop_work(run, handler, args, loaded)
        context = self._context(run, handler)
        return ThreadWork(
            run,
            lambda: self._resources.load_all(handler.resources),
            lambda loaded: handler.encode(handler.call(context, handler.arguments(args), loaded)),
            threads=self._threads,
            home=self._home,
            spared=lambda: self._reaper.pid,
        )

    def _loop_work(self, run: Run, handler: Handler, args: dict[str, Any], loaded: dict[str, Any]) -> LoopWork:
        return LoopWork(run, handler, self._context(run, handler), handler.arguments(args), loaded)

    def _context(self, run: Run, handler: Handler) -> WorkerContext | None:
        if not handler.takes_context:
            return None
        voice, files = RunVoice(run, self._reaper), self._files(run)
        return WorkerContext(run.assignment, voice, files, devices=run.devices, in_loop=handler.is_async)

    def _files(self, run: Run) -> AttemptFiles:
        """Return the files of an attempt; most short ones have none."""
        if run.files is None:
            run.files = AttemptFiles(self._objects_for(run.assignment), run.run_id, self._work_dir / run.run_id)
        return run.files

    def _resolve(self, assignment: Assignment) -> dict[str, Any]:
        objects = self._objects_for(assignment)
        return dict(Resolver(read=objects.read, secret=self._secret).resolve(assignment.args))

    def _secret(self, name: str) -> str:
        value = self._secrets.get(name)
        self._redactor.add([value])
        return value

    # Stop ------------------------------------------------------------------------------------------------------------

    def _climb(self, run: Run, _reason: StopReason, grace_s: float) -> None:
        """Stop the handler: ask, insist, end it."""
        work, loop = run.work, asyncio.get_running_loop()
        assert work is not None, "it is at work"
        work.stop()
        run.rungs.append(loop.call_later(grace_s / 2, work.press))
        # A moment before the server's fence, so that the end is told while the run is still ours (R18).
        run.rungs.append(loop.call_later(grace_s * 0.9, self._kill, run, work))

    def _kill(self, run: Run, work: Work) -> None:
        """The last rung. A handler that may outlive it is reported without waiting for it, and keeps its slot and what it
        leased until it has ended."""
        work.kill()
        if work.dies:
            return
        handler = run.assignment.handler
        logger.warning("run %s (%s) does not stop; its slot stays taken", run.run_id, handler, extra=_about(run))
        self._outbox.end(run, self._ending(run, Abandoned()))

    # Judge -----------------------------------------------------------------------------------------------------------

    def _is_inline(self, outcome: Outcome | None, run: Run) -> TypeGuard[Completed]:
        """Tell whether all there is to report is a small result: no files, nothing to be stored."""
        return (
            type(outcome) is Completed
            and run.files is None
            and outcome.artifacts is None
            and len(outcome.result) <= self._inline_bytes()
        )

    async def _judge(self, run: Run, outcome: Outcome) -> ReportItem | None:
        """Turn the outcome into a report; files first, since what is reported must be there (R10)."""
        if isinstance(outcome, Completed) and run.stop_reason is not StopReason.UNKNOWN:
            if outcome.artifacts is not None:
                self._files(run).adopt(outcome.artifacts)
            artifacts = [] if run.files is None else run.files.artifacts
            result: Any = msgspec.Raw(outcome.result)
            spills = len(outcome.result) > self._inline_bytes()
            if artifacts or spills:
                result = await asyncio.to_thread(self._store, run, outcome.result, spills=spills)
            return self._completed(run, result, artifacts)
        if isinstance(outcome, HandedOver) and run.stop_reason is not StopReason.UNKNOWN:
            return await self._handed_over(run, outcome)
        return self._ending(run, outcome)

    async def _handed_over(self, run: Run, outcome: HandedOver) -> ReportItem | None:
        files = self._files(run)
        if outcome.artifacts is not None:
            files.adopt(outcome.artifacts)
        if files.artifacts:
            await asyncio.to_thread(files.deliver)
        if run.stop_reason is StopReason.UNKNOWN:
            return None
        return ReportItem(
            run_id=run.run_id, kind="waiting", timeout_s=outcome.timeout_s, artifacts=list(files.artifacts)
        )

    def _store(self, run: Run, result: bytes, *, spills: bool) -> Any:
        files = self._files(run)
        files.deliver()
        if not spills:
            return msgspec.Raw(result)
        key, sha256 = files.spill(result)
        return spill_marker(key=key, sha256=sha256, result=result, needed_paths=run.assignment.needed_paths)

    def _completed(self, run: Run, result: Any, artifacts: list[ReportedArtifact]) -> ReportItem | None:
        if run.stop_reason is StopReason.UNKNOWN:
            return None
        return ReportItem(run_id=run.run_id, kind="completed", result=result, artifacts=artifacts)

    def _ending(self, run: Run, outcome: Outcome) -> ReportItem | None:
        """Return the report of an attempt that did not complete. Why it was stopped says more than how it ended."""
        reason = run.stop_reason
        if reason is StopReason.UNKNOWN:
            return None
        if reason is StopReason.CANCEL:
            return ReportItem(run_id=run.run_id, kind="cancelled")
        if reason is StopReason.TIMEOUT:
            limit_s = run.assignment.start_to_close_s or 0.0
            message = f"{run.assignment.handler} did not end within its start_to_close_s of {limit_s:g} s"
            hint = "Raise start_to_close_s, or give the task less to do at once."
            return _failed(run, ReportedError(code="timeout_start_to_close", message=message, hint=hint))
        if reason is StopReason.LOST:
            message = "the worker was without contact with the server for nearly its lease, and stopped its own work"
            return _failed(run, ReportedError(code="worker_lost", message=message))
        if reason is StopReason.DRAIN:
            if isinstance(outcome, Abandoned):
                message = "the worker was stopped, and the handler did not stop with it"
                return _failed(run, ReportedError(code="worker_lost", message=message))
            return None
        if isinstance(outcome, Failed):
            return _failed(run, outcome.error)
        return _failed(run, ReportedError(message="the handler stopped by itself"))


def _fetch_files(value: Any, files: AttemptFiles) -> None:
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get("$file"), dict):
            files.path(value["$file"])
            return
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            _fetch_files(inner, files)


def _about(run: Run) -> dict[str, Any]:
    """Tell a log record which attempt it is about."""
    asked = run.assignment
    return {
        "job_id": asked.job_id,
        "run_id": asked.run_id,
        "task": asked.task,
        "attempt": asked.attempt,
        "correlation_id": asked.correlation_id,
    }


def _failed(run: Run, error: ReportedError) -> ReportItem:
    return ReportItem(run_id=run.run_id, kind="failed", error=error)
