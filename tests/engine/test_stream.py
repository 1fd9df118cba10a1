"""What a reader of the stream is given, of everything or of what it wants (R2)."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from orpheus.core.decision import Event
from orpheus.core.job import Job, JobState
from orpheus.engine.base import PublishedEvent
from orpheus.engine.options import EngineOptions
from orpheus.engine.stream import Stream
from orpheus.engine.subscribers import Subscribers
from orpheus.engine.wanted import EVERYTHING, Wanted

TYPES = ("job.created", "job.started", "job.completed", "task.ready", "task.completed")
WANTED = (
    EVERYTHING,
    Wanted(types=frozenset({"job.completed"})),
    Wanted(types=frozenset({"job.created", "job.completed"}), jobs=frozenset({"job-1"})),
    Wanted(types=frozenset(), jobs=frozenset({"job-1", "job-2"}), tenant="a"),
    Wanted(tenant="b"),
    Wanted(types=frozenset()),
)


def job_of(number: int) -> Job:
    return Job(
        job_id=f"job-{number}",
        workflow="w",
        workflow_version=1,
        definition_id="d",
        tenant="ab"[number % 2],
        state=JobState.RUNNING,
        created_at=1.0,
        correlation_id="c",
    )


class Decisions:
    """Publishes decisions of random jobs, and keeps all that was published."""

    def __init__(self, stream: Stream, seed: int = 0) -> None:
        self.stream = stream
        self.random = Random(seed)
        self.all: list[PublishedEvent] = []
        self.jobs = [job_of(number) for number in range(4)]
        self.last_seq = [0] * len(self.jobs)

    def publish(self, *types: str, number: int | None = None) -> None:
        number = self.random.randrange(len(self.jobs)) if number is None else number
        job, first = self.jobs[number], self.last_seq[number] + 1
        events = [Event(first + more, kind, 1.0, "worker") for more, kind in enumerate(types)]
        self.last_seq[number] += len(events)
        place = self.stream.head
        self.stream.publish([(place + len(events), events, job)])
        for event in events:
            place += 1
            self.all.append(PublishedEvent(event, job.job_id, job.tenant, "c", self.stream.epoch, place))

    def happen(self, count: int) -> None:
        for _ in range(count):
            self.publish(*self.random.choices(TYPES, k=self.random.randint(1, 5)))


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("limit", [3, 1000])
def test_what_is_wanted_is_given_once_and_in_order(wanted, limit):
    """From every place, also one in the midst of a decision, and however it is cut into pages."""
    decisions = Decisions(Stream(epoch="e", head=0, ring=10_000))
    decisions.happen(60)
    for begin in range(decisions.stream.head + 1):
        expected = [
            one for one in decisions.all if one.place > begin and wanted.has(one.event.type, one.job_id, one.tenant)
        ]
        found: list[PublishedEvent] = []
        place = begin
        while place < decisions.stream.head:
            read = decisions.stream.ring_after(place, limit, wanted)
            assert read is not None
            place, page = read
            assert len(page) <= limit and all(one.place <= place for one in page)
            found += page
        assert found == expected


def test_a_ring_that_does_not_reach_back_says_so():
    decisions = Decisions(Stream(epoch="e", head=0, ring=20))
    assert decisions.stream.ring_after(0, 10) == (0, [])
    decisions.happen(60)
    oldest = next(
        place for place in range(decisions.stream.head) if decisions.stream.ring_after(place, 1000) is not None
    )
    assert decisions.stream.head - 20 - 5 <= oldest <= decisions.stream.head - 15
    _, page = decisions.stream.ring_after(oldest, 1000)
    assert page == decisions.all[oldest:]
    after_restart = Stream(epoch="e", head=7, ring=20)
    assert after_restart.ring_after(7, 10) == (7, [])
    assert after_restart.ring_after(6, 10) is None


def test_who_wants_little_of_a_busy_stream_hears_ticks_all_the_same():
    """Each says how far it was looked, so that a reader comes back near the end."""

    async def body() -> None:
        stream = Stream(epoch="e", head=0, ring=1000)
        decisions = Decisions(stream)
        subscribers = Subscribers(stream, None, EngineOptions(idle_tick_s=0.05))  # type: ignore[arg-type]  # no file is read
        pages = subscribers.wanted(0, Wanted(types=frozenset({"job.completed"})))
        coming = asyncio.ensure_future(anext(pages))
        while not coming.done():
            decisions.publish("job.created", "job.started")
            stream.tell()
            await asyncio.sleep(0.002)
        cursor, page = coming.result()
        assert not page
        assert stream.place_of(cursor) == stream.head, "it was not looked to the end"
        decisions.publish("job.completed", "task.completed", number=1)
        stream.tell()
        cursor, page = await anext(pages)
        assert [(one.event.type, one.job_id) for one in page] == [("job.completed", "job-1")]
        assert stream.place_of(cursor) == stream.head
        await pages.aclose()

    asyncio.run(asyncio.wait_for(body(), 10))
