"""How long a run is its worker's, and what ends it (R5 to R9, R18)."""

from __future__ import annotations

from dataclasses import replace

from orpheus.core.facts import CancelRequested, RetryRequested
from orpheus.engine.base import RunReport


def test_a_lapsed_lease_costs_one_attempt(cluster, flow):
    """The task is rescued, waits its backoff, and another worker gets the next attempt (R9)."""
    job_id = cluster.submit(flow())
    silent = cluster.worker(name="silent")
    (lost,) = silent.poll()
    cluster.advance(29.9)
    assert cluster.task(job_id, "a").state == "running"
    cluster.advance(0.2)
    assert cluster.task(job_id, "a").state == "retrying"
    assert "task.rescued" in cluster.events(job_id)
    assert "the worker fake was not heard of" in cluster.task(job_id, "a").error.message
    cluster.advance(2.0)
    (grant,) = cluster.worker(name="other").poll()
    assert grant.task.attempt == 2 and grant.run_id != lost.run_id
    assert silent.complete(lost).code == "stale_run"


def test_a_file_that_kills_its_worker_ends_as_failed(cluster, flow):
    """Four attempts with max_retries=3, then the job fails with worker_lost (R5, R9, promise 3)."""
    job_id = cluster.submit(flow())
    attempts = 0
    for number in range(10):
        worker = cluster.worker(name=f"victim-{number}")
        if not worker.poll():
            break
        attempts += 1
        cluster.advance(45.0)
    assert attempts == 4
    job = cluster.job(job_id)
    assert job.state == "failed" and job.error.code == "worker_lost"


def test_heartbeats_keep_a_run(cluster, flow):
    """A worker that is heard keeps its runs for as long as it takes (R7)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    cluster.advance(300.0, beating=[worker])
    assert worker.complete(grant, 1) is None
    assert cluster.job(job_id).state == "completed"


def test_polls_renew_what_they_hold(cluster, flow):
    """A worker that only polls is heard too (R7)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    worker.poll()
    for _ in range(4):
        cluster.advance(20.0)
        worker.poll()
    assert cluster.task(job_id, "a").state == "running"


def test_a_late_report_of_a_run_not_yet_rescued_is_accepted(cluster, flow):
    """The lease may have lapsed: as long as nobody acted on it, the report counts (R6)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    cluster.clock.advance(500.0)  # nobody looked at the clock meanwhile
    answers = []
    cluster.machine.workers.report(
        worker.session_id, [RunReport(run_id=grant.run_id, kind="completed")], answers.extend
    )
    cluster.settle()
    assert answers == [None]
    assert cluster.job(job_id).state == "completed"


def test_a_renewal_before_the_rescue_is_carried_out_saves_the_run(cluster, flow):
    """The limit is looked at again in the transaction that would end the run (R6)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    worker.poll()
    for _ in range(29):
        cluster.clock.advance(1.0)
        cluster.machine.tick()
    cluster.clock.advance(1.5)
    cluster.machine.tick()  # the rescue is queued
    worker.beat()
    cluster.settle()
    assert cluster.task(job_id, "a").state == "running"
    cluster.advance(31.0)
    assert cluster.task(job_id, "a").state != "running"


def test_a_stall_of_the_server_gives_every_lease_its_full_length_again(cluster, flow):
    """Silence while the server itself stood still is nobody's fault (R7)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    worker.poll()
    cluster.advance(25.0)
    cluster.clock.advance(600.0)
    cluster.settle()
    cluster.advance(29.0)
    assert cluster.task(job_id, "a").state == "running"
    cluster.advance(1.5)
    assert cluster.task(job_id, "a").state == "retrying"


def test_a_jump_of_the_wall_clock_ends_no_lease(cluster, flow):
    """Leases are measured by the monotonic clock (promise 7)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    worker.poll()
    cluster.clock.wall += 86_400.0
    cluster.advance(10.0)
    cluster.clock.wall -= 2 * 86_400.0
    cluster.advance(10.0)
    assert cluster.task(job_id, "a").state == "running"


def test_a_restart_gives_every_lease_its_full_length_again(cluster, flow):
    """However long the server was away (R7), and the worker goes on with what it holds."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    cluster.restart(after_s=3_000.0)
    cluster.advance(29.0)
    assert worker.hello() == ()
    cluster.advance(29.0)
    assert worker.complete(grant, 1) is None
    assert cluster.job(job_id).state == "completed"


def test_a_report_is_accepted_before_the_worker_has_said_hello_again(cluster, flow):
    """What fences a report is its run_id, not the session (R6)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    cluster.restart()
    assert worker.complete(grant, 1) is None
    assert cluster.job(job_id).state == "completed"


