"""Is this a schedule? Checked before it is written, whoever asks (R27)."""

from __future__ import annotations

import math
import re
from typing import Any

from orpheus.core.errors import InvalidParams
from orpheus.core.schedule import MOST_CAUGHT_UP, Schedule
from orpheus.engine.cron import check_cron, zone

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
TIMING = ("cron", "every_s", "timezone", "start_at", "end_at")
"""Fields that say when: changing one begins anew."""
LONGEST_S = 315_360_000.0
"""Ten years."""
_PER_JOB = ("run_at", "delay_s", "depends_on", "schedule", "scheduled_for")


def check_schedule(schedule: Schedule) -> None:
    """Refuse what cannot be.

    Raises:
        InvalidParams: `details` name the field.
    """
    if not NAME.fullmatch(schedule.name):
        raise _invalid(
            "name", f"{schedule.name[:80]!r} is not a schedule's name", "Letters, digits, . _ -, at most 128."
        )
    zone(schedule.timezone)
    if (schedule.cron is None) == (schedule.every_s is None):
        raise _invalid("cron", "a schedule has either cron or every_s", 'For example "cron": "0 3 * * *".')
    if schedule.cron is not None:
        check_cron(schedule.cron)
    else:
        _check_number(schedule, "every_s", 1.0, LONGEST_S)
    _check_number(schedule, "grace_s", 0.0, LONGEST_S)
    _check_number(schedule, "jitter_s", 0.0, LONGEST_S)
    _check_number(schedule, "max_missed", 1, MOST_CAUGHT_UP)
    if schedule.start_at is not None and schedule.end_at is not None and schedule.end_at < schedule.start_at:
        raise _invalid("end_at", "end_at is before start_at", "Runs lie between them, both included.")
    for field in _PER_JOB:
        if field in schedule.job:
            raise _invalid(f"job/{field}", f"the job of a schedule has no {field}", "The schedule says when it begins.")


def _check_number(schedule: Schedule, field: str, low: float, high: float) -> None:
    value: Any = getattr(schedule, field)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not low <= value <= high
    ):
        raise _invalid(field, f"{field} is a number from {low:g} to {high:g}")


def _invalid(field: str, message: str, hint: str = "") -> InvalidParams:
    return InvalidParams(f"{field}: {message}", hint=hint, details=[{"path": f"/{field}", "message": message}])
