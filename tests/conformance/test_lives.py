"""What may happen to a job and its runs, whatever the engine (R6, R8, R9, R15, R16, R18, R21, R26)."""

from __future__ import annotations

import asyncio

import pytest

from orpheus.core.errors import IdempotencyConflict, InvalidTransition, OrpheusError, UnknownJob, UnknownWorkflow
from orpheus.core.facts import CancelRequested, JobApproved, PauseRequested, ResumeRequested, RetryRequested
from orpheus.engine.base import RunReport, Submission


def test_events_are_gapless_and_tell_the_whole_life(bench, flow):
    """seq from 1 without a gap; the stream carries the same events in the same order (R1, R2)."""

    async def body(b):
        start = b.engine.cursor()
        await b.work({"step@1": lambda _grant: None})
        job_id = await b.submit(flow({"name": "a"}, {"name": "b", "after": ["a"]}))
        await b.end(job_id)
        events = await b.engine.reads.events(job_id, after=0, limit=100)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.type for event in events if event.type.startswith("job.")] == [
            "job.created", "job.queued", "job.started", "job.completed",
        ]  # fmt: skip
        streamed = []
        async for published in b.engine.subscribe(after=start):
            if published is not None:
                streamed.append((published.event.seq, published.event.type))
                if published.event.type == "job.completed":
                    break
        assert streamed == [(event.seq, event.type) for event in events]

    bench(body)


def test_a_cancel_ends_idle_work_at_once(bench, flow):
    """And again changes nothing; what ended cannot be cancelled (R18)."""

    async def body(b):
        job_id = await b.submit(flow())
        assert (await b.engine.tell(job_id, CancelRequested(reason="no"))).state == "cancelled"
        assert (await b.engine.tell(job_id, CancelRequested())).state == "cancelled"
        await b.work({"step@1": lambda _grant: None})
        done = await b.submit(flow())
        await b.end(done)
        with pytest.raises(InvalidTransition):
            await b.engine.tell(done, CancelRequested())

    bench(body)


def test_a_cancel_reaches_a_running_worker(bench, flow):
    """By the poll that waits; its word ends the job (R18)."""

    async def body(b):
        session = await b.session()
        job_id = await b.submit(flow())
        (grant,) = await session.poll()
        waiting = asyncio.create_task(session.poll(free=0))
        await asyncio.sleep(0.05)
        await b.engine.tell(job_id, CancelRequested())
        await waiting
        assert [order.run_id for order in session.cancels] == [grant.run_id]
        assert await session.report(RunReport(run_id=grant.run_id, kind="cancelled")) == [None]
        assert (await b.end(job_id)).state == "cancelled"

    bench(body)


def test_a_silent_worker_is_rescued_and_its_late_report_is_stale(bench, flow):
    """One attempt each (R6, R9)."""

    async def body(b):
        silent = await b.session()
        job_id = await b.submit(flow({"name": "a", "retry": {"initial_s": 0.01}}))
        (lost,) = await silent.poll()
        other = await b.session()
        (again,) = await other.poll(wait_s=10)
        assert again.task.attempt == 2
        assert (await silent.complete(lost, "late")).code == "stale_run"
        assert await other.complete(again, "good") is None
        assert (await b.end(job_id)).state == "completed"

    bench(body)


def test_a_run_missing_from_the_next_poll_returns_at_once(bench, flow):
    """Without an attempt (R8)."""

    async def body(b):
        session = await b.session()
        await b.submit(flow())
        (lost,) = await session.poll()
        session.held.clear()
        (again,) = await session.poll(wait_s=0.9)
        assert again.run_id != lost.run_id and again.task.attempt == 1

    bench(body)


def test_a_report_is_answered_item_by_item(bench, flow):
    """Good ones count whatever stands beside them (R8)."""

    async def body(b):
        session = await b.session()
        job_id = await b.submit(flow())
        (grant,) = await session.poll()
        answers = await session.report(
            RunReport(run_id="nobody", kind="completed"), RunReport(run_id=grant.run_id, kind="completed")
        )
        assert [answer and answer.code for answer in answers] == ["stale_run", None]
        assert (await b.end(job_id)).state == "completed"

    bench(body)


