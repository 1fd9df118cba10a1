"""The asyncio driver: group commit, waiting, the stream, restarts (R2, R3)."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from orpheus.core.errors import DefinitionConflict, InvalidRequest
from orpheus.core.facts import ArtifactRef, CancelRequested, JobApproved
from orpheus.engine.base import (
    CursorReset,
    EngineStopping,
    RunReport,
    SlowReader,
    Submission,
    UnknownSession,
    WorkerHello,
)
from orpheus.engine.embedded import EmbeddedEngine
from orpheus.engine.options import EngineOptions
from orpheus.engine.publishing import NoPublisher

SESSION = "session-" + "x" * 16


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(30):
            await body()

    asyncio.run(timed())


class Ended(Exception):
    pass


def end(reason: str) -> None:
    raise Ended(reason)


def engine_at(path: Path, **options: Any) -> EmbeddedEngine:
    publisher = options.pop("publisher", None)
    return EmbeddedEngine(path / "orpheus.db", publisher=publisher, options=EngineOptions(**options), fatal=end)


async def started_beside(engine: EmbeddedEngine) -> None:
    """Start the engine, and wait for the process that writes beside it."""
    await engine.start()
    writer = engine.machine.store.writer
    assert writer is not None
    while not writer.is_ready():  # noqa: ASYNC110 (nobody tells of it)
        await asyncio.sleep(0.01)


async def work(engine: EmbeddedEngine, stop: asyncio.Event, result: Any = 1) -> None:
    """Complete whatever comes."""
    await engine.hello(WorkerHello(session_id=SESSION, worker="w", handlers=("step@1",)))
    seq = 0
    while not stop.is_set():
        seq += 1
        answer = await engine.poll(SESSION, seq, held=(), free=50, resources_free={}, wait_s=0.2)
        reports = [RunReport(run_id=grant.run_id, kind="completed", result=result) for grant in answer.grants]
        if reports:
            assert await engine.report(SESSION, reports) == [None] * len(reports)


def test_many_submissions_share_commits(tmp_path, flow):
    """What queued while the last fsync ran goes together (R3)."""

    async def body() -> None:
        engine = engine_at(tmp_path)
        await engine.start()
        await engine.publish(flow("one"), actor="test")
        before = engine.machine.meter.commits
        jobs = await asyncio.gather(*(engine.submit([Submission(workflow="one")]) for _ in range(300)))
        assert len({submitted[0].job.job_id for submitted in jobs}) == 300
        assert engine.machine.meter.commits - before < 100
        await engine.stop()

    run(body)


def test_the_engine_ends_after_what_the_process_beside_refuses(tmp_path, flow):
    """Others were decided on it (ADR 0035). Nobody has heard of it, and the next engine goes on with what the file says."""

    async def body() -> None:
        ended: asyncio.Queue[str] = asyncio.Queue()
        options = EngineOptions(write_apart_from=4)
        engine = EmbeddedEngine(tmp_path / "orpheus.db", options=options, fatal=ended.put_nowait)
        await started_beside(engine)
        jobs = [submitted.job for submitted in await engine.submit([Submission(workflow=flow())] * 3)]
        other = sqlite3.connect(engine.path)
        with other:
            other.execute("UPDATE jobs SET priority = 1, last_seq = last_seq + 1 WHERE job_id = ?", (jobs[1].job_id,))
        other.close()
        stop = asyncio.Event()
        worker = asyncio.create_task(work(engine, stop))
        assert "were as they had been read" in await asyncio.wait_for(ended.get(), 10)
        worker.cancel()
        await engine.stop()

        engine = engine_at(tmp_path)
        await engine.start()
        worker = asyncio.create_task(work(engine, stop))
        for job in jobs:
            done = await engine.wait_job(job.job_id, wait_s=10)
            assert done is not None and done.state == "completed"
        assert (await engine.reads.job(jobs[1].job_id)).priority == 1
        stop.set()
        await worker
        await engine.stop()

    run(body)


def test_the_engine_ends_when_the_process_beside_does(tmp_path, flow):
    """What is on the disk is unknown then, as after a failed COMMIT (R3)."""

    async def body() -> None:
        ended: asyncio.Queue[str] = asyncio.Queue()
        engine = EmbeddedEngine(
            tmp_path / "orpheus.db", options=EngineOptions(write_apart_from=4), fatal=ended.put_nowait
        )
        await started_beside(engine)
        await engine.publish(flow("one"), actor="test")
        await engine.submit([Submission(workflow="one")] * 3)
        writer = engine.machine.store.writer
        assert writer is not None and writer.pid is not None
        pid = writer.pid
        os.kill(pid, signal.SIGSTOP)
        heard = asyncio.ensure_future(ended.get())
        asked = asyncio.ensure_future(engine.submit([Submission(workflow="one")] * 3))
        while not engine.machine.is_on_the_way:  # noqa: ASYNC110 (nobody tells of it)
            await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait({asked, heard}, return_when=asyncio.FIRST_COMPLETED)
        assert heard.result().startswith("CommitFailed: the writer of ")
        assert not asked.done()
        asked.cancel()

    run(body)


def test_a_process_beside_that_died_idle_is_done_without_until_there_is_another(tmp_path, flow):
    """Nothing is in doubt then."""

    async def body() -> None:
        engine = engine_at(tmp_path, write_apart_from=4, checkpoint_every_s=0.05)
        await started_beside(engine)
        await engine.publish(flow("one"), actor="test")
        writer = engine.machine.store.writer
        assert writer is not None and writer.pid is not None
        first = writer.pid
        os.kill(first, signal.SIGKILL)
        while not writer.has_answer():  # noqa: ASYNC110 (the end of its pipe)
            await asyncio.sleep(0.01)
        assert len(await engine.submit([Submission(workflow="one")] * 3)) == 3
        while writer.pid in (None, first) or not writer.is_ready():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        before = engine.machine.store.handed_over
        while engine.machine.store.handed_over == before:
            assert len(await engine.submit([Submission(workflow="one")] * 3)) == 3
        await engine.stop()

    run(body)


def test_what_is_undone_behind_a_batch_on_its_way_leaves_nobody_waiting(tmp_path, flow):
    """The undoing waits for the answer itself, so that the loop never hears of it."""

    async def body() -> None:
        engine = engine_at(tmp_path, write_apart_from=4)
        await started_beside(engine)
        await engine.publish(flow("one"), actor="test")
        await engine.submit([Submission(workflow="one")])
        machine = engine.machine
        hand_over = machine.hand_over
        greetings: list[asyncio.Future[Any]] = []

        def handed_over(batch: Any) -> None:
            hand_over(batch)
            if not greetings:
                other = {**flow("one", {"name": "other"}), "version": 1}
                hello = WorkerHello(session_id=SESSION, worker="w", handlers=("step@1",), workflows=(other,))
                greetings.append(asyncio.ensure_future(engine.hello(hello)))

        machine.hand_over = handed_over  # type: ignore[method-assign]
        assert len(await engine.submit([Submission(workflow="one")] * 3)) == 3
        with pytest.raises(DefinitionConflict):
            await greetings[0]
        await engine.stop()

    run(body)


def test_a_stopped_engine_leaves_the_loop_deaf_to_nobody(tmp_path, flow):
    """Also after a batch that waited for the answers itself. A later socket may get the number of the pipe."""

    async def body() -> None:
        engine = engine_at(tmp_path, write_apart_from=4)
        await started_beside(engine)
        await engine.publish(flow("one"), actor="test")
        machine = engine.machine
        assert machine.store.writer is not None
        pipe = machine.store.writer.descriptor
        hand_over = machine.hand_over
        published: list[asyncio.Future[Any]] = []

        def handed_over(batch: Any) -> None:
            hand_over(batch)
            if not published:
                published.append(asyncio.ensure_future(engine.publish({**flow("one"), "version": 2}, actor="test")))

        machine.hand_over = handed_over  # type: ignore[method-assign]
        await engine.submit([Submission(workflow="one")] * 3)
        await published[0]
        await engine.stop()
        assert pipe not in asyncio.get_running_loop()._selector.get_map()

    run(body)


def test_jobs_run_to_their_end_and_waiting_hears_of_it(tmp_path, flow):
    """wait_job answers at the commit that ends the job, not a poll interval later."""

    async def body() -> None:
        engine = engine_at(tmp_path)
        await engine.start()
        stop = asyncio.Event()
        worker = asyncio.create_task(work(engine, stop))
        (submitted,) = await engine.submit([Submission(workflow=flow())])
        job = await engine.wait_job(submitted.job.job_id, wait_s=10)
        assert job is not None and job.state == "completed"
        again = await engine.wait_job(submitted.job.job_id, wait_s=10)
        assert again is not None and again.state == "completed"
        assert await engine.wait_job("no-such-job", wait_s=10) is None
        stop.set()
        await worker
        (idle,) = await engine.submit([Submission(workflow=flow())])
        waited = await engine.wait_job(idle.job.job_id, wait_s=0.05)
        assert waited is not None and waited.state == "queued"
        await asyncio.sleep(0)
        assert engine.machine.ended == {}
        await engine.stop()

    run(body)


def test_a_watched_submission_is_told_its_params_and_result(tmp_path, flow):
    """As they stand in the file; where they may have become others, they are to be read there."""

    async def body() -> None:
        engine = engine_at(tmp_path)
        await engine.start()
        stop = asyncio.Event()
        worker = asyncio.create_task(work(engine, stop, {"b": [1.5, None], "a": "é"}))
        params = {"type": "object", "properties": {"n": {"type": "integer", "default": 4}}}
        plain = flow(params=params, output={"$ref": "a"})
        _, end = await engine.submit_watched(Submission(workflow=plain))
        ended = await end
        assert ended.parts == ({"n": 4}, {"b": [1.5, None], "a": "é"})
        stored = await engine.reads.job_parts(ended.job.job_id, artifacts=False)
        assert stored[:2] == ended.parts

        held, end = await engine.submit_watched(Submission(workflow=plain, requires_approval=True))
        await engine.tell(held.job.job_id, JobApproved(params={"n": 5}, actor="somebody"))
        ended = await end
        assert ended.job.state == "completed" and ended.parts is None
        assert (await engine.reads.job_parts(held.job.job_id, artifacts=False))[0] == {"n": 5}

        failing, end = await engine.submit_watched(Submission(workflow=plain, delay_s=60))
        await engine.tell(failing.job.job_id, CancelRequested())
        assert (await end).parts == ({"n": 4}, None)
        stop.set()
        await worker
        await engine.stop()

    run(body)


def test_a_watched_submission_hears_of_any_end(tmp_path, flow):
    """Of one that comes with the creation too (R15), and of the job that its key already has (R21)."""

    async def body() -> None:
        engine = engine_at(tmp_path)
        await engine.start()
        first, end = await engine.submit_watched(Submission(workflow=flow(), idempotency_key="k", fingerprint="f"))
        same, other_end = await engine.submit_watched(Submission(workflow=flow(), idempotency_key="k", fingerprint="f"))
        assert first.created and not same.created and not end.done() and not other_end.done()
        await engine.tell(first.job.job_id, CancelRequested())
        assert (await end).job.state == (await other_end).job.state == "cancelled"
        _, known = await engine.submit_watched(Submission(workflow=flow(), idempotency_key="k", fingerprint="f"))
        assert (await known).job.state == "cancelled"
        dead = Submission(workflow=flow(), depends_on=((first.job.job_id, "success"),))
        stillborn, at_once = await engine.submit_watched(dead)
        assert stillborn.created and (await at_once).job.state == "cancelled"
        _, given_up = await engine.submit_watched(Submission(workflow=flow()))
        given_up.cancel()
        await asyncio.sleep(0)
        assert engine.machine.ended == {}
        _, left = await engine.submit_watched(Submission(workflow=flow()))
        await engine.stop()
        assert left.cancelled()

    run(body)


def test_a_subscriber_misses_nothing_across_reconnects(tmp_path, flow):
    """Every event once, in commit order, from ring and file alike (R2)."""

    async def body() -> None:
        engine = engine_at(tmp_path, ring_events=16)
        await engine.start()
        start = engine.cursor()
        stop = asyncio.Event()
        worker = asyncio.create_task(work(engine, stop))
        seen: list[Any] = []

        async def read(until: int) -> None:
            cursor = seen[-1].cursor if seen else start
            stream = engine.subscribe(after=cursor)
            async for published in stream:
                if published is not None:
                    seen.append(published)
                if len(seen) >= until:
                    break
            await stream.aclose()

        await engine.publish(flow("one"), actor="test")
        for part in range(1, 5):
            reading = asyncio.create_task(read(part * 7 * 10))
            submitted = await asyncio.gather(*(engine.submit([Submission(workflow="one")]) for _ in range(10)))
            for (one,) in submitted:
                await engine.wait_job(one.job.job_id, wait_s=10)
            await reading
        numbers = [int(published.cursor.split(".")[1]) for published in seen]
        assert numbers == list(range(numbers[0], numbers[0] + len(seen)))
        by_job: dict[str, list[int]] = {}
        for published in seen:
            by_job.setdefault(published.job_id, []).append(published.event.seq)
        assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in by_job.values())
        stop.set()
        await worker
        await engine.stop()

    run(body)


def test_a_foreign_cursor_is_reset(tmp_path, flow):
    """Of another store, of the future, or no cursor at all (R2)."""

    async def body() -> None:
        engine = engine_at(tmp_path)
        await engine.start()
        for cursor in ("other.1", f"{engine.server_epoch()}.999", "nonsense", "", f"{engine.server_epoch()}.-1"):
            with pytest.raises(CursorReset) as caught:
                await anext(aiter(engine.subscribe(after=cursor)))
            assert caught.value.code == "reset"
        await engine.stop()

    run(body)


def test_a_reader_that_cannot_keep_up_is_disconnected(tmp_path, flow):
    """And goes on from its last cursor (R2)."""

    async def body() -> None:
        engine = engine_at(tmp_path, subscriber_lag_events=10, ring_events=8)
        await engine.start()
        await engine.publish(flow("one"), actor="test")
        stream = engine.subscribe(after=None)
        reading = asyncio.ensure_future(anext(aiter(stream)))
        await asyncio.sleep(0.01)
        await engine.submit([Submission(workflow="one")])
        first = await reading
        assert first is not None
        for _ in range(10):
            await engine.submit([Submission(workflow="one")])
        with pytest.raises(SlowReader):
            while True:
                await anext(stream)
        again = engine.subscribe(after=first.cursor)
        assert (await anext(aiter(again))).event.seq == 2
        await engine.stop()

    run(body)


def test_an_idle_subscriber_hears_ticks(tmp_path):
    """So that a filtered page can show that it is connected (R2)."""

    async def body() -> None:
        engine = engine_at(tmp_path, idle_tick_s=0.02)
        await engine.start()
        stream = engine.subscribe(after=None)
        assert await anext(aiter(stream)) is None
        await engine.stop()

    run(body)


def test_a_restart_continues(tmp_path, flow):
    """The file holds everything; the stream's cursor too (promise 1, R2)."""

    async def body() -> None:
        engine = engine_at(tmp_path)
        await engine.start()
        cursor = engine.cursor()
        (submitted,) = await engine.submit([Submission(workflow=flow())])
        await engine.stop()
        await engine.stop()
        engine = engine_at(tmp_path)
        await engine.start()
        with pytest.raises(UnknownSession):
            await engine.poll(SESSION, 1, held=(), free=1, resources_free={}, wait_s=0)
        stop = asyncio.Event()
        worker = asyncio.create_task(work(engine, stop))
        job = await engine.wait_job(submitted.job.job_id, wait_s=10)
        assert job is not None and job.state == "completed"
        events = []
        stream = engine.subscribe(after=cursor)
        async for published in stream:
            assert published is not None
            events.append(published.event.type)
            if published.event.type == "job.completed":
                break
        assert events[0] == "job.created"
        stop.set()
        await worker
        await engine.stop()

    run(body)


