"""Schedules as users see them (R27)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from orpheus.protocol.jobs import YEARS_S, Instant, SubmitJob

SCHEDULE = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
ScheduleName = Annotated[
    str, msgspec.Meta(pattern=SCHEDULE, description="Letters, digits and . _ - (not first); at most 128.")
]
Cron = Annotated[
    str,
    msgspec.Meta(max_length=200, description="Five fields (minute hour day month weekday), or `@daily` and the like."),
]
Interval = Annotated[float, msgspec.Meta(ge=1, le=YEARS_S)]
Length = Annotated[float, msgspec.Meta(ge=0, le=YEARS_S)]
TimeZone = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="IANA name.")]
Missed = Literal["skip", "run_once", "run_all"]
Overlap = Literal["skip", "queue", "cancel_older", "allow"]
MostMissed = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Description = Annotated[str, msgspec.Meta(max_length=2000)]


class CreateSchedule(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `POST /schedules`: when, and the job to submit then."""

    name: ScheduleName
    job: SubmitJob
    """What is submitted, as for `POST /jobs`; without times, dependencies and key of its own."""
    cron: Cron | None = None
    every_s: Interval | None = None
    """Instead of `cron`: so many seconds apart, counted from `start_at` or from now."""
    timezone: TimeZone = "UTC"
    """In which the cron expression is read."""
    missed: Missed = "run_once"
    """Of runs whose time passed while the server was away: none, the newest, or all up to `max_missed`."""
    max_missed: MostMissed = 10
    grace_s: Length = 5.0
    """A run that starts no later than this is on time."""
    overlap: Overlap = "skip"
    """While an earlier job of the schedule is open."""
    jitter_s: Length = 0.0
    """Each job begins up to so much later than its slot."""
    start_at: Instant | None = None
    end_at: Instant | None = None
    paused: bool = False
    description: Description = ""


class PatchSchedule(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `PATCH /schedules/{name}`: what is left out stays. New times count from now on."""

    job: SubmitJob | msgspec.UnsetType = msgspec.UNSET
    """The whole job anew."""
    cron: Cron | msgspec.UnsetType = msgspec.UNSET
    every_s: Interval | msgspec.UnsetType = msgspec.UNSET
    """Takes the place of `cron`, and the other way round."""
    timezone: TimeZone | msgspec.UnsetType = msgspec.UNSET
    missed: Missed | msgspec.UnsetType = msgspec.UNSET
    max_missed: MostMissed | msgspec.UnsetType = msgspec.UNSET
    grace_s: Length | msgspec.UnsetType = msgspec.UNSET
    overlap: Overlap | msgspec.UnsetType = msgspec.UNSET
    jitter_s: Length | msgspec.UnsetType = msgspec.UNSET
    start_at: Instant | msgspec.UnsetType | None = msgspec.UNSET
    end_at: Instant | msgspec.UnsetType | None = msgspec.UNSET
    paused: bool | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType = msgspec.UNSET


class FiringInfo(msgspec.Struct, kw_only=True):
    """One time a schedule came due: the job it made, or why it made none."""

    scheduled_for: str
    at: str
    """When that was decided."""
    trigger: str
    """`time`, or `manual`."""
    outcome: str
    """`submitted`, `skipped` (missed or overlapping) or `failed` (the job could not be created)."""
    job_id: str | None
    reason: str
    actor: str
    """Who asked for a manual one."""


class ScheduleInfo(msgspec.Struct, kw_only=True):
    name: str
    tenant: str
    description: str
    cron: str | None
    every_s: float | None
    timezone: str
    job: dict[str, Any]
    missed: str
    max_missed: int
    grace_s: float
    overlap: str
    jitter_s: float
    start_at: str | None
    end_at: str | None
    paused: bool
    next_run_at: str | None
    """null while it is paused, and when it has ended."""
    next_runs: list[str]
    """The next few, `next_run_at` first."""
    created_at: str
    created_by: str
    updated_at: str
    updated_by: str
    firings: list[FiringInfo] | msgspec.UnsetType = msgspec.UNSET
    """The newest; not in lists. All that are kept: `GET /schedules/{name}/firings`."""


class SchedulePage(msgspec.Struct, kw_only=True):
    items: list[ScheduleInfo]
    next_cursor: str | None = None


class FiringPage(msgspec.Struct, kw_only=True):
    """The newest first."""

    items: list[FiringInfo]
    next_cursor: str | None = None
