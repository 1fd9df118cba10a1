"""What the memory does after a commit, for many at a time, comes to what it would for each alone."""

from __future__ import annotations

from bisect import bisect_left
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orpheus.core.decision import Event
from orpheus.core.graph import Timeouts
from orpheus.core.job import JobState
from orpheus.core.task import TaskState
from orpheus.engine.base import WorkerHello
from orpheus.engine.leases import RunTable
from orpheus.engine.sessions import Sessions
from orpheus.engine.stats import BOUNDS_MS, LABELS_MAX, Histogram, Meter
from orpheus.engine.stream import Stream
from orpheus.engine.work import Operation

LENGTHS = st.lists(
    st.one_of(st.floats(-1.0, 10.0), st.sampled_from([bound_ms / 1000.0 for bound_ms in BOUNDS_MS])), max_size=50
)


@given(LENGTHS, LENGTHS)
def test_lengths_sorted_in_together_stand_in_the_buckets_of_each_alone(first: list[float], then: list[float]) -> None:
    histogram = Histogram()
    expected = [0] * (len(BOUNDS_MS) + 1)
    for lengths in (first, then):
        for length_s in lengths:
            histogram.add(length_s)
            expected[bisect_left(BOUNDS_MS, max(0.0, length_s) * 1000.0)] += 1
        assert histogram.counts == expected
    assert abs(histogram.sum_ms - sum(max(0.0, length_s) * 1000.0 for length_s in first + then)) < 1e-6
    assert histogram.shown()["count"] == len(first + then)


def task(**fields: Any) -> Any:
    return SimpleNamespace(**{"error": None, "started_at": 10.0, "handler": "cut@1", "queue": "default"} | fields)


def test_names_of_tasks_get_their_labels_in_the_order_in_which_they_ended() -> None:
    """Completed attempts are only gathered; one that failed counts at once, and must not go before them."""
    meter = Meter()
    done, failed = task(state=TaskState.COMPLETED), task(state=TaskState.FAILED)
    for number in range(LABELS_MAX - 1):
        meter.attempt_ended(task(handler=f"task-{number}@1"), done, 12.0)
    meter.attempt_ended(task(handler="last@1"), done, 12.0)
    meter.attempt_ended(task(handler="late@1"), failed, 13.0)
    meter.attempt_ended(task(handler="later@1"), done, 13.0)
    meter.attempt_ended(task(handler="last@1", started_at=None), done, 13.0)
    shown = meter.shown()
    assert shown["attempts"]["last@1", "completed"] == 2
    assert (shown["attempts"]["other", "failed"], shown["attempts"]["other", "completed"]) == (1, 1)
    assert shown["attempt_lengths"]["last@1"]["count"] == 1
    assert shown["attempt_lengths"]["other"]["sum_ms"] == 6_000.0
    assert meter.shown() == shown, "asked again, it counts nothing again"


def test_what_waits_to_be_sorted_is_bounded() -> None:
    meter = Meter()
    job = SimpleNamespace(state=JobState.RUNNING, started_at=1.0, updated_at=1.0, created_at=0.5, generation=1)
    started = [task(ready_at=1.0, started_at=1.5)]
    for _ in range(1_000):
        meter.changed([SimpleNamespace(job=job, was=JobState.QUEUED, started=started)])  # type: ignore[list-item]
        meter.attempt_ended(task(), task(state=TaskState.COMPLETED), 12.0)
        meter.batch([(SimpleNamespace(operation=Operation(), queued_at=0.0), None)], began=1.0, ran=1.0, committed=1.0)  # type: ignore[list-item]  # fmt: skip
        histograms = [meter.wait, meter.run, meter.job_starts, *meter.queue_waits.values()]
        gathered = [*meter._completed.values(), *meter._waited.values()]
        assert max(map(len, (*(each.waiting for each in histograms), *gathered))) <= 100
    shown = meter.shown()
    assert {shown[name]["count"] for name in ("wait", "run", "commit", "job_starts")} == {1_000}
    assert shown["queue_waits"]["default"]["count"] == shown["attempt_lengths"]["cut@1"]["count"] == 1_000


@given(st.lists(st.lists(st.integers(1, 5), max_size=5), max_size=12), st.integers(1, 12))
def test_decisions_published_together_stand_in_the_ring_as_if_one_by_one(batches: list[list[int]], ring: int) -> None:
    together, alone = (Stream(epoch="e", head=0, ring=ring) for _ in range(2))
    job: Any = SimpleNamespace(job_id="j", tenant="t", correlation_id="")
    place = 0
    for batch in batches:
        told = []
        for count in batch:
            place += count
            told.append((place, [Event(seq, "job.created", 0.0, "client") for seq in range(count)], job))
        together.publish(told)
        for each in told:
            alone.publish([each])
        assert together.head == alone.head == place
        for after in range(place + 1):
            assert together.ring_after(after, 100) == alone.ring_after(after, 100)
    assert together.ring_after(max(0, place - ring), 100) is not None, "the ring holds as many as it was made for"


RUNS = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([None, -1, 1, 2]))


@given(
    RUNS, st.sets(st.sampled_from("abcdefgh")), st.lists(st.sampled_from("abcdefgh")), st.sets(st.sampled_from("gh"))
)
def test_a_round_tells_what_is_held_from_what_was_given(
    runs: dict[str, int | None], reported: set[str], held: list[str], adopted: set[str]
) -> None:
    hello = WorkerHello(
        session_id="s" * 16, worker="w", host="h", pid=1, queues=(), slots=1, resources={}, handlers=(), task_specs=(),
        workflows=(), held=(),
    )  # fmt: skip
    sessions = Sessions()
    session = sessions.register(hello, now=0.0, wall=0.0)
    session.seq = 2
    session.runs = dict(runs)
    session.reported = dict.fromkeys(sorted(reported))
    told = sessions.compare(session, held, current=adopted.__contains__)
    given = {run_id for run_id, carried in runs.items() if carried not in (None, 2)}
    assert told.missing == tuple(run_id for run_id in runs if run_id in given - set(held))
    assert list(session.reported) == sorted(reported & set(held))
    assert told.unknown == tuple(run_id for run_id in held if run_id not in {*runs, *reported, *adopted})


@given(*[st.one_of(st.none(), st.floats(0.5, 100.0)) for _ in range(3)], st.booleans())
def test_a_run_is_looked_at_when_its_earliest_limit_passes(
    start_to_close_s: float | None, schedule_to_close_s: float | None, heartbeat_s: float | None, restored: bool
) -> None:
    table = RunTable(30.0)
    timeouts = Timeouts(
        start_to_close_s=start_to_close_s, schedule_to_close_s=schedule_to_close_s, heartbeat_s=heartbeat_s
    )
    row: Any = task(run_id="r", started_at=995.0, first_ready_at=990.0)
    [run] = table.start([(row, timeouts)], "s", wall=1_000.0, now=5.0, restored=restored)
    assert table.next_due() == run.due()
    assert not table.passed(run.due() - 0.001)
    assert table.passed(run.due())
