"""What does this worker hold? Every attempt from its arrival until the server has acknowledged its end.

A run is `waiting` for a slot, `working`, or `told` (its end is reported and waits for the acknowledgement). It stays in
`held` through all three, because a run that is missing from a poll goes back to its queue (R8).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from orpheus.protocol.worker import Assignment, LogLine, ReportItem
from orpheus.worker.attempt_files import AttemptFiles
from orpheus.worker.capture import AttemptLog, Redactor
from orpheus.worker.pace import LONG_S, Pace
from orpheus.worker.stop_flag import StopFlag
from orpheus.worker.work import Work

PROGRESS_EVERY_S = 0.2


class StopReason(StrEnum):
    """Why an attempt has to stop before its handler has ended."""

    CANCEL = "cancel"
    """The server said so (R18)."""
    TIMEOUT = "timeout"
    """`start_to_close_s` is over."""
    LOST = "lost"
    """No contact with the server: its lease may have been given to another (R7)."""
    DRAIN = "drain"
    """This worker ends, and its drain time is over."""
    UNKNOWN = "unknown"
    """The run is no longer current: whatever comes of it would be `stale_run`."""


class Run(msgspec.Struct, eq=False, weakref=True):
    """One attempt. Handlers speak through it (progress, heartbeat, log) from any thread; all else stays on the loop."""

    assignment: Assignment
    run_id: str
    redactor: Redactor
    """Hides the worker's secrets; an own one, which hides the sensitive arguments of this attempt too, where there are any."""
    log: AttemptLog
    _on_news: Callable[[Run], None]
    """Called when the run has something to say."""
    files: AttemptFiles | None = None
    """Once it needs any."""
    devices: tuple[int, ...] = ()
    spent: float | None = None
    """What the handler says it has cost; None where it says nothing."""
    arrived_at: float = msgspec.field(default_factory=time.monotonic)
    finished: bool = False
    """Its end stands in the outbox or was dropped; later words are not passed on."""
    stop_reason: StopReason | None = None
    stop_grace_s: float = 0.0
    on_stop: Callable[[Run, StopReason, float], None] | None = None
    limit_at: float | None = None
    """When its time is over (monotonic), once it has begun."""
    task: asyncio.Task[Any] | None = None
    """Its life in the loop; an async handler runs in it."""
    work: Work | None = None
    """Its handler, while that is at work."""
    stopping: StopFlag = msgspec.field(default_factory=StopFlag)
    rungs: list[asyncio.TimerHandle] = []
    """What is still to be done to stop the handler."""
    last_told_at: float = 0.0
    _progress: tuple[float | None, str | None] | None = None
    _heartbeat: Any = None
    _has_heartbeat: bool = False

    @classmethod
    def arrived(
        cls, assignment: Assignment, *, redactor: Redactor, log_bytes_max: int, on_news: Callable[[Run], None]
    ) -> Run:
        """Make a run of what the server has granted.

        Args:
            redactor: hides the worker's secrets.
        """
        log = AttemptLog(redact=redactor, bytes_max=log_bytes_max)
        run = cls(assignment, assignment.run_id, redactor, log, on_news)
        log.on_line = run._news
        return run

    def __repr__(self) -> str:
        return f"<Run {self.run_id}>"  # neither token nor arguments

    def hide(self, values: list[str]) -> None:
        """Replace these values too, in this attempt's words only."""
        self.redactor = self.log.redact = Redactor(self.redactor)
        self.redactor.add(values)

    def is_stopped(self) -> bool:
        """Tell whether it was asked to stop."""
        return self.stop_reason is not None

    def progress(self, fraction: float | None, stage: str | None) -> None:
        """Remember the latest progress; the next report (at most every 0.2 s) carries it."""
        if stage is not None:
            stage = self.redactor(stage)
        with self.log.lock:
            if stage is None and self._progress is not None:
                stage = self._progress[1]
            self._progress = (fraction, stage)
        self._news()

    def heartbeat(self, details: Any) -> None:
        """Remember the latest details; they reach the next attempt as `last_heartbeat` (R17)."""
        with self.log.lock:
            self._heartbeat, self._has_heartbeat = details, True
        self._news()

    def spend(self, amount: float) -> None:
        """Add to what the attempt has cost; its end is reported with it."""
        with self.log.lock:
            self.spent = (self.spent or 0.0) + amount

    def stop(self, reason: StopReason, grace_s: float) -> None:
        """Ask the attempt to stop. The first reason stands, but for `unknown`, which overrides: nothing is reported then."""
        if self.finished:
            return
        if self.stop_reason is None or reason is StopReason.UNKNOWN:
            first = self.stop_reason is None
            self.stop_reason = reason
            self.stop_grace_s = grace_s
            self.stopping.set()
            if first and self.on_stop is not None:
                self.on_stop(self, reason, grace_s)

    @property
    def has_words(self) -> bool:
        """Whether there is anything to say beside the end."""
        return self._progress is not None or self._has_heartbeat or not self.log.is_empty

    def words(self, *, last: bool = False, with_progress: bool = True) -> list[ReportItem]:
        """Take what there is to say beside the end: at most one item each of log, heartbeat and progress."""
        if not self.has_words:
            return []
        with self.log.lock:
            progress, self._progress = self._progress, None
            details, has_details = self._heartbeat, self._has_heartbeat
            self._heartbeat, self._has_heartbeat = None, False
        lines: list[LogLine] = self.log.close() if last else self.log.take()
        items = []
        if lines:
            items.append(ReportItem(run_id=self.run_id, kind="log", lines=lines))
        if has_details:
            items.append(ReportItem(run_id=self.run_id, kind="heartbeat", heartbeat=details))
        if progress is not None and with_progress:
            items.append(ReportItem(run_id=self.run_id, kind="progress", fraction=progress[0], stage=progress[1]))
        return items

    def _news(self) -> None:
        if not self.finished:
            self._on_news(self)


