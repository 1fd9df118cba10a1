"""Work that is lost, doubled, or overwritten when workers and servers go away."""

from __future__ import annotations

from typing import Any

import pytest

from orpheus import Context, Retry, task, workflow
from orpheus.core.errors import IdempotencyConflict, OrpheusError
from orpheus.engine.base import RunReport
from orpheus.testing import Kit, KitJob

STEADY = Retry(max_retries=3, initial_s=60, jitter=0)


@task(retry=STEADY, start_to_close_s=86_400)
def work(ctx: Context, n: int) -> int:
    return n


@workflow
def flow(n: int) -> int:
    return work(n)


def report(kit: Kit, run_id: str, **what: Any) -> OrpheusError | None:
    """Say something of a run, as a worker does that has been away."""
    answers: list[Any] = []
    kit.engine.machine.workers.report("long-gone-session", [RunReport(run_id=run_id, **what)], answers.extend)
    kit.engine.pump()
    found: OrpheusError | None = answers[0]
    return found


def run_ids(job: KitJob[Any]) -> list[str]:
    return [one["run_id"] for one in job.attempts("work")]


def test_a_rescue_does_not_overwrite_what_has_completed(kit: Kit) -> None:
    """The rescuer read the row while it ran, and writes `retryable` over a job that has completed meanwhile
    (riverqueue/river #1302)."""
    kit.fake(work, lost=True, times=1)
    job = kit.submit(flow, n=1)
    kit.settle()
    (first,) = run_ids(job)
    kit.clock.advance(29.0)
    assert report(kit, first, kind="completed", result=7) is None, "a report before the rescue is accepted (R6)"
    kit.advance(3600)
    assert job.state == "completed" and job.result == 7
    job.events.assert_none("task.rescued")
    job.events.assert_count("task.completed:work", 1)


def test_a_zombie_does_not_undo_its_successor(kit: Kit) -> None:
    """Attempt 2, thought dead, fails after attempt 3 has ended, and sets the job back to `retryable` (oban-bg/oban
    #532)."""
    kit.fake(work, lost=True, times=1)
    job = kit.submit(flow, n=1).run()
    first, second = run_ids(job)
    assert job.state == "completed" and first != second
    before = (job.row, job.events.names)
    for late in ({"kind": "failed"}, {"kind": "completed", "result": 99}, {"kind": "cancelled"}):
        refused = report(kit, first, **late)
        assert refused is not None and refused.code == "stale_run"
    assert (job.row, job.events.names) == before and job.result == 1


def test_a_poison_job_ends(kit: Kit) -> None:
    """A task that kills its worker comes back for ever, and takes worker after worker down (taskiq-aio-pika #35, celery's
    reject_on_worker_lost): here each death costs an attempt (R9)."""
    poison = kit.fake(work, lost=True)
    job = kit.submit(flow, n=1).run()
    assert job.state == "failed" and job.error is not None and job.error.code == "worker_lost"
    assert len(poison.calls) == 4
    healthy = kit.submit(flow, n=2)
    kit.unfake(poison)
    assert healthy.run().result == 2


def test_a_long_task_is_not_given_to_a_second_worker(kit: Kit) -> None:
    """A task that takes longer than the broker's visibility timeout is run again beside itself (celery/kombu #337,
    celery/celery #2599, #5306; Oban's Lifeline likewise): a lease is renewed for as long as its worker is heard."""
    fake = kit.fake(work, takes_s=12 * 3600)
    job = kit.submit(flow, n=1).run()
    assert job.state == "completed" and len(fake.calls) == 1 and len(run_ids(job)) == 1


def test_running_work_does_not_stay_running_for_ever(kit: Kit) -> None:
    """Server and worker die together; after the restart the job is `started` (`doing`, `executing`) for ever
    (procrastinate #307, rq #1846, oban #424)."""
    kit.fake(work, takes_s=600, times=1)
    job = kit.submit(flow, n=1)
    kit.settle()
    kit.kill_worker()
    kit.restart(down_s=3600)
    kit.advance(120)
    assert job.attempts("work")[0]["outcome"] == "lost"
    kit.start_worker()
    assert job.run().state == "completed"


def test_a_result_is_not_lost_between_ack_and_commit(kit: Kit) -> None:
    """The worker's result was acknowledged, and the server died before it was stored; or stored, and the answer was lost
    (Prefect #12970 runs the task again). Here the answer follows the commit, and the same report again changes nothing."""
    kit.fake(work, lost=True, times=1)
    job = kit.submit(flow, n=1)
    kit.settle()
    (first,) = run_ids(job)
    machine = kit.engine.machine
    answers: list[Any] = []
    machine.workers.report("s" * 16, [RunReport(run_id=first, kind="completed", result=7)], answers.extend)
    batch = machine.run_batch()
    assert batch is not None and answers == [], "nothing is acknowledged before the commit"
    machine.commit()
    kit.restart()  # committed, never answered: the worker says it again
    again = report(kit, first, kind="completed", result=7)
    assert again is None or again.code == "stale_run"
    assert job.run().result == 7 and len(run_ids(job)) == 1
    job.events.assert_count("task.completed:work", 1)


def test_an_idempotency_key_does_not_stand_in_the_way_of_a_retry(kit: Kit) -> None:
    """Uniqueness that counts the failed job itself, so that it can never be retried, and everything behind it waits
    (oban-bg/oban #1259, #1416)."""
    broken = kit.fake(work, raises=ValueError("no"))
    options = kit.using(idempotency_key="order-17")
    job = options.submit(flow, n=1).run()
    assert job.state == "failed"
    assert options.submit(flow, n=1).id == job.id, "the key still means this job (R21)"
    kit.unfake(broken)
    assert job.retry().run().state == "completed"
    with pytest.raises(IdempotencyConflict):
        options.submit(flow, n=2)


def test_a_dead_receiver_holds_up_nobody(kit: Kit) -> None:
    """Webhooks are sent one after the other, and a receiver that is dead for days makes all others wait, or the jobs
    themselves: each destination is on its own, and gives up on its own (R28)."""
    kit.hooks.answer = lambda delivery: 503 if delivery.destination.startswith("https://dead") else 204
    told = [kit.using(webhook_url="https://alive.example/").submit(flow, n=n) for n in range(3)]
    dead = [kit.using(webhook_url="https://dead.example/").submit(flow, n=n) for n in range(3)]
    kit.advance(minutes=1)
    assert all(job.state == "completed" for job in (*told, *dead))
    assert [call.job_id for call in kit.hooks.calls if call.status == 204] == [job.id for job in told]
    kit.advance(days=7)
    assert not any(call.status == 204 for call in kit.hooks.calls if "dead" in call.url)
    assert kit.hooks.next_due_in() is None, "given up, and kept to be sent again by hand"