def test_a_pause_stops_claims_only(bench, flow):
    """What runs goes on; resumed, the rest follows (R26)."""

    async def body(b):
        session = await b.session()
        job_id = await b.submit(flow({"name": "a"}, {"name": "b", "after": ["a"]}))
        (grant,) = await session.poll()
        await b.engine.tell(job_id, PauseRequested())
        assert await session.complete(grant) is None
        assert await session.poll(wait_s=0.2) == []
        assert (await b.engine.tell(job_id, PauseRequested())).paused
        await b.engine.tell(job_id, ResumeRequested())
        (grant,) = await session.poll()
        await session.complete(grant)
        assert (await b.end(job_id)).state == "completed"

    bench(body)


def test_keys_batches_and_tenants(bench, flow):
    """Idempotency, atomicity, and whose job it is (R16, R21)."""

    async def body(b):
        one = Submission(workflow=flow(), params={"x": 1}, idempotency_key="k")
        (first,) = await b.engine.submit([one])
        (again,) = await b.engine.submit([one])
        assert (first.created, again.created) == (True, False) and first.job.job_id == again.job.job_id
        with pytest.raises(IdempotencyConflict):
            await b.engine.submit([Submission(workflow=flow(), params={"x": 2}, idempotency_key="k")])
        with pytest.raises(OrpheusError):
            await b.engine.submit([Submission(workflow=flow()), Submission(workflow=flow(), params={"y": 2})])
        with pytest.raises(UnknownWorkflow):
            await b.engine.submit([Submission(workflow="nothing-like-it")])
        with pytest.raises(UnknownJob):
            await b.engine.tell(first.job.job_id, CancelRequested(), tenant="somebody-else")
        with pytest.raises(UnknownJob):
            await b.engine.submit([Submission(workflow=flow(), depends_on=(("no-such-job", "end"),))])

    bench(body)


def test_dependencies_and_approval_hold_a_job(bench, flow):
    """And let it go, or cancel it (R15, R16)."""

    async def body(b):
        await b.work({"step@1": lambda _grant: None})
        first = await b.submit(flow(), requires_approval=True)
        met = await b.submit(flow(), depends_on=((first, "success"),))
        await b.engine.tell(first, JobApproved())
        assert (await b.end(met)).state == "completed"
        doomed = await b.submit(flow(), requires_approval=True)
        broken = await b.submit(flow(), depends_on=((doomed, "success"),))
        await b.engine.tell(doomed, CancelRequested())
        job = await b.end(broken)
        assert (job.state, job.error.code) == ("cancelled", "dependency_failed")

    bench(body)


def test_a_failed_job_is_retried_from_where_it_failed(bench, flow):
    """Finished tasks are kept (R20)."""

    async def body(b):
        seen = []

        def second_time(grant):
            seen.append(grant.task.node)
            if grant.task.node == "b" and grant.task.generation == 1:
                raise ValueError("first time")

        await b.work({"step@1": second_time})
        job_id = await b.submit(flow({"name": "a"}, {"name": "b", "after": ["a"], "retry": {"max_retries": 0}}))
        assert (await b.end(job_id)).state == "failed"
        await b.engine.tell(job_id, RetryRequested())
        assert (await b.end(job_id)).state == "completed"
        assert seen == ["a", "b", "b"]

    bench(body)


def test_many_jobs_and_workers_each_task_once(bench, flow):
    """Nothing lost, nothing doubled (promise 2)."""

    async def body(b):
        seen: list[tuple[str, str]] = []
        for _ in range(4):
            await b.work({"step@1": lambda grant: seen.append((grant.job.job_id, grant.task.node))}, slots=7)
        graph = flow(
            {"name": "a"},
            {"name": "b", "after": ["a"]},
            {"name": "c", "after": ["a"]},
            {"name": "d", "after": ["b", "c"]},
        )
        await b.engine.publish(graph, actor="test")
        submitted = await b.engine.submit([Submission(workflow="flow") for _ in range(60)])
        for one in submitted:
            assert (await b.end(one.job.job_id, wait_s=30)).state == "completed"
        assert len(seen) == len(set(seen)) == 240

    bench(body)