def test_a_stop_answers_what_waits(tmp_path):
    """Polls and subscribers are let go; afterwards everything is refused as unavailable, to be tried again."""

    async def body() -> None:
        engine = engine_at(tmp_path)
        await engine.start()
        await engine.hello(WorkerHello(session_id=SESSION, worker="w", handlers=("step@1",)))
        poll = asyncio.ensure_future(engine.poll(SESSION, 1, held=(), free=1, resources_free={}, wait_s=20))

        async def read() -> list[Any]:
            return [published async for published in engine.subscribe(after=None)]

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        await engine.stop()
        assert (await poll).grants == ()
        assert await reading == []
        with pytest.raises(EngineStopping) as caught:
            await engine.submit([Submission(workflow="x")])
        assert caught.value.retryable

    run(body)


def test_a_poll_whose_connection_is_gone_gets_nothing_more(tmp_path, flow):
    """The task stays ready for the next poll."""

    async def body() -> None:
        engine = engine_at(tmp_path)
        await engine.start()
        await engine.hello(WorkerHello(session_id=SESSION, worker="w", handlers=("step@1",)))
        poll = asyncio.ensure_future(engine.poll(SESSION, 1, held=(), free=1, resources_free={}, wait_s=20))
        await asyncio.sleep(0.02)
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)
        (submitted,) = await engine.submit([Submission(workflow=flow())])
        await asyncio.sleep(0.05)
        job = await engine.reads.job(submitted.job.job_id)
        assert job is not None and job.state == "queued"
        answer = await engine.poll(SESSION, 2, held=(), free=1, resources_free={}, wait_s=5)
        assert len(answer.grants) == 1
        await engine.stop()

    run(body)


