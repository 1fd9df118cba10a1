"""When does a schedule fire, and what becomes of it? (R27)

A schedule names instants, its *slots*, by a cron expression or an interval. Time only moves it forward: `seen_until` is the
newest slot that was decided on, and only slots after it count, so a clock that is set back fires nothing twice. A clock
that is set forward, a server that was away and one that was busy are the same thing: several slots are due at once, and
the missed-run rule says which of them still run. The overlap rule then says what a run does while an earlier job of the
same schedule is open.

Pure: which slots there are comes in as a function, since time zones are files.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

NextSlot = Callable[[float], float | None]
"""Returns the first slot strictly after an instant (seconds since the epoch, UTC), or None when there is none any more."""

MOST_CAUGHT_UP = 1000
"""Upper bound of `max_missed`."""
MOST_QUEUED = 100
"""Open jobs of a schedule that wait for one another; a run beyond them is skipped rather than piled up for ever."""
COUNTED = 100
"""Missed slots are counted up to here."""
FIRST_LOOK_S = 60.0


class Missed(StrEnum):
    """What happens to runs whose time passed while nothing could start them."""

    SKIP = "skip"
    """Nothing: the schedule goes on with the next slot."""
    RUN_ONCE = "run_once"
    """The newest of them runs, once, for all."""
    RUN_ALL = "run_all"
    """Each of them runs, oldest first, but at most the newest `max_missed`."""


class Overlap(StrEnum):
    """What a run does while an earlier job of its schedule is open. Under each but `allow` at most one of them runs."""

    SKIP = "skip"
    """It makes no job."""
    QUEUE = "queue"
    """Its job waits until the earlier ones have ended, however they end."""
    CANCEL_OLDER = "cancel_older"
    """The earlier ones are cancelled; its job begins when they have stopped."""
    ALLOW = "allow"
    """Its job begins at once, beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule's row. Instants are seconds since the epoch, UTC."""

    schedule_id: str
    """Made with it: a schedule that is deleted and made again under its name is another one."""
    tenant: str
    name: str
    job: Mapping[str, Any]
    """The fields of the submission it makes."""
    cron: str | None = None
    every_s: float | None = None
    """One of the two is given."""
    timezone: str = "UTC"
    missed: Missed = Missed.RUN_ONCE
    max_missed: int = 10
    grace_s: float = 5.0
    """A run that starts no later than this is on time, not missed."""
    overlap: Overlap = Overlap.SKIP
    jitter_s: float = 0.0
    """Each run begins up to so much later than its slot, by a draw that is always the same for the same slot."""
    start_at: float | None = None
    end_at: float | None = None
    """Slots lie between these, both included."""
    anchor_at: float
    """Where intervals are counted from: `start_at`, else when the interval was set."""
    paused: bool = False
    description: str = ""
    seen_until: float
    """Slots up to here are decided on, or were before the schedule's time."""
    next_run_at: float | None = None
    """The slot it waits for; None while it is paused or when there is none any more."""
    created_at: float
    created_by: str = ""
    updated_at: float
    updated_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One time a schedule came due: the job it made, or why it made none."""

    scheduled_for: float
    at: float
    trigger: str
    """`time`, or `manual` when somebody asked for it."""
    outcome: str
    """`submitted`, `skipped` or `failed`."""
    job_id: str | None = None
    reason: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """What a schedule does now."""

    run: tuple[float, ...] = ()
    """Slots to run, oldest first."""
    missed: int = 0
    """Slots that are passed over."""
    missed_from: float | None = None
    missed_to: float | None = None
    missed_at_least: bool = False
    """There were more of them than are counted."""
    seen_until: float = 0.0
    next_run_at: float | None = None


def bounded(schedule: Schedule, next_slot: NextSlot) -> NextSlot:
    """Return the slots within `start_at` and `end_at`."""

    def within(at: float) -> float | None:
        if schedule.start_at is not None:
            at = max(at, schedule.start_at - 0.001)
        slot = next_slot(at)
        return None if slot is None or (schedule.end_at is not None and slot > schedule.end_at) else slot

    return within


def next_run(schedule: Schedule, now: float, next_slot: NextSlot) -> float | None:
    """Return the slot a schedule waits for from now on: None while it is paused."""
    return None if schedule.paused else bounded(schedule, next_slot)(max(now, schedule.seen_until))


def upcoming(schedule: Schedule, next_slot: NextSlot, count: int) -> list[float]:
    """Return the next `count` slots, fewer when the schedule ends; none while it is paused."""
    found: list[float] = []
    at = schedule.next_run_at
    slots = bounded(schedule, next_slot)
    while at is not None and len(found) < count:
        found.append(at)
        at = slots(at)
    return found


def due(schedule: Schedule, now: float, next_slot: NextSlot) -> Due:
    """Decide what a schedule whose time may have come does (R27)."""
    if schedule.next_run_at is None or now < schedule.next_run_at:
        return Due(seen_until=schedule.seen_until, next_run_at=schedule.next_run_at)
    slots = bounded(schedule, next_slot)
    passed, more = _newest(slots, schedule.seen_until, now, max(COUNTED, schedule.max_missed + 1))
    if not passed:  # the clock was set back, or the time zone's rules have changed
        return Due(seen_until=schedule.seen_until, next_run_at=slots(max(now, schedule.seen_until)))
    on_time = now - passed[-1] <= schedule.grace_s
    if schedule.missed is Missed.RUN_ALL:
        count = schedule.max_missed + on_time
    elif schedule.missed is Missed.RUN_ONCE:
        count = 1
    else:
        count = 1 if on_time else 0
    run = tuple(passed[-count:]) if count else ()
    over = passed[: len(passed) - len(run)]
    return Due(
        run=run,
        missed=len(over),
        missed_from=over[0] if over else None,
        missed_to=over[-1] if over else None,
        missed_at_least=more,
        seen_until=passed[-1],
        next_run_at=slots(max(now, passed[-1])),
    )


def _newest(slots: NextSlot, after: float, until: float, most: int) -> tuple[list[float], bool]:
    """Return the newest slots in (after, until], oldest first, and whether there were more.

    Looks back over growing spans: how many slots a year of downtime holds is not known beforehand.
    """
    span = FIRST_LOOK_S
    while True:
        start = max(after, until - span)
        found: deque[float] = deque(maxlen=most + 1)
        slot = slots(start)
        while slot is not None and slot <= until:
            found.append(slot)
            slot = slots(slot)
        if len(found) > most:
            return list(found)[1:], True
        if start <= after:
            return list(found), False
        span *= 4


@dataclass(frozen=True, slots=True)
class Start:
    """How a run begins beside the open jobs of its schedule."""

    runs: bool = True
    wait_for: tuple[str, ...] = ()
    """Jobs that have to end first."""
    cancel: tuple[str, ...] = ()
    reason: str = ""
    """Why it does not run."""


def overlapping(overlap: Overlap, open_jobs: Sequence[str]) -> Start:
    """Decide what a run does while these jobs of its schedule are open."""
    if not open_jobs or overlap is Overlap.ALLOW:
        return Start()
    if overlap is Overlap.SKIP:
        return Start(runs=False, reason=f"overlap: job {open_jobs[-1]} of this schedule has not ended")
    if overlap is Overlap.QUEUE and len(open_jobs) >= MOST_QUEUED:
        return Start(runs=False, reason=f"overlap: {len(open_jobs)} jobs of this schedule are open already")
    if overlap is Overlap.QUEUE:
        return Start(wait_for=tuple(open_jobs))
    return Start(wait_for=tuple(open_jobs), cancel=tuple(open_jobs))


def begins_at(schedule: Schedule, slot: float) -> float | None:
    """Return when the job of a slot may begin, None for at once. A restart draws the same again."""
    if schedule.jitter_s <= 0:
        return None
    digest = hashlib.sha256(f"{schedule.schedule_id}:{slot:.3f}".encode()).digest()
    return slot + schedule.jitter_s * (int.from_bytes(digest[:8], "big") / 2**64)


def every(anchor_at: float, every_s: float, *, from_anchor: bool) -> NextSlot:
    """Return the slots of an interval: `anchor_at` plus whole numbers of `every_s`, the anchor itself only if
    `from_anchor`."""
    first = 0 if from_anchor else 1

    def next_slot(at: float) -> float:
        number = max(first, int((at - anchor_at) // every_s))
        while anchor_at + number * every_s <= at:
            number += 1
        return anchor_at + number * every_s

    return next_slot
