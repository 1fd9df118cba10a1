"""Delays that are forgotten, clocks that jump, limits that are eaten or overtaken."""

from __future__ import annotations

from datetime import timedelta

from orpheus import Retry, RetryAfter, sleep, task, workflow
from orpheus.testing import Kit

STEADY = Retry(max_retries=3, initial_s=3600, jitter=0)


@task(retry=STEADY)
def work(n: int) -> int:
    return n


@task(rate_limit={"limit": 2, "period_s": 60})
def limited(n: int) -> int:
    return n


@task(queue="narrow")
def narrow(n: int) -> int:
    return n


@workflow
def flow(n: int) -> int:
    return work(n)


@workflow
def limited_flow(n: int) -> int:
    return limited(n)


@workflow
def narrow_flow(n: int) -> int:
    return narrow(n)


@workflow
def sleeper(n: int) -> int:
    return work.using(after=sleep(86_400))(n)


def test_a_retrys_delay_outlives_a_restart(kit: Kit) -> None:
    """Delays kept in a worker's memory: after a restart the retry is run at once, or never (coleifer/huey #73; Celery's
    eta and countdown)."""
    kit.fake(work, raises=RetryAfter(7200), times=1)
    job = kit.submit(flow, n=1)
    kit.settle()
    kit.restart(down_s=60)
    kit.settle()
    assert job.task("work").state == "retrying"
    kit.advance(7200 - 61)
    assert job.task("work").state == "retrying"
    kit.advance(2)
    assert job.state == "completed"


def test_a_clock_that_jumps_forward_and_back(kit: Kit) -> None:
    """A corrected system clock fires everything at once, or stops everything (celery/celery #3685, #6742): leases and
    running work do not notice, timers go by the instants they were given."""
    kit.fake(work, takes_s=600)
    running = kit.submit(flow, n=1)
    kit.settle()
    kit.clock.jump(3600)  # an hour ahead
    kit.advance(5)
    assert running.task("work").state == "running", "an hour on the wall is no hour of silence (R7)"
    kit.clock.jump(-7200)
    assert running.run().state == "completed" and len(running.attempts("work")) == 1


def test_a_schedule_fires_once_whatever_restarts_and_clocks_do(kit: Kit) -> None:
    """A slot that fires again after a restart (plashchynski/crono #63 and many a cron), or again when the clock is set
    back."""
    nightly = kit.schedule("nightly", flow, {"n": 1}, cron="0 3 * * *")
    kit.advance(hours=3, seconds=1)
    assert len(nightly.jobs) == 1
    for _ in range(3):
        kit.restart()
        kit.settle()
    kit.clock.jump(-3600)
    kit.advance(hours=2)
    assert len(nightly.jobs) == 1
    kit.advance(hours=23)
    assert len(nightly.jobs) == 2


def test_missed_slots_do_not_all_fire_at_once(kit: Kit) -> None:
    """A scheduler that was down for a week sends a week of jobs when it is back: one run, by default (R27)."""
    often = kit.schedule("often", flow, {"n": 1}, every_s=600)
    kit.restart(down_s=7 * 86_400)
    kit.settle()
    assert len(often.jobs) == 1


def test_cancelled_work_does_not_eat_its_rate(kit: Kit) -> None:
    """Jobs cancelled while they wait keep the slots of a limit they never used (PrefectHQ/prefect #8566)."""
    doomed = [kit.submit(limited_flow, n=n) for n in range(50)]
    kit.settle()
    assert sum(job.state == "completed" for job in doomed) == 2
    for job in doomed[2:]:
        job.cancel()
    job = kit.submit(limited_flow, n=99).run()
    assert job.state == "completed" and kit.now - kit.START <= timedelta(seconds=61)


def test_a_cancelled_run_gives_its_slot_back(kit: Kit) -> None:
    """The same for a running task's place in a queue's limit."""
    kit.call(lambda engine: engine.update_queue("narrow", {"concurrency": 1}, actor="test"))
    kit.fake(narrow, takes_s=3600, times=1)
    first, second = kit.submit(narrow_flow, n=1), kit.submit(narrow_flow, n=2)
    kit.settle()
    assert [one.reason for one in second.waiting_for] == ["slot"]
    first.cancel()
    assert second.run().state == "completed" and kit.now - kit.START < timedelta(minutes=1)


def test_priority_is_not_undone_by_prefetch() -> None:
    """Workers that have reserved a backlog of unimportant tasks leave an urgent one waiting behind it (celery/celery #2635):
    tasks are handed out one by one, when there is room."""
    with Kit(slots=1) as kit:
        kit.fake(work, takes_s=60)
        backlog = [kit.using(priority=5).submit(flow, n=n) for n in range(20)]
        kit.advance(1)
        urgent = kit.using(priority=1).submit(flow, n=99).run()
        assert kit.now - kit.START <= timedelta(seconds=121)
        assert urgent.state == "completed" and sum(job.state == "completed" for job in backlog) == 1


def test_a_paused_queue_keeps_its_timers(kit: Kit) -> None:
    """What falls due while a queue or job is paused is dropped, and never runs after the resume: a pause stops claims and
    nothing else (R26)."""
    job = kit.submit(sleeper, n=1)
    kit.settle()
    kit.call(lambda engine: engine.update_queue("default", {"paused": True}, actor="test"))
    job.pause()
    kit.advance(days=2)
    assert job.task("sleep").state == "completed" and job.task("work").state == "ready"
    kit.restart()
    job.resume()
    kit.settle()
    assert [one.reason for one in job.waiting_for] == ["pause"]
    kit.call(lambda engine: engine.update_queue("default", {"paused": False}, actor="test"))
    assert job.run().state == "completed"