def test_a_failed_commit_ends_the_process(tmp_path, flow, monkeypatch):
    """What is on the disk is unknown then, so nothing may be answered (R3)."""

    async def body() -> None:
        ended: asyncio.Queue[str] = asyncio.Queue()
        engine = EmbeddedEngine(tmp_path / "orpheus.db", fatal=ended.put_nowait)
        await engine.start()

        def fail() -> None:
            raise OSError("no space left on device")

        monkeypatch.setattr(engine.machine, "commit", fail)
        submitting = asyncio.create_task(engine.submit([Submission(workflow=flow())]))
        assert "no space left" in await ended.get()
        assert not submitting.done()
        submitting.cancel()

    run(body)


def test_publishing_runs_beside_the_loop(tmp_path, flow):
    """A slow publisher delays nobody else."""

    async def body() -> None:
        gate = threading.Event()

        class Slow(NoPublisher):
            def deliver(self, delivery: Any) -> None:
                gate.wait(10)

        engine = engine_at(tmp_path, publisher=Slow())
        await engine.start()
        await engine.hello(WorkerHello(session_id=SESSION, worker="w", handlers=("step@1",)))
        (submitted,) = await engine.submit([Submission(workflow=flow())])
        (grant,) = (await engine.poll(SESSION, 1, held=(), free=1, resources_free={}, wait_s=5)).grants
        ref = ArtifactRef(
            name="a", key=f".runs/{grant.run_id}/a", sha256="0" * 64, size_bytes=1, content_type="text/plain"
        )
        await engine.report(SESSION, [RunReport(run_id=grant.run_id, kind="completed", artifacts=(ref,))])
        (other,) = await engine.submit([Submission(workflow=flow())])
        await engine.tell(other.job.job_id, CancelRequested())
        job = await engine.reads.job(submitted.job.job_id)
        assert job is not None
        waiting = await engine.reads.waiting_for_job(job)
        assert [w.reason for w in waiting] == ["publishing"]
        gate.set()
        ended = await engine.wait_job(submitted.job.job_id, wait_s=10)
        assert ended is not None and ended.state == "completed"
        await engine.stop()

    run(body)