def test_a_grant_lost_with_the_server_returns_at_the_next_hello(cluster, flow):
    """Committed, never received: it costs no attempt (R8)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    worker.ask(seq=1)  # its answer dies with the server
    assert cluster.task(job_id, "a").state == "running"
    cluster.restart()
    worker.hello()
    (grant,) = worker.poll()
    assert grant.task.attempt == 1


def test_a_grant_that_no_answer_carried_costs_no_attempt(cluster, flow):
    """The worker vanished between its poll and the commit: no attempt was made (R8, R9)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    box = worker.ask(seq=1, settle=False)
    cluster.machine.sessions.hang_up(worker.session_id, 1, box)
    cluster.settle()
    cluster.advance(31.0)
    task = cluster.task(job_id, "a")
    assert task.state == "ready" and task.attempt == 0


def test_start_to_close_ends_an_attempt(cluster, flow):
    """However alive its worker; the worker is told that the run is over (R5)."""
    node = {"name": "a", "timeouts": {"start_to_close_s": 10}, "retry": {"max_retries": 0}}
    job_id = cluster.submit(flow("slow", node))
    worker = cluster.worker()
    (grant,) = worker.poll()
    box = worker.ask()
    cluster.advance(9.9, beating=[worker])
    assert not box.done
    cluster.advance(0.2, beating=[worker])
    assert box.get().unknown == (grant.run_id,)
    assert cluster.job(job_id).error.code == "timeout_start_to_close"


def test_a_silent_handler_passes_its_heartbeat_limit(cluster, flow):
    """The session is heard, the handler is not; progress counts as a heartbeat."""
    node = {"name": "a", "timeouts": {"heartbeat_s": 10}, "retry": {"max_retries": 0}}
    job_id = cluster.submit(flow("quiet", node))
    worker = cluster.worker()
    (grant,) = worker.poll()
    for _ in range(3):
        cluster.advance(9.0, beating=[worker])
        assert worker.report(RunReport(run_id=grant.run_id, kind="progress", fraction=0.1)) == [None]
    cluster.advance(11.0, beating=[worker])
    assert cluster.job(job_id).error.code == "timeout_heartbeat"


def test_schedule_to_close_spans_attempts(cluster, flow):
    """It begins at the first ready and is final (R5)."""
    node = {
        "name": "a",
        "timeouts": {"schedule_to_close_s": 20},
        "retry": {"max_retries": 9, "initial_s": 5, "jitter": 0},
    }
    job_id = cluster.submit(flow("bounded", node))
    worker = cluster.worker()
    cluster.advance(8.0, beating=[worker])
    worker.fail(worker.poll()[0])
    cluster.advance(6.0, beating=[worker])
    assert len(worker.poll()) == 1
    cluster.advance(6.5, beating=[worker])
    assert cluster.job(job_id).error.code == "timeout_schedule_to_close"


def test_schedule_to_start_ends_a_task_nobody_takes(cluster, flow):
    """A ready task waits for a worker only so long (R5)."""
    job_id = cluster.submit(flow("lonely", {"name": "a", "timeouts": {"schedule_to_start_s": 60}}))
    cluster.advance(59.0)
    assert cluster.task(job_id, "a").state == "ready"
    cluster.advance(2.0)
    assert cluster.job(job_id).error.code == "timeout_schedule_to_start"


def test_a_cancelled_run_is_told_at_once_and_may_stop_by_itself(cluster, flow):
    """The waiting poll is answered with the order; the worker's report ends the job (R18)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    box = worker.ask()
    cluster.tell(job_id, CancelRequested(reason="changed my mind"))
    (order,) = box.get().cancel
    assert (order.run_id, order.reason, order.grace_s) == (grant.run_id, "changed my mind", 10.0)
    assert cluster.job(job_id).state == "running"
    assert worker.report(RunReport(run_id=grant.run_id, kind="cancelled")) == [None]
    assert cluster.job(job_id).state == "cancelled"


def test_a_run_that_does_not_stop_is_fenced_after_its_grace(cluster, flow):
    """Its worker is alive and does not obey: the job ends without it (R18)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    cluster.tell(job_id, CancelRequested())
    cluster.advance(9.9, beating=[worker])
    assert cluster.job(job_id).state == "running"
    cluster.advance(0.2, beating=[worker])
    assert cluster.job(job_id).state == "cancelled"
    assert worker.complete(grant).code == "stale_run"
    assert worker.beat()[1] == (grant.run_id,)


