"""The test kit: what a user's test can stage, run through and claim."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orpheus import Context, Permanent, RetryAfter, task, workflow
from orpheus.core.errors import InvalidParams, InvalidTransition
from orpheus.testing import JobFailed, Kit, Stuck


class FakeModel:
    def hear(self, content: bytes) -> str:
        return content.decode()[::-1]


def test_a_whole_job(kit: Kit, flows: Any) -> None:
    """A file goes in, a resource is replaced, artifacts and typed results come out."""
    kit.resource(flows.load_model, FakeModel())
    job = kit.submit(flows.talk, source=kit.file("a.mp4", b"olleh"))
    assert job.state == "queued"
    assert job.run() is job
    assert job.state == "completed"
    assert job.result.name == "renders/cut.txt"
    assert job.read(job.result) == b"hello"
    assert job.artifact("renders/cut.txt").bytes == b"hello"
    assert job.artifacts["renders/cut.txt"].task == "cut"
    assert job.manifest["state"] == "completed" and job.manifest["source"]["name"] == "a.mp4"
    assert job.logs == ["cutting a.mp4"]
    job.events.assert_order("job.created", "task.started:transcribe", "task.completed:cut", "job.completed")
    job.events.assert_none("task.retrying", "job.failed")
    job.events.assert_count("task.started", 2)
    assert job.task_result("transcribe") == {"text": "hello", "seconds": 1.0}
    assert kit.now == datetime(2030, 1, 1, tzinfo=UTC)


def test_fakes_by_name_and_by_task(kit: Kit, flows: Any) -> None:
    """A fake is a function, a value or an exception; it knows what it was called with, and types are those of the task."""
    heard = kit.fake("transcribe", lambda ctx, audio: flows.Transcript(f"{audio.name} {ctx.attempt}", 2.0))
    cut = kit.fake(flows.cut, returns=kit.file("out.txt", "done"))
    job = kit.submit(flows.talk, source=kit.file("a.mp4", b"")).run()
    assert job.result.name == "out.txt"
    (call,) = cut.calls
    assert call.args["plan"] == flows.Transcript("a.mp4 1", 2.0) and call.attempt == 1
    assert len(heard.calls) == 1
    kit.unfake(cut)
    assert kit.run(flows.talk, source=kit.file("b.mp4", b"")).name == "renders/cut.txt"


def test_failures_run_out_and_waits_are_skipped(kit: Kit, flows: Any) -> None:
    """`times` failures, then the task itself; backoffs and RetryAfter pass on the clock alone (R17)."""
    kit.fake("transcribe", returns=flows.Transcript("x", 1.0))
    kit.fake("cut", raises=RetryAfter(7), times=1)
    kit.fake("cut", raises=ValueError("no disk"), times=2)
    job = kit.submit(flows.talk, source=kit.file("a.mp4", b"")).run()
    assert [one["outcome"] for one in job.attempts("cut")] == ["failed", "failed", "failed", "completed"]
    assert kit.now - kit.START == timedelta(seconds=100 + 200 + 7)


def test_a_failed_job_says_why(kit: Kit, flows: Any) -> None:
    """`result` raises with the handler's own exception as the cause; `run` does not."""
    job = kit.submit(flows.refused, n=1).run()
    assert job.state == "failed" and job.error is not None and job.error.task == "refuse"
    with pytest.raises(JobFailed, match="task 'refuse': nothing to see") as caught:
        _ = job.result
    assert isinstance(caught.value.__cause__, Permanent)
    assert caught.value.hint == "Send a picture." and caught.value.job is job


def test_days_pass_in_a_moment(kit: Kit, flows: Any) -> None:
    """By hand, or straight to the next due instant."""
    job = kit.submit(flows.patient, n=1)
    kit.advance(hours=23)
    assert job.state == "running" and [one.reason for one in job.waiting_for] == ["time"]
    kit.advance(timedelta(hours=1))
    assert job.state == "completed"
    later = kit.submit(flows.patient, n=1).run()
    assert later.state == "completed" and kit.now == kit.START + timedelta(days=2)
    kit.advance_to(datetime(2031, 1, 1, tzinfo=UTC))
    assert kit.now.year == 2031
    with pytest.raises(ValueError, match="back"):
        kit.advance(-1)


