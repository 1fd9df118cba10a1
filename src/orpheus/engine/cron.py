"""Which instants does a cron expression name, in a time zone? (R27)

Five fields (minute, hour, day of month, month, day of week) or an alias such as `@daily`, read and stepped by cronsim, with
cron's rules where clocks change:

    fixed times (`30 2 * * *`)      once a day: a time that does not exist runs at the first instant after the gap, one that
                                    comes twice runs the first time
    every hour or minute (`*/15 *`) by elapsed time: what does not exist is left out, what comes twice runs twice
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from math import floor
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from orpheus.core.errors import InvalidParams
from orpheus.core.schedule import NextSlot, Schedule, every
from orpheus.core.suggest import did_you_mean, quoted

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FIELDS = "minute hour day-of-month month day-of-week"
DAY_S = 86_400
TRIES = 200
"""Slots of one local time looked at until one lies after the instant; a change of clocks holds at most some dozens back."""


def zone(name: str) -> tzinfo:
    """Return the time zone of an IANA name.

    Raises:
        InvalidParams: there is none; the hint holds the nearest.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise _invalid(
            "timezone",
            f"there is no time zone {quoted(name)}",
            did_you_mean(name, sorted(available_timezones()), otherwise="An IANA name, like Europe/Berlin or UTC."),
        ) from None


def check_cron(expression: str) -> None:
    """Refuse an expression that is none, or that never comes.

    Raises:
        InvalidParams: says which field is wrong.
    """
    text = expression.strip()
    hint = f"Five fields ({FIELDS}), like 0 3 * * 1-5, or one of {' '.join(ALIASES)}."
    if text.startswith("@") and text.lower() not in ALIASES:
        raise _invalid("cron", f"there is no alias {quoted(text)}", did_you_mean(text, ALIASES, otherwise=hint))
    fields = _fields(text)
    if len(fields.split()) != 5:
        raise _invalid("cron", f"{quoted(expression)} has {len(fields.split())} fields, not 5", hint)
    try:
        first = next(CronSim(fields, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise _invalid("cron", f"{quoted(expression)}: {str(error).lower()}", hint) from None
    if first is None:
        raise _invalid("cron", f"{quoted(expression)} names no day that ever comes", hint)


def cron_slots(expression: str, timezone: str) -> NextSlot:
    """Return the instants that a checked expression names."""
    fields, where = _fields(expression.strip()), zone(timezone)
    minute, hour, *_ = fields.split()
    look = _by_elapsed_time if minute.startswith("*") or hour.startswith("*") else _by_fixed_times

    def next_slot(at: float) -> float | None:
        try:
            return look(fields, where, at)
        except (OverflowError, ValueError, OSError):  # beyond the years that have a form
            return None

    return next_slot


def _by_fixed_times(fields: str, where: tzinfo, at: float) -> float | None:
    found = CronSim(fields, datetime.fromtimestamp(at, where))
    for _ in range(TRIES):
        moment = next(found, None)
        if moment is None:
            return None
        # After clocks were set back, local time is earlier than the instant: such slots are past.
        if (slot := moment.timestamp()) > at:
            return slot
    return None


def _by_elapsed_time(fields: str, where: tzinfo, at: float) -> float | None:
    """Step through local time as if clocks stayed as they are, and begin anew where they change.

    Given the zone, cronsim steps by an hour of elapsed time, and by midnights that there may not be: it misses slots where clocks
    change by half an hour, or at midnight.
    """
    begin = floor(at) + 1
    while True:
        shift = _shift(where, begin)
        local = datetime.fromtimestamp(begin - 1, UTC).replace(tzinfo=None) + shift
        moment = next(CronSim(fields, local), None)
        if moment is None:
            return None
        slot = int((moment - shift).replace(tzinfo=UTC).timestamp())
        # A change further off matters only if it comes shortly before the slot: no time in between has the right form.
        near = min(slot, begin + DAY_S)
        if _shift(where, near) != shift:
            begin = _change(where, begin, near)
        elif near == slot:
            return float(slot)
        else:
            begin = slot - DAY_S


def _shift(where: tzinfo, at: float) -> timedelta:
    return datetime.fromtimestamp(at, where).utcoffset() or timedelta()


def _change(where: tzinfo, before: int, after: int) -> int:
    """Return the first second at which clocks are no longer those of `before`; `after` is one such."""
    shift = _shift(where, before)
    while after - before > 1:
        middle = (before + after) // 2
        if _shift(where, middle) == shift:
            before = middle
        else:
            after = middle
    return after


@lru_cache(maxsize=1024)
def _cron_slots(expression: str, timezone: str) -> NextSlot:
    return cron_slots(expression, timezone)


def slots_of(schedule: Schedule) -> NextSlot:
    """Return the slots of a schedule, whatever its bounds."""
    if schedule.cron is not None:
        return _cron_slots(schedule.cron, schedule.timezone)
    assert schedule.every_s is not None, "a schedule has a cron expression or an interval"
    return every(schedule.anchor_at, schedule.every_s, from_anchor=schedule.start_at is not None)


def _fields(text: str) -> str:
    return ALIASES.get(text.lower(), text)


def _invalid(field: str, message: str, hint: str) -> InvalidParams:
    return InvalidParams(f"{field}: {message}", hint=hint, details=[{"path": f"/{field}", "message": message}])