def test_queues_are_changed_and_shown(tmp_path, flow):
    """Settings last over a restart; nonsense is refused with the field (R25, R26)."""

    async def body() -> None:
        engine = engine_at(tmp_path)
        await engine.start()
        shown = await engine.update_queue(
            "gpu", {"concurrency": 2, "rate_limit": {"limit": 5, "period_s": 1}}, actor="t"
        )
        assert (shown["name"], shown["concurrency"], shown["paused"]) == ("gpu", 2, False)
        for changes in (
            {"concurrency": -1},
            {"paused": "yes"},
            {"speed": 1},
            {"rate_limit": {"limit": 0, "period_s": 1}},
        ):
            with pytest.raises(InvalidRequest):
                await engine.update_queue("gpu", changes, actor="t")
        await engine.update_queue("gpu", {"paused": True}, actor="t")
        await engine.stop()
        engine = engine_at(tmp_path)
        await engine.start()
        (queue,) = [q for q in await engine.reads.queues() if q["name"] == "gpu"]
        assert queue["paused"] and queue["concurrency"] == 2 and queue["rate_limit"]["limit"] == 5
        cleared = await engine.update_queue("gpu", {"paused": False, "concurrency": None}, actor="t")
        assert cleared["concurrency"] is None and not cleared["paused"]
        stats = await engine.reads.stats()
        assert stats["engine"]["commits"] >= 1
        await engine.stop()

    run(body)