def test_the_grace_is_a_setting(cluster, flow):
    """The worker is told the engine's grace, and fenced after it (R18)."""
    cluster.machine.options = replace(cluster.machine.options, grace_s=2.5)
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    worker.poll()
    cluster.tell(job_id, CancelRequested())
    worker.poll()
    (order,) = worker.last.cancel
    assert order.grace_s == 2.5
    cluster.advance(2.4)
    assert cluster.job(job_id).state == "running"
    cluster.advance(0.2)
    assert cluster.job(job_id).state == "cancelled"


def test_a_completion_in_between_is_accepted_and_starts_nothing(cluster, flow):
    """The job still ends cancelled (R18)."""
    job_id = cluster.submit(flow("two", {"name": "a"}, {"name": "b", "after": ["a"]}))
    worker = cluster.worker()
    (grant,) = worker.poll()
    cluster.tell(job_id, CancelRequested())
    assert worker.complete(grant, 1) is None
    assert cluster.job(job_id).state == "cancelled"
    assert cluster.task(job_id, "a").state == "completed"
    assert worker.poll() == []


def test_a_cancel_survives_a_restart(cluster, flow):
    """The order is given again, with its grace (R18)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.poll()
    cluster.tell(job_id, CancelRequested(reason="stop"))
    cluster.restart()
    worker.hello()
    (order,) = worker.take(worker.ask()).cancel
    assert order.run_id == grant.run_id
    cluster.advance(11.0, beating=[worker])
    assert cluster.job(job_id).state == "cancelled"


def test_a_rewind_fences_what_runs_and_tells_the_worker(cluster, flow):
    """The old run is stale, the new generation is claimed anew (R20)."""
    job_id = cluster.submit(flow("two", {"name": "a"}, {"name": "b", "after": ["a"]}))
    worker = cluster.worker()
    worker.complete(worker.poll()[0], 1)
    (old,) = worker.poll()
    box = worker.ask(free=0)
    cluster.tell(job_id, RetryRequested(from_task="a"))
    assert box.get().unknown == (old.run_id,)
    worker.held.clear()
    assert worker.complete(old).code == "stale_run"
    (again,) = worker.poll()
    assert (again.task.node, again.task.generation) == ("a", 2)
    worker.complete(again)
    worker.complete(worker.poll()[0])
    assert cluster.job(job_id).state == "completed"


def test_what_was_claimed_for_a_session_that_said_goodbye_meanwhile_goes_back(cluster, flow):
    """The claim was on its way when the goodbye came (of a worker that was killed, by who started it). No answer carried the
    grant, so the task is ready at once, and no attempt was made (R8)."""
    cluster.publish(flow("plain"))
    worker = cluster.worker()
    jobs = [cluster.submit("plain") for _ in range(2)]
    worker.ask(free=2, settle=False)
    assert cluster.machine.has_work(), "the claim waits for its transaction"
    cluster.machine.workers.bye(worker.session_id, lambda _outcome: None)
    cluster.settle()
    for job_id in jobs:
        task = cluster.task(job_id, "a")
        assert (task.state, task.attempt, task.run_id) == ("ready", 0, None)
    other = cluster.worker(name="other")
    assert {grant.job.job_id for grant in other.take(other.ask(free=2)).grants} == set(jobs)


def test_a_goodbye_gives_up_what_is_still_held(cluster, flow):
    """The rescue follows at once instead of after a lease (R9)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    worker.poll()
    cluster.machine.workers.bye(worker.session_id, lambda _outcome: None)
    cluster.advance(0.1)
    assert cluster.task(job_id, "a").state == "retrying"


def test_an_idle_session_is_forgotten(cluster):
    """Memory is bounded by who works, not by who ever did (promise 5)."""
    cluster.worker()
    cluster.advance(302.0)
    assert len(cluster.machine.sessions) == 0


def test_records_of_workers_that_never_came_back_are_closed_and_forgotten(cluster):
    """After a restart nobody else would do it; the list of workers stays short (promise 5)."""
    cluster.worker(name="gone")
    cluster.restart()
    cluster.advance(365.0)
    ended = cluster.store.connection.execute("SELECT ended_at IS NOT NULL FROM workers").fetchall()
    assert ended == [(1,)]
    cluster.advance(3_700.0)
    assert cluster.store.connection.execute("SELECT count(*) FROM workers").fetchone() == (0,)
