"""Cron expressions against a slow model that looks at every minute (R27), above all where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from orpheus.core.schedule import _newest
from orpheus.engine.cron import cron_slots

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Kolkata",
    "Africa/Cairo",
)
SPAN = timedelta(hours=30)


def changes(zone, year):
    """Return the instants of that year at which the zone's clocks change."""
    here = ZoneInfo(zone)
    start = datetime(year, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=n) for n in range(366 * 24)]
    return [b for a, b in pairwise(hours) if a.astimezone(here).utcoffset() != b.astimezone(here).utcoffset()]


CHANGES = {zone: changes(zone, 2024) or [datetime(2024, 3, 10, tzinfo=UTC)] for zone in ZONES}


def fits(field, value, low):
    if field == "*":
        return True
    if field.startswith("*/"):
        return (value - low) % int(field[2:]) == 0
    wanted = set()
    for part in field.split(","):
        a, _, b = part.partition("-")
        wanted |= set(range(int(a), int(b or a) + 1))
    return value in wanted


def names(expression, local):
    """Tell whether cron's five fields name a local time (day of month and of week: either, unless one is a star)."""
    minute, hour, day, month, weekday = expression.split()
    by_day = fits(day, local.day, 1)
    by_weekday = fits(weekday, local.isoweekday() % 7, 0)
    both = day.startswith("*") or weekday.startswith("*")
    day_fits = (by_day and by_weekday) if both else (by_day or by_weekday)
    return fits(minute, local.minute, 0) and fits(hour, local.hour, 0) and fits(month, local.month, 1) and day_fits


def model(expression, zone, start, end):
    """Return every slot in (start, end], by looking at every minute."""
    here = ZoneInfo(zone)
    minute, hour, *_ = expression.split()
    found = set()
    if minute.startswith("*") or hour.startswith("*"):
        at = start.replace(second=0) - timedelta(minutes=1)
        while at <= end:
            if names(expression, at.astimezone(here)):
                found.add(at)
            at += timedelta(minutes=1)
    else:
        local = (start - timedelta(days=2)).astimezone(here).replace(tzinfo=None, second=0)
        while local <= (end + timedelta(days=2)).astimezone(here).replace(tzinfo=None):
            if names(expression, local):
                real = local
                while real.replace(tzinfo=here).astimezone(UTC).astimezone(here).replace(tzinfo=None) != real:
                    real += timedelta(minutes=1)
                found.add(real.replace(tzinfo=here, fold=0).astimezone(UTC))
            local += timedelta(minutes=1)
    return sorted(at.timestamp() for at in found if start < at <= end)


def number(low, high):
    return st.one_of(
        st.just("*"),
        st.sampled_from(("*/2", "*/5", "*/7")),
        st.lists(st.integers(low, high).map(str), min_size=1, max_size=3).map(",".join),
        st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda ab: f"{min(ab)}-{max(ab)}"),
    )


EXPRESSIONS = st.tuples(
    number(0, 59),
    st.one_of(number(0, 23), number(0, 4)),
    st.one_of(st.just("*"), number(1, 31)),
    st.just("*"),
    st.one_of(st.just("*"), number(0, 6)),
).map(" ".join)


# Phase.explain traces every line, and the model looks at thousands of minutes: a failure would take longer than its time-out.
@given(
    expression=EXPRESSIONS,
    zone=st.sampled_from(ZONES),
    which=st.integers(0, 1),
    before=st.integers(0, 1500),
    looked=st.floats(0, 1),
)
@example("* */2 * * *", "Australia/Lord_Howe", 0, 523, 0.5)  # back by half an hour: 02:00 to 02:29 were missed
@example("*/5 */3 * * *", "Australia/Lord_Howe", 1, 523, 0.5)  # forward by half an hour: 03:00 to 03:29 were missed
@example("*/7 1-22 */5 * 5,4,5", "Africa/Cairo", 0, 4, 0.5)  # no midnight: 01:00 to 01:59 were missed
@example("*/5 */2 * * 0-2", "America/Santiago", 1, 11, 0.5)  # no midnight: 01:00 was taken for it
@example("*/10 2 27 10 *", "Europe/Berlin", 1, 60, 0.5)  # that hour comes twice, and then not for a year
@settings(max_examples=50, deadline=None, phases=[phase for phase in Phase if phase is not Phase.explain])
def test_slots_are_those_of_the_model(expression, zone, which, before, looked):
    """Around every change of clocks in seven zones, from wherever one starts to look."""
    change = CHANGES[zone][which % len(CHANGES[zone])]
    start = change - timedelta(minutes=before)
    end = start + SPAN
    expected = model(expression, zone, start, end)
    next_slot = cron_slots(expression, zone)
    found, at = [], start.timestamp()
    while (slot := next_slot(at)) is not None and slot <= end.timestamp():
        assert slot > at, "slots only go forward"
        found.append(slot)
        at = slot
    assert found == expected
    cut = start.timestamp() + looked * SPAN.total_seconds()
    later = [slot for slot in expected if slot > cut]
    assert next_slot(cut) == (later[0] if later else next_slot(end.timestamp())), (
        "wherever one looks from, they are the same"
    )
    newest, more = _newest(next_slot, start.timestamp(), end.timestamp(), 5)
    assert newest == expected[-5:] and more == (len(expected) > 5)
