"""What did the worker say? Each item of a report has its own outcome, so that a bad one spoils no other (R8).

A run is known by its `run_id` in the table of current runs; one that is not there is `stale_run` and changes nothing (R6).
A run that was not rescued yet is in the table however late its report comes, and its report is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from orpheus.core.errors import InvalidRequest, OrpheusError, StaleRun, TaskError
from orpheus.core.facts import ArtifactRef, RunCompleted, RunFact, RunFailed, RunWaiting
from orpheus.core.suggest import quoted
from orpheus.core.validate_options import MAX_SECONDS
from orpheus.core.values import operator_of
from orpheus.engine.base import RunReport
from orpheus.engine.usual_runs import Completed, complete
from orpheus.engine.work import MemoryOnly, Operation, Reply, Telling, Work

if TYPE_CHECKING:
    from orpheus.core.job import Job
    from orpheus.core.task import Task
    from orpheus.engine.durations import Durations
    from orpheus.engine.leases import Run
    from orpheus.engine.logs import LogBooks
    from orpheus.engine.options import EngineOptions
    from orpheus.engine.progress import ProgressBook

MOST_ARTIFACTS = 10_000
MOST_NAME_BYTES = 512
MOST_SIZE = 1 << 53
MOST_METADATA_BYTES = 65_536
MOST_MESSAGE = 8_192
MOST_DETAILS_BYTES = 65_536
_HEX = frozenset("0123456789abcdef")
ENDS = ("completed", "failed", "cancelled", "waiting")
MOST_ENDS = 32
"""Ends of runs that one operation takes in, some 1 ms, 3 where none is usual, so that a batch can end about when it should."""
_KINDS = (*ENDS, "progress", "heartbeat", "log")


def stale(run_id: str) -> StaleRun:
    return StaleRun(
        f"run {quoted(run_id)} is not current",
        hint="It was rescued, cancelled or has been reported already: abandon it.",
    )


def check_kind(report: RunReport) -> None:
    if report.kind not in _KINDS:
        raise InvalidRequest(f"{quoted(report.kind)} is not a kind of report", hint="One of " + ", ".join(_KINDS) + ".")


def check_end(report: RunReport) -> None:
    """Refuse the end of a run that cannot be."""
    if report.kind == "waiting" and not (report.timeout_s is not None and 0 < report.timeout_s <= MAX_SECONDS):
        raise InvalidRequest(
            f"timeout_s of a wait is a number above 0 and up to {MAX_SECONDS:g}: every wait has an end"
        )
    if report.artifacts:
        check_artifacts(report)


def check_artifact_name(name: str) -> None:
    """Refuse a name that could lead out of the run's folder or has no place in a URL.

    Raises:
        InvalidRequest: says which and why.
    """
    parts = name.split("/")
    fault = None
    if not name or any(part in ("", ".", "..") for part in parts):
        fault = "it has to be a relative path without empty parts, . and .."
    elif "\\" in name:
        fault = "it holds a backslash"
    elif not name.isprintable():
        fault = "it holds characters that cannot be printed"
    elif len(name.encode(errors="replace")) > MOST_NAME_BYTES:
        fault = f"it has more than {MOST_NAME_BYTES} bytes"
    elif name == "manifest.json" or parts[0].startswith("."):
        fault = "that name is ours"
    if fault is not None:
        raise InvalidRequest(f"artifact name {quoted(name)}: {fault}", hint="Use letters, digits, . _ - and /.")


def check_artifacts(report: RunReport) -> None:
    """Refuse artifacts whose names, keys, sizes or hashes cannot be."""
    if len(report.artifacts) > MOST_ARTIFACTS:
        raise InvalidRequest(f"{len(report.artifacts)} artifacts; a run may have {MOST_ARTIFACTS}")
    names = set()
    for ref in report.artifacts:
        check_artifact_name(ref.name)
        if ref.name in names:
            raise InvalidRequest(f"artifact {quoted(ref.name)} is named twice in one report")
        names.add(ref.name)
        _check_artifact(report.run_id, ref)


def _check_artifact(run_id: str, ref: ArtifactRef) -> None:
    if ref.key != f".runs/{run_id}/{ref.name}":
        raise InvalidRequest(
            f"artifact {quoted(ref.name)} lies at {quoted(ref.key)}",
            hint="A run writes only under .runs/{run_id}/ (R10).",
        )
    if not 0 <= ref.size_bytes <= MOST_SIZE:
        raise InvalidRequest(f"artifact {quoted(ref.name)} has {ref.size_bytes} bytes")
    if len(ref.content_type) > 255 or len(msgspec.json.encode(ref.metadata)) > MOST_METADATA_BYTES:
        raise InvalidRequest(
            f"artifact {quoted(ref.name)}: its content type or metadata is too long",
            hint=f"At most 255 characters and {MOST_METADATA_BYTES} bytes of JSON.",
        )
    if len(ref.sha256) != 64 or not _HEX.issuperset(ref.sha256):
        raise InvalidRequest(f"artifact {quoted(ref.name)}: {quoted(ref.sha256)} is not a sha256 in lower-case hex")


def kept_result(report: RunReport, options: EngineOptions) -> str | TaskError:
    """Return a result as the JSON that is kept, or the error of one that cannot be: too large, or spilled to where it may not be."""
    result = report.result
    text = msgspec.json.encode(result)
    if isinstance(result, dict) and operator_of(result) == "$spill":
        spill = result["$spill"]
        own = f".runs/{report.run_id}/"
        key = spill.get("key") if isinstance(spill, Mapping) else None
        if not isinstance(key, str) or not key.startswith(own) or ".." in key.split("/"):
            return TaskError(
                code="task_failed",
                message=f"the result was spilled to {quoted(key)}",
                hint=f"A run writes only under {own}",
            )
        size = spill.get("size_bytes")
        if not isinstance(size, int) or size > options.result_max_bytes:
            return _too_large(size, options.result_max_bytes, "Save it as a file and return the File.")
    elif len(text) > options.inline_max_bytes:
        return _too_large(
            len(text), options.inline_max_bytes, "Workers write large results to .runs/{run_id}/result.json."
        )
    return text.decode()


def _too_large(size: object, limit: int, hint: str) -> TaskError:
    return TaskError(
        code="result_too_large", message=f"the result has {size} bytes; at most {limit} can be kept", hint=hint
    )


class Outcomes:
    """What became of a report's items. When the last is known, `reply` gets all of them in order."""

    def __init__(self, count: int, reply: Reply) -> None:
        self._all: list[OrpheusError | None] = [None] * count
        self._left = count
        self._reply = reply
        if not count:
            reply(self._all)

    def put(self, place: int, outcome: OrpheusError | None) -> None:
        self._all[place] = outcome
        self._known(1)

    def put_all(self, places: Iterable[int], outcomes: Sequence[OrpheusError | None]) -> None:
        if outcomes.count(None) != len(outcomes):  # else all are accepted, which is what they stand for till then
            for place, outcome in zip(places, outcomes, strict=True):
                self._all[place] = outcome
        self._known(len(outcomes))

    def _known(self, count: int) -> None:
        self._left -= count
        if not self._left:
            self._reply(self._all)


