"""Schedules whose time is asked at any instants, forwards and backwards (R27)."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orpheus.core.schedule import (
    MOST_QUEUED,
    Missed,
    Overlap,
    Schedule,
    begins_at,
    bounded,
    due,
    every,
    next_run,
    overlapping,
    upcoming,
)

START = 1_000_000.0


def schedule(**changes):
    fields = {"schedule_id": "s", "tenant": "t", "name": "n", "job": {}, "every_s": 7.0, "anchor_at": START}
    made = Schedule(**fields, seen_until=START, created_at=START, updated_at=START, **changes)
    return replace(made, next_run_at=next_run(made, START, slots_of(made)))


def slots_of(made):
    return every(made.anchor_at, made.every_s, from_anchor=made.start_at is not None)


@given(
    steps=st.lists(st.floats(-200.0, 600.0), max_size=40),
    missed=st.sampled_from(list(Missed)),
    most=st.integers(1, 20),
    bounds=st.tuples(st.none() | st.floats(0, 300), st.none() | st.floats(0, 900)),
)
def test_every_slot_is_decided_once(steps, missed, most, bounds):
    """Each slot up to the latest instant is run or passed over, once and in order, whatever the clock does meanwhile."""
    start_at, end_at = (None if each is None else START + each for each in bounds)
    made = schedule(missed=missed, max_missed=most, end_at=end_at)
    if start_at is not None:
        made = replace(made, start_at=start_at, anchor_at=start_at)
        made = replace(made, next_run_at=next_run(made, START, slots_of(made)))
    now = latest = START
    decided, passed = [], 0
    for step in steps:
        now += step
        latest = max(latest, now)
        found = due(made, now, slots_of(made))
        assert found.next_run_at is None or found.next_run_at > found.seen_until or made.next_run_at is None
        assert len(found.run) <= (most + 1 if missed is Missed.RUN_ALL else 1)
        assert not found.run or found.run[-1] <= now
        assert not (found.missed and missed is Missed.RUN_ALL) or len(found.run) >= most
        decided += found.run
        passed += found.missed
        made = replace(made, seen_until=found.seen_until, next_run_at=found.next_run_at)
    all_slots, at = [], START
    while (slot := bounded(made, slots_of(made))(at)) is not None and slot <= latest:
        all_slots.append(slot)
        at = slot
    assert decided == sorted(set(decided)) and set(decided) <= set(all_slots)
    assert len(decided) + passed == len(all_slots)


@given(at=st.floats(0, 4e9), anchor=st.floats(0, 4e9), length=st.floats(1, 1e7), from_anchor=st.booleans())
def test_an_interval_has_the_next_slot(at, anchor, length, from_anchor):
    """Strictly later, on the grid, and none lies between."""
    slot = every(anchor, length, from_anchor=from_anchor)(at)
    assert slot > at and slot >= (anchor if from_anchor else anchor + length)
    number = round((slot - anchor) / length)
    assert slot == anchor + number * length
    before = anchor + (number - 1) * length
    assert before <= at or number - 1 < (0 if from_anchor else 1)


def test_the_next_runs_end_with_the_schedule():
    """As many as asked for, none after the end, none while it is paused."""
    made = schedule(end_at=START + 20)
    assert upcoming(made, slots_of(made), 5) == [START + 7, START + 14]
    assert upcoming(replace(made, next_run_at=None, paused=True), slots_of(made), 5) == []


def test_the_overlap_rule():
    """What a run does while jobs are open, for each rule."""
    for rule in Overlap:
        assert overlapping(rule, []).runs
    assert overlapping(Overlap.ALLOW, ["a"]) == overlapping(Overlap.SKIP, [])
    skipped = overlapping(Overlap.SKIP, ["a", "b"])
    assert not skipped.runs and "job b" in skipped.reason
    assert overlapping(Overlap.QUEUE, ["a", "b"]).wait_for == ("a", "b")
    assert not overlapping(Overlap.QUEUE, ["a"] * MOST_QUEUED).runs
    replaced = overlapping(Overlap.CANCEL_OLDER, ["a"])
    assert replaced.wait_for == replaced.cancel == ("a",)


def test_jitter_spreads_and_stays():
    """Within its bound, other for each slot, the same whenever it is asked."""
    made = schedule(jitter_s=10.0)
    drawn = [begins_at(made, START + n) - START - n for n in range(50)]
    assert all(0 <= length < 10 for length in drawn) and max(drawn) - min(drawn) > 7
    assert begins_at(made, START) == begins_at(made, START) and begins_at(schedule(), START) is None
