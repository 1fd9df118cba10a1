"""One attempt, made in the test's own thread with the worker's own parts: its context, its decoding and encoding, its
judgement of exceptions, its way of writing files."""

from __future__ import annotations

import asyncio
import inspect
import logging
from bdb import BdbQuit
from collections.abc import Callable, Coroutine, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orpheus.artifacts.keys import run_key
from orpheus.authoring.context import WaitForCallback
from orpheus.authoring.registry import Registry
from orpheus.authoring.resources import ResourceSpec
from orpheus.core.errors import TaskError
from orpheus.core.facts import ArtifactRef
from orpheus.engine.base import RunReport
from orpheus.protocol.worker import Assignment, ReportedError
from orpheus.testing.kit.fakes import Call, Fake, Fakes
from orpheus.worker.attempt_files import AttemptFiles
from orpheus.worker.capture import AttemptLog, AttemptLogHandler, Redactor, current_log
from orpheus.worker.context import WorkerContext
from orpheus.worker.definitions import Handler
from orpheus.worker.failures import AttemptError, classify
from orpheus.worker.markers import Resolver, Secrets, has_markers
from orpheus.worker.objects import SharedObjects
from orpheus.worker.resources import Resources
from orpheus.worker.spilling import spill_marker
from orpheus.worker.stop_flag import StopFlag

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG_BYTES = 1 << 20
INLINE_BYTES = 65_536
"""Larger results are spilled, as a worker does."""