class EndRuns(Operation):
    """Runs are over by their worker's word: completed, failed, cancelled, or waiting for a callback.

    What one report says is one operation, so that being queued, begun, counted and answered costs once and not for each run. Every
    item is refused by itself; a fault of ours in one parts them, and spoils only that one.
    """

    name = "report"

    def __init__(
        self,
        items: Sequence[tuple[int, RunReport]],
        outcomes: Outcomes,
        *,
        find: Callable[[str], Run | None],
        progress: ProgressBook,
        options: EngineOptions,
        durations: Durations,
    ) -> None:
        self._items = items
        """Each with its place in the report."""
        self._outcomes = outcomes
        self._find = find
        self._progress = progress
        self._options = options
        self._durations = durations

    def apart(self) -> Sequence[tuple[Operation, Reply]]:
        if len(self._items) == 1:
            return ()
        parts = [
            EndRuns(
                [item],
                self._outcomes,
                find=self._find,
                progress=self._progress,
                options=self._options,
                durations=self._durations,
            )
            for item in self._items
        ]
        return [(part, part.answer) for part in parts]

    def tally(self, outcome: Any) -> tuple[int, int]:
        refused = len(self._items) if isinstance(outcome, Exception) else len(outcome) - outcome.count(None)
        return len(self._items), refused

    def answer(self, outcome: Any) -> None:
        """Say what became of its items: what `run` returned, or the error that all of them met."""
        outcomes = [outcome] * len(self._items) if isinstance(outcome, OrpheusError) else outcome
        self._outcomes.put_all((place for place, _report in self._items), outcomes)

    def run(self, work: Work) -> list[OrpheusError | None]:
        outcomes: list[OrpheusError | None] = []
        ended: list[tuple[Run, RunFact, int]] = []
        effects, find, tell, options = work.effects, self._find, work.tell, self._options
        # Before the changes of the memory that the ends bring: a run that is forgotten has to be known as reported.
        effects.append(MemoryOnly(self._accepted, ended, work.now))
        completed: Completed | None = None
        for _place, report in self._items:
            mark = len(effects)
            try:
                run = find(report.run_id)
                if run is None:
                    raise stale(report.run_id)
                task = run.task
                if report.kind == "completed":
                    text = kept_result(report, options)
                    if type(text) is str and not report.artifacts and report.price is None:
                        if completed is None or effects[-1] is not completed:
                            completed = Completed()
                        if complete(work, run, report.result, text, completed):
                            outcomes.append(None)
                            continue
                    fact = _completion(report, task, text)
                else:
                    fact = _other_end(report, task)
                if type(fact) is RunFailed:
                    tell_progress(work, run, self._progress)
                extra = tell(task.job_id, fact).job.extra
            except OrpheusError as error:
                del effects[mark:]
                outcomes.append(error)
            else:
                outcomes.append(None)
                ended.append((run, fact, extra.get("input_bytes", 0) if extra else 0))
        return outcomes

    def _accepted(self, ended: Sequence[tuple[Run, RunFact, int]], now: float) -> None:
        """The workers were believed. Each run comes with what ended it and the size of its job's input."""
        took: dict[tuple[str, int], list[float]] = {}
        for run, fact, input_bytes in ended:
            run.reported = True
            if type(fact) is RunCompleted:
                began = run.task.started_at
                if began is not None:
                    place = (run.task.handler, input_bytes)
                    if place in took:
                        took[place].append(now - began)
                    else:
                        took[place] = [now - began]
            elif type(fact) is not RunWaiting:
                continue
            if fact.price is not None:
                self._durations.note_price(run.task.handler, input_bytes, fact.price)
        for (handler, input_bytes), lengths in took.items():
            self._durations.note(handler, input_bytes, lengths)