def test_a_delayed_job_and_its_dependent(kit: Kit, flows: Any) -> None:
    """Options of a submission; a job that waits for another one (R16)."""
    first = kit.using(delay_s=3600, tenant="acme", labels={"a": "b"}).submit(flows.rendering, n=1)
    second = kit.using(depends_on=[first], tenant="acme").submit(flows.rendering, n=2)
    assert [one.reason for one in second.waiting_for] == ["job"]
    second.run()
    assert first.state == "completed" and kit.now == kit.START + timedelta(hours=1)
    assert [job.id for job in kit.jobs] == [first.id, second.id]
    with pytest.raises(TypeError, match="delay"):
        kit.using(dely_s=1).submit(flows.rendering, n=1)


def test_a_job_that_waits_for_a_person(kit: Kit, flows: Any) -> None:
    """Job approval with edited params (R15); stuck until it comes."""
    job = kit.using(requires_approval=True).submit(flows.rendering, n=1)
    with pytest.raises(Stuck, match="waits for approval"):
        job.run()
    assert [one.reason for one in job.run_until_waiting()] == ["approval"]
    with pytest.raises(InvalidParams):
        job.approve(params={"n": "many"})
    job.approve(params={"n": 2}, comment="fine")
    assert job.run().state == "completed"
    with pytest.raises(AssertionError, match="has ended"):
        job.run_until_waiting()
    other = kit.using(requires_approval=True).submit(flows.rendering, n=1).reject(reason="no")
    kit.settle()
    assert other.state == "cancelled" and other.error is not None and other.error.code == "rejected"


def test_a_stuck_job_says_what_each_task_waits_for(kit: Kit, flows: Any) -> None:
    """Nobody offers a task: the message names it."""
    graph = {
        "format": 1,
        "name": "odd",
        "version": 1,
        "params": {"type": "object"},
        "nodes": [{"name": "a", "kind": "task", "task": "nobody", "version": 2, "args": {}}],
        "output": None,
    }
    job = kit.submit(graph)
    with pytest.raises(Stuck, match=r"a is ready: waits for worker .*nobody@2"):
        job.run()


def test_a_lost_worker_costs_an_attempt(kit: Kit, flows: Any) -> None:
    """What it had heartbeaten reaches the next attempt (R9, R17)."""
    kit.fake(flows.render, lost=True, times=2)
    job = kit.submit(flows.rendering, n=1).run()
    assert job.result == 20
    assert [one["outcome"] for one in job.attempts("render")] == ["lost", "lost", "completed"]
    poison = kit.fake(flows.render, lost=True)
    dead = kit.submit(flows.rendering, n=1).run()
    assert dead.state == "failed" and dead.error is not None and dead.error.code == "worker_lost"
    assert len(poison.calls) == 4


def test_attempts_that_take_time(kit: Kit, flows: Any) -> None:
    """Limits of attempts pass on the kit's clock: `start_to_close_s`, and `heartbeat_s` for a silent one."""
    kit.fake("transcribe", takes_s=3600)
    job = kit.submit(flows.talk, source=kit.file("a.mp4", b"")).run()
    assert job.state == "failed" and job.error is not None and job.error.code == "timeout_start_to_close"
    assert len(job.attempts("transcribe")) == 4
    kit.fake("render", takes_s=1800)
    assert kit.submit(flows.rendering, n=1).run().state == "completed"
    kit.fake("render", takes_s=1800, silent=True)
    silent = kit.submit(flows.rendering, n=1).run()
    assert silent.error is not None and silent.error.code == "timeout_heartbeat"


def test_slots_and_devices_are_shared(flows: Any) -> None:
    """Two devices, three tasks of an hour: the third waits for a device, and says so (R25)."""
    with Kit(flows, resources={"gpu": 2}) as kit:
        kit.fake("on_gpu", takes_s=3600)
        job = kit.submit(flows.gpus, numbers=[1, 2, 3])
        kit.advance(minutes=1)
        states = [str(job.task("on_gpu", index).state) for index in range(3)]
        assert states == ["running", "running", "ready"]
        job.run()
        assert job.result == [[0], [1], [0]]
        assert kit.now == kit.START + timedelta(hours=2)