class KitResources(Resources):
    """What is loaded once, with what a test put in place of some of it."""

    def __init__(self, run_coroutine: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        super().__init__(run_coroutine)
        self.given: dict[Callable[[], Any], Any] = {}

    def load_all(self, wanted: Mapping[str, ResourceSpec]) -> dict[str, Any]:
        own = {name: self.given[spec.factory] for name, spec in wanted.items() if spec.factory in self.given}
        return {**own, **super().load_all({name: spec for name, spec in wanted.items() if name not in own})}


@dataclass(slots=True)
class KitVoice:
    """What the handler says, kept for the reports."""

    stopping: StopFlag = field(default_factory=StopFlag)
    told: tuple[float | None, str | None] | None = None
    beats: list[Any] = field(default_factory=list)
    spent: float | None = None

    def progress(self, fraction: float | None, stage: str | None) -> None:
        self.told = (fraction, stage if stage is not None or self.told is None else self.told[1])

    def heartbeat(self, details: Any) -> None:
        self.beats.append(details)

    def spend(self, amount: float) -> None:
        self.spent = (self.spent or 0.0) + amount

    def group_started(self, pgid: int) -> None:
        """Nothing: the test's process outlives its attempts."""

    def group_ended(self, pgid: int) -> None:
        """Nothing, likewise."""


@dataclass(slots=True)
class _Stage:
    """What an attempt is made with."""

    assignment: Assignment
    voice: KitVoice
    files: AttemptFiles
    devices: tuple[int, ...]
    redact: Redactor

    def context(self, *, in_loop: bool) -> WorkerContext:
        return WorkerContext(self.assignment, self.voice, self.files, devices=self.devices, in_loop=in_loop)


@dataclass(slots=True)
class Made:
    """What came of an attempt."""

    words: list[RunReport]
    """Heartbeats, progress and log lines, said before the end."""
    end: RunReport
    fake: Fake | None
    error: BaseException | None = None


class AttemptMaker:
    """Makes attempts.

    Args:
        registry: where tasks are found.
        fakes: what stands in for them.
        objects: folder of the object store.
        work: folder for attempts' own folders.
        run: runs a coroutine to its end in the kit's loop.
    """

    def __init__(
        self,
        registry: Registry,
        fakes: Fakes,
        *,
        objects: Path,
        work: Path,
        run: Callable[[Coroutine[Any, Any, Any]], Any],
    ) -> None:
        self._registry = registry
        self._fakes = fakes
        self._objects = objects
        self._work = work
        self._run = run
        self.resources = KitResources(run)
        self._redactor = Redactor()
        self._secrets = Secrets(None)

    def make(self, assignment: Assignment, devices: tuple[int, ...]) -> Made:
        """Make the attempt. What a handler raises is its failure; a debugger's `quit`, Ctrl-C and a test that skips or
        fails outright go through."""
        folder = self._work / assignment.run_id
        files = AttemptFiles(SharedObjects(self._objects, assignment.run_id), assignment.run_id, folder)
        stage = _Stage(assignment, KitVoice(), files, devices, Redactor(self._redactor))
        log = AttemptLog(on_line=lambda: None, redact=stage.redact, bytes_max=LOG_BYTES)
        fake = self._fakes.find(assignment.task, assignment.handler)
        error: BaseException | None = None
        try:
            with _logged(log):
                end = self._completed(stage, fake)
        except (Exception, SystemExit, asyncio.CancelledError) as raised:
            if isinstance(raised, BdbQuit):
                raise
            error = raised
            end = _failed(assignment.run_id, classify(raised, redact=stage.redact))
        end = msgspec.structs.replace(end, price=stage.voice.spent)
        files.clean(keep_files=error is None)
        return Made(_words(assignment.run_id, stage.voice, log), end, fake, error)

    def _completed(self, stage: _Stage, fake: Fake | None) -> RunReport:
        assignment = stage.assignment
        task = self._registry.task(assignment.handler, assignment.version)
        if task is None:
            raise AttemptError(f"the kit does not know task {assignment.handler}@{assignment.version}")
        handler = Handler(task)
        args: Mapping[str, Any] = assignment.args
        if has_markers(args):
            objects = SharedObjects(self._objects, assignment.run_id)
            args = Resolver(read=objects.read, secret=self._secret).resolve(args)
        stage.redact.add(handler.hidden(args))
        positional, named = handler.arguments(args)
        if fake is not None:
            by_name = {**dict(zip((one.name for one in task.signature.arguments), positional, strict=False)), **named}
            fake.calls.append(Call(assignment.task, assignment.index, assignment.attempt, by_name))
        if fake is not None and fake.replaces:
            value = fake.answer(stage.context(in_loop=False), by_name)
        else:
            loaded = self.resources.load_all(handler.resources)
            value = handler.call(stage.context(in_loop=handler.is_async), (positional, named), loaded)
        if inspect.isawaitable(value):
            value = self._run(_awaited(value))
        return self._encoded(assignment, stage.files, handler, value)

    def _encoded(self, assignment: Assignment, files: AttemptFiles, handler: Handler, value: Any) -> RunReport:
        encoded = handler.encode(value)
        files.deliver()
        if isinstance(encoded, WaitForCallback):
            run_id, artifacts = assignment.run_id, _artifacts(assignment, files)
            return RunReport(run_id=run_id, kind="waiting", timeout_s=encoded.timeout_s, artifacts=artifacts)
        result = msgspec.json.decode(encoded)
        if len(encoded) > INLINE_BYTES:
            key, sha256 = files.spill(encoded)
            result = spill_marker(key=key, sha256=sha256, result=encoded, needed_paths=assignment.needed_paths)
        artifacts = _artifacts(assignment, files)
        return RunReport(run_id=assignment.run_id, kind="completed", result=result, artifacts=artifacts)

    def _secret(self, name: str) -> str:
        value = self._secrets.get(name)
        self._redactor.add([value])
        return value


def _artifacts(assignment: Assignment, files: AttemptFiles) -> tuple[ArtifactRef, ...]:
    return tuple(
        ArtifactRef(
            name=one.name,
            key=run_key(assignment.run_id, one.name),
            sha256=one.sha256,
            size_bytes=one.size_bytes,
            content_type=one.content_type,
            metadata=one.metadata,
        )
        for one in files.artifacts
    )


async def _awaited(value: Any) -> Any:
    return await value


@contextmanager
def _logged(log: AttemptLog) -> Iterator[None]:
    """Bring log records to the attempt; what is printed stays where it is, so that debuggers and capturing work."""
    root = logging.getLogger()
    handler = AttemptLogHandler()
    token = current_log.set(log)
    level = root.level
    root.addHandler(handler)
    if level == logging.NOTSET or level > logging.INFO:
        root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        current_log.reset(token)


def _failed(run_id: str, told: ReportedError) -> RunReport:
    error = TaskError(
        code=told.code or "task_failed",
        message=told.message,
        hint=told.hint,
        retryable=not told.final,
        type=told.type or None,
        details={"traceback": told.traceback} if told.traceback else {},
    )
    return RunReport(run_id=run_id, kind="failed", error=error, final=told.final, retry_after_s=told.retry_after_s)


def _words(run_id: str, voice: KitVoice, log: AttemptLog) -> list[RunReport]:
    words = []
    lines = log.close()
    if lines:
        told = tuple(msgspec.structs.asdict(line) for line in lines)
        words.append(RunReport(run_id=run_id, kind="log", lines=told))
    if voice.beats:
        words.append(RunReport(run_id=run_id, kind="heartbeat", heartbeat=voice.beats[-1]))
    if voice.told is not None:
        words.append(RunReport(run_id=run_id, kind="progress", fraction=voice.told[0], stage=voice.told[1]))
    return words