def _completion(report: RunReport, task: Task, text: str | TaskError) -> RunFact:
    """Return what a run has come to by its result, of which `kept_result` says this."""
    if isinstance(text, TaskError):
        error = replace(text, task=task.node)
        return RunFailed(node=task.node, index=task.index, run_id=report.run_id, actor="worker", error=error)
    return RunCompleted(
        node=task.node,
        index=task.index,
        run_id=report.run_id,
        actor="worker",
        result=report.result,
        result_text=text,
        artifacts=report.artifacts,
        price=report.price,
    )


def _other_end(report: RunReport, task: Task) -> RunFact:
    """Return what a run's end means that has no result."""
    where = {"node": task.node, "index": task.index, "run_id": report.run_id, "actor": "worker"}
    if report.kind == "waiting":
        assert report.timeout_s is not None, "checked when it came"
        return RunWaiting(timeout_s=report.timeout_s, artifacts=report.artifacts, price=report.price, **where)  # type: ignore[arg-type]
    error = report.error
    if error is None:
        word = "the worker stopped it" if report.kind == "cancelled" else "the worker gave no reason"
        code = "cancelled" if report.kind == "cancelled" else "task_failed"
        error = TaskError(code=code, message=word, retryable=True)
    if report.final:
        error = replace(error, retryable=False)
    return RunFailed(
        error=_bounded(replace(error, task=task.node)),
        retry_after_s=report.retry_after_s,
        price=report.price,
        cancelled=report.kind == "cancelled",
        **where,  # type: ignore[arg-type]
    )


def _bounded(error: TaskError) -> TaskError:
    """Keep an error to what people read: it stands in rows and events."""
    details = error.details
    if details and len(msgspec.json.encode(details)) > MOST_DETAILS_BYTES:
        traceback = str(details.get("traceback", ""))
        details = {"traceback": traceback[-MOST_MESSAGE:], "cut": True}
    return replace(
        error,
        code=error.code[:64] or "task_failed",
        message=error.message[:MOST_MESSAGE],
        hint=error.hint[:MOST_MESSAGE],
        type=None if error.type is None else error.type[:256],
        details=details,
    )


class WriteProgress(Operation):
    """Bring what a run has said lately to its row, and then to who watches."""

    name = "progress"

    def __init__(
        self,
        run_id: str,
        *,
        find: Callable[[str], Run | None],
        progress: ProgressBook,
        say: Callable[[Run, str, Mapping[str, Any]], None],
    ) -> None:
        self._run_id = run_id
        self._find = find
        self._progress = progress
        self._say = say

    def run(self, work: Work) -> None:
        run = self._find(self._run_id)
        if run is None:
            return
        said = self._progress.look(self._run_id)
        job = tell_progress(work, run, self._progress)
        if job is None or said is None or (said.fraction is None and said.stage is None):
            return
        data = {
            "fraction": said.fraction,
            "stage": said.stage,
            "progress_percentage": job.progress_percentage,
        }
        work.after_commit(Telling(self._say, run, "progress", data))


def tell_progress(work: Work, run: Run, progress: ProgressBook) -> Job | None:
    """Write down what the row does not know yet, and return the job then. A run that is stale by now says nothing."""
    said = progress.look(run.run_id)
    if said is None:
        return None
    task = run.task
    try:
        fact = said.fact(node=task.node, index=task.index, run_id=run.run_id, actor="worker")
        job = work.tell(task.job_id, fact).job
    except StaleRun:
        return None
    work.after_commit(MemoryOnly(progress.written, run.run_id, said, work.mono))
    return job


class WriteLogs(Operation):
    """Keep log lines of a run, within its bounds."""

    name = "log"

    def __init__(self, report: RunReport, *, find: Callable[[str], Run | None], books: LogBooks) -> None:
        self._report = report
        self._find = find
        self._books = books

    def run(self, work: Work) -> list[dict[str, Any]]:
        run = self._find(self._report.run_id)
        if run is None:
            raise stale(self._report.run_id)
        kept, book = self._books.admit(run, self._report.lines, now=work.now)
        if kept:
            work.tx.add_logs(run.task, kept)
            work.after_commit(MemoryOnly(self._books.keep, run.run_id, book))
        return kept
