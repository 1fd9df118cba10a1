"""Sleeps and delays across restarts, pauses, cancels and rewinds (R5, R18, R20, R26)."""

from __future__ import annotations

import pytest

from orpheus.core.errors import OrpheusError
from orpheus.core.facts import CancelRequested, JobApproved, PauseRequested, ResumeRequested, RetryRequested

NUMBER = {"type": "object", "properties": {"at": {}}}


@pytest.fixture
def nap(cluster, flow):
    """Return a function that submits a job which sleeps between two tasks, with the first one done."""

    def start(duration=60, **options):
        graph = flow(
            "nap",
            {"name": "before"},
            {"name": "rest", "kind": "sleep", "duration": duration, "after": ["before"]},
            {"name": "later", "after": ["rest"]},
            params=NUMBER,
        )
        job_id = cluster.submit(graph, **options)
        worker = cluster.worker(name=f"w{job_id[-6:]}")
        (grant,) = (each for each in worker.poll() if each.job.job_id == job_id)
        worker.complete(grant)
        return job_id

    return start


def states(cluster, job_id):
    return tuple(str(cluster.task(job_id, node).state) for node in ("before", "rest", "later"))


def test_a_sleep_outlives_restarts(cluster, nap):
    """Its instant stands in the row: time away counts, and it neither ends early nor begins anew."""
    job_id = nap()
    cluster.restart(after_s=30)
    cluster.advance(29)
    assert states(cluster, job_id) == ("completed", "waiting", "blocked")
    cluster.restart()
    cluster.advance(2)
    assert states(cluster, job_id) == ("completed", "completed", "ready")
    job_id = nap()
    cluster.restart(after_s=3600)
    assert states(cluster, job_id) == ("completed", "completed", "ready"), "one that fell due meanwhile is late"


@pytest.mark.parametrize("form", ["Z", "+00:00", "+05:30"])
def test_a_sleep_until_an_instant(cluster, nap, form):
    """In whatever zone it is written, also from a param; one that is past is over at once."""
    from datetime import UTC, datetime, timedelta, timezone

    zone = timezone(timedelta(hours=5, minutes=30)) if form == "+05:30" else UTC
    at = datetime.fromtimestamp(cluster.clock.now() + 40, zone).isoformat().replace("+00:00", form)
    for duration, params in (({"until": at}, {}), ({"until": {"$param": "at"}}, {"at": at})):
        job_id = nap(duration, params=params)
        assert cluster.task(job_id, "rest").wake_at == pytest.approx(cluster.clock.now() + 40, abs=0.001)
    past = nap({"until": "2001-01-01T00:00:00Z"})
    assert states(cluster, past) == ("completed", "completed", "ready")
    cluster.advance(41)
    assert states(cluster, job_id) == ("completed", "completed", "ready")


def test_a_pause_does_not_stop_the_clock(cluster, nap):
    """The sleep ends while the job is paused; what follows is claimed after the resume (R26)."""
    job_id = nap()
    cluster.tell(job_id, PauseRequested())
    cluster.advance(61)
    assert states(cluster, job_id) == ("completed", "completed", "ready")
    worker = cluster.worker(name="other")
    assert worker.poll() == []
    cluster.tell(job_id, ResumeRequested())
    assert [grant.task.node for grant in worker.poll()] == ["later"]


def test_a_cancel_ends_a_sleep_at_once(cluster, nap):
    """And nothing wakes afterwards, also after a restart (R18)."""
    job_id = nap()
    assert cluster.tell(job_id, CancelRequested()).state == "cancelled"
    assert states(cluster, job_id) == ("completed", "cancelled", "cancelled")
    told = cluster.events(job_id)
    cluster.restart(after_s=120)
    assert cluster.events(job_id) == told


def test_a_rewind_sleeps_anew(cluster, nap):
    """To the sleep while it sleeps or after it: a new generation, a full length, and the older row wakes nobody (R20)."""
    job_id = nap()
    cluster.advance(50)
    cluster.tell(job_id, RetryRequested(from_task="rest"))
    assert cluster.task(job_id, "rest").wake_at == cluster.clock.now() + 60
    cluster.advance(30)
    assert states(cluster, job_id) == ("completed", "waiting", "blocked"), (
        "the first one's time has come and is nothing"
    )
    cluster.restart(after_s=31)
    assert states(cluster, job_id) == ("completed", "completed", "ready")
    cluster.tell(job_id, RetryRequested(from_task="rest"))
    assert states(cluster, job_id) == ("completed", "waiting", "blocked")


def test_a_jobs_limit_wakes_it_from_its_sleep(cluster, nap):
    """`timeout_s` counts sleeps too (R5)."""
    job_id = nap(600, timeout_s=30)
    cluster.advance(31)
    job = cluster.job(job_id)
    assert (job.state, job.error.code) == ("failed", "job_timeout")


@pytest.mark.parametrize("duration", [{"$param": "at"}, {"until": {"$param": "at"}}], ids=["seconds", "until"])
@pytest.mark.parametrize("at", ["soon", -1, None, [1], 9e300, "2026-01-01T00:00:00", "0001-01-01T00:00:00+23:00"])
def test_what_is_no_time_fails_the_node(cluster, nap, duration, at):
    """A permanent `binding_failed`, never a fault of the server."""
    job_id = nap(duration, params={"at": at})
    job = cluster.job(job_id)
    if at == "0001-01-01T00:00:00+23:00" and isinstance(duration.get("until"), dict):
        assert job.state in ("failed", "running"), "long ago, or not an instant at all"
    else:
        assert (job.state, job.error.code) == ("failed", "binding_failed")


def test_a_delayed_job_may_be_approved_paused_and_cancelled_before_its_time(cluster, flow):
    """Each gate is lifted on its own; a paused job leaves `pending` in time and is claimed after the resume."""
    held = cluster.submit(flow(), delay_s=60, requires_approval=True)
    cluster.tell(held, JobApproved())
    assert cluster.job(held).state == "pending"
    paused = cluster.submit(flow(), delay_s=60)
    cluster.tell(paused, PauseRequested())
    gone = cluster.submit(flow(), delay_s=60)
    assert cluster.tell(gone, CancelRequested()).state == "cancelled"
    cluster.restart(after_s=61)
    assert [cluster.job(each).state for each in (held, paused, gone)] == ["queued", "queued", "cancelled"]
    worker = cluster.worker()
    assert [grant.job.job_id for grant in worker.poll()] == [held]
    cluster.tell(paused, ResumeRequested())
    assert [grant.job.job_id for grant in worker.poll()] == [paused]
    with pytest.raises(OrpheusError):
        cluster.tell(gone, PauseRequested())


def test_a_clock_set_back_only_delays(cluster, flow, nap):
    """A job and a sleep wait for their instants as the clock shows them; neither begins twice."""
    late = cluster.submit(flow(), delay_s=60)
    job_id = nap()
    cluster.advance(59)
    cluster.clock.wall -= 100
    cluster.advance(90)
    assert cluster.job(late).state == "pending" and states(cluster, job_id)[1] == "waiting"
    cluster.advance(12)
    assert cluster.job(late).state == "queued" and states(cluster, job_id)[1] == "completed"
    assert cluster.events(job_id).count("task.completed") == 2