def test_cancel_stops_what_runs(kit: Kit, flows: Any) -> None:
    """A running attempt is told; the job ends cancelled (R18)."""
    kit.fake("render", takes_s=3600)
    job = kit.submit(flows.rendering, n=1)
    kit.advance(minutes=1)
    job.cancel("enough")
    job.run()
    assert job.state == "cancelled" and kit.now < kit.START + timedelta(minutes=2)
    with pytest.raises(InvalidTransition):
        job.pause()


def test_retry_and_rewind(kit: Kit, flows: Any) -> None:
    """A generation of its own for what is done again (R20)."""
    kit.fake("transcribe", returns=flows.Transcript("x", 1.0))
    broken = kit.fake("cut", raises=Permanent("no"))
    job = kit.submit(flows.talk, source=kit.file("a.mp4", b"")).run()
    assert job.state == "failed"
    kit.unfake(broken)
    assert job.retry().run().state == "completed"
    job.events.assert_count("task.started:transcribe", 1)
    job.retry(from_task="transcribe").run()
    job.events.assert_count("task.started:transcribe", 2)


def test_restart_in_the_middle(kit: Kit, flows: Any) -> None:
    """The server ends as in a crash; a sleep, and a run that is under way, go on (promise 1, R7)."""
    kit.fake("render", takes_s=100)
    job = kit.submit(flows.patient, n=1)
    kit.advance(minutes=1)
    kit.restart(down_s=60)
    job.run()
    assert job.state == "completed"
    assert all(len(job.attempts("render", index)) == 1 for index in (0, 1))


def test_a_dead_worker_and_its_successor(kit: Kit, flows: Any) -> None:
    kit.fake("render", takes_s=100)
    job = kit.submit(flows.rendering, n=1)
    kit.advance(10)
    kit.kill_worker()
    kit.advance(60)
    assert [one["outcome"] for one in job.attempts("render")] == ["lost"]
    kit.start_worker()
    assert job.run().state == "completed"


def test_in_an_async_test(flows: Any) -> None:
    """The same calls, where a loop runs already."""

    async def test() -> int:
        async with Kit() as kit:
            job = kit.submit(flows.rendering, n=1)
            job.run()
            return job.result

    assert asyncio.run(test()) == 0


def test_names_are_checked(kit: Kit, flows: Any) -> None:
    """A fake, a task or an artifact that is not there is named, with the nearest match."""
    with pytest.raises(LookupError, match="transcribe"):
        kit.fake("transcribed")
    job = kit.submit(flows.rendering, n=1).run()
    with pytest.raises(LookupError, match='Did you mean "render"'):
        job.task("rander")
    with pytest.raises(LookupError, match="none"):
        job.artifact("x")
    with pytest.raises(TypeError, match="one of"):
        kit.fake("render", returns=1, raises=ValueError)
    with pytest.raises(AssertionError, match=r"no event 'job.failed' after job.created"):
        job.events.assert_order("job.created", "job.failed")


def test_a_workflow_brings_what_it_runs() -> None:
    """An empty kit learns a workflow when it is submitted."""

    @task
    def one() -> str:
        return "one"

    @workflow
    def single() -> str:
        return one()

    with Kit() as kit:
        kit.fake("one", lambda: "two")
        assert kit.run(single) == "two"


def test_a_failing_test_inside_a_fake_goes_through(kit: Kit, flows: Any) -> None:
    """`pytest.fail` in a fake ends the test; an assertion is the attempt's failure, and the cause."""

    def failing(n: int) -> int:
        pytest.fail("not to be called")

    fake = kit.fake("render", failing)
    with pytest.raises(pytest.fail.Exception):
        kit.submit(flows.rendering, n=1).run()
    kit.unfake(fake)


def test_a_test_is_quick(kit: Kit, flows: Any, tmp_path: Path) -> None:
    """Large results are spilled and come back; a year of retries is nothing."""

    @task
    def large(ctx: Context, n: int) -> list[str]:
        return ["x" * 1000] * n

    @task
    def count(values: list[str]) -> int:
        return len(values)

    @workflow
    def big(n: int) -> int:
        return count(large(n))

    assert kit.run(big, n=500) == 500
    kit.advance(days=365)