class Runs:
    """Every run that is held, and how many more would be welcome.

    Args:
        prefetch: runs to hold beyond the slots; None is for `pace.py` to say.
    """

    def __init__(self, *, slots: int, prefetch: int | None) -> None:
        self._slots = slots
        self._prefetch = prefetch
        self._pace = Pace()
        self._working: dict[str, float] = {}
        """Since when each run has had its slot; the longest first."""
        self._by_id: dict[str, Run] = {}
        self._occupied = 0
        self.draining = False
        self.on_room: Callable[[], None] = lambda: None
        self.on_given_back: Callable[[], None] = lambda: None
        """Runs have left `held` unbegun, or resources have come free: the server is to hear of it."""

    def __iter__(self) -> Any:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def held(self) -> list[str]:
        """Their ids. The heartbeat thread may ask too: a dict is copied to a list in one step."""
        return list(self._by_id)

    def get(self, run_id: str) -> Run | None:
        return self._by_id.get(run_id)

    @property
    def room(self) -> int:
        """How many attempts could be taken now."""
        return 0 if self.draining else max(0, self._slots + self.ahead - self._occupied)

    @property
    def are_half_worked_off(self) -> bool:
        """Whether half of what is held beyond the slots could be taken anew."""
        if self._occupied <= self._slots and not self.draining:
            return True  # all of it could
        return self.room * 2 >= self.ahead

    @property
    def ahead(self) -> int:
        """How many runs to hold beyond the slots."""
        if self._prefetch is not None:
            return self._prefetch
        if not self._working:
            return self._pace.ahead(self._slots)
        long_before = time.monotonic() - LONG_S
        long_runs = 0
        for since in self._working.values():
            if since > long_before:
                break
            long_runs += 1
        return self._pace.ahead(self._slots - long_runs)

    def is_quick(self, run: Run) -> bool:
        """Tell whether its end is a matter of a moment, by what tasks of its name took lately."""
        return self._pace.is_quick(run.assignment.handler)

    @property
    def gives_back(self) -> bool:
        """Whether what was asked for ahead and waits too long goes back; not where it was asked for by number."""
        return self._prefetch is None

    @property
    def occupied(self) -> int:
        """Runs that hold a slot or wait for one; an abandoned handler that goes on holds its slot."""
        return self._occupied

    def add(self, run: Run) -> None:
        self._by_id[run.run_id] = run
        self._occupied += 1
        self._pace.arrived(run.assignment.handler)

    def begins(self, run: Run, at: float) -> None:
        """The run has had its slot since then (monotonic)."""
        self._working[run.run_id] = at

    def vacate(self, run: Run, *, completed: bool) -> None:
        """The run occupies nothing any more: its handler has really ended, or never began. Only what completed tells how
        long such tasks take."""
        since = self._working.pop(run.run_id, None)
        if since is not None and completed:
            self._pace.took(run.assignment.handler, time.monotonic() - since)
        self._leaves()
        self.on_room()

    def passed(self, run: Run, took_s: float) -> None:
        """The run has completed without having waited: as `begins` and `vacate` together, but `on_room` has to follow."""
        self._pace.took(run.assignment.handler, took_s)
        self._leaves()

    def _leaves(self) -> None:
        self._occupied -= 1
        assert self._occupied >= 0, "a slot was given back twice"

    def forget(self, run_id: str) -> None:
        """The server has acknowledged the run's end, or does not know the run."""
        self._by_id.pop(run_id, None)
