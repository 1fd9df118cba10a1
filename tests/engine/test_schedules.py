"""Schedules on a real file under a clock moved by hand (R27)."""

from __future__ import annotations

import msgspec
import pytest

from orpheus.core.errors import OrpheusError
from orpheus.core.schedule import Missed, Overlap
from orpheus.engine.base import Submission

MINUTE = 1_700_000_040.0
"""A whole minute, 40 s after the clock's beginning."""


@pytest.fixture
def plan(cluster, flow):
    """A cluster with a workflow, and short words for what tests do to schedules."""
    return Plan(cluster, flow)


class Plan:
    def __init__(self, cluster, flow):
        self.cluster = cluster
        cluster.publish(flow("tick"))

    def ask(self, name, do):
        answers = []
        self.cluster.machine.call(name, do, answers.append)
        self.cluster.settle()
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    def create(self, name="s", *, workflow="tick", job=None, **spec):
        submission = msgspec.structs.replace(job or Submission(workflow=workflow))
        if "every_s" not in spec:
            spec.setdefault("cron", "* * * * *")
        return self.ask("create", self.cluster.machine.scheduling.create(name, submission, spec, actor="ada"))[0]

    def change(self, name="s", *, job=None, **changes):
        return self.ask(
            "change", self.cluster.machine.scheduling.change("default", name, changes, job=job, actor="bob")
        )

    def run(self, name="s"):
        return self.ask("run", self.cluster.machine.scheduling.run_now("default", name, actor="bob"))

    def delete(self, name="s"):
        return self.ask("delete", self.cluster.machine.scheduling.delete("default", name, actor="bob"))

    def get(self, name="s"):
        return self.cluster.ask(lambda tx: tx.schedules.get("default", name))

    def firings(self):
        rows = self.cluster.store.connection.execute(
            "SELECT scheduled_for, outcome, job_id, reason FROM firings ORDER BY firing_no"
        )
        return [tuple(row) for row in rows]

    def slots(self, outcome="submitted"):
        return [round(slot - MINUTE) // 60 for slot, did, *_ in self.firings() if did == outcome]

    def jobs(self):
        rows = self.cluster.store.connection.execute("SELECT job_id FROM jobs ORDER BY job_no")
        return [self.cluster.job(row[0]) for row in rows]

    def finish(self):
        """Let a worker do everything there is."""
        worker = self.cluster.worker(name=f"w{len(self.jobs())}")
        while grants := worker.poll():
            for grant in grants:
                worker.complete(grant)


def test_each_slot_makes_one_job(plan):
    """With its scheduled time, its schedule's name and label, and an event of who made it (R27)."""
    made = plan.create(overlap=Overlap.ALLOW)
    assert made.next_run_at == MINUTE
    plan.cluster.advance(200)
    jobs = plan.jobs()
    assert [job.extra["scheduled_for"] for job in jobs] == [MINUTE, MINUTE + 60, MINUTE + 120]
    assert all(job.extra["schedule"] == "s" and job.labels == {"schedule": "s"} for job in jobs)
    assert {job.idempotency_key for job in jobs} == {
        f"schedule:{made.schedule_id}:{MINUTE + 60 * n:.3f}" for n in range(3)
    }
    assert plan.get().next_run_at == MINUTE + 180


def test_a_restart_fires_nothing_twice(plan):
    """Neither at once nor later, nor when the clock was set back meanwhile."""
    plan.create(overlap=Overlap.ALLOW)
    plan.cluster.advance(100)
    assert plan.slots() == [0, 1]
    plan.cluster.restart()
    plan.cluster.clock.wall -= 90
    plan.cluster.restart()
    plan.cluster.advance(60)
    assert plan.slots() == [0, 1]
    plan.cluster.advance(90)
    assert plan.slots() == [0, 1, 2]


@pytest.mark.parametrize(
    ("missed", "ran", "passed"),
    [(Missed.SKIP, [0], [1]), (Missed.RUN_ONCE, [0, 10], [1]), (Missed.RUN_ALL, [0, 8, 9, 10], [1])],
)
def test_missed_runs(plan, missed, ran, passed):
    """After ten minutes away: none, the newest, or the newest of all up to the bound; what is passed over is told."""
    plan.create(missed=missed, max_missed=3, overlap=Overlap.ALLOW)
    plan.cluster.advance(45)
    plan.cluster.restart(after_s=620)
    assert plan.slots() == ran and plan.slots("skipped") == passed
    reason = next(reason for _slot, outcome, _job, reason in plan.firings() if outcome == "skipped")
    assert reason.startswith(f"missed: {10 - len(ran) + 1} passed over")
    plan.cluster.advance(60)
    assert plan.slots() == [*ran, 11], "and it goes on"


def test_a_jump_forward_is_a_downtime(plan):
    """Whatever the reason why several slots are due at once, the missed-run rule decides."""
    plan.create(missed=Missed.RUN_ONCE, overlap=Overlap.ALLOW)
    plan.cluster.clock.wall += 3600
    plan.cluster.settle()
    assert plan.slots() == [59] and plan.slots("skipped") == [0]


def test_a_little_late_is_on_time(plan):
    """A server that was restarted at the wrong moment still makes the run, even when missed ones are skipped."""
    plan.create(missed=Missed.SKIP, grace_s=30.0)
    plan.cluster.restart(after_s=60)
    assert plan.slots() == [0]


def test_overlap_skip(plan):
    """A run makes no job while the last one is open."""
    plan.create(overlap=Overlap.SKIP)
    plan.cluster.advance(110)
    assert (plan.slots(), plan.slots("skipped")) == ([0], [1])
    assert plan.jobs()[0].job_id in plan.firings()[1][3]
    plan.finish()
    plan.cluster.advance(60)
    assert plan.slots() == [0, 2]


def test_overlap_queue(plan):
    """Jobs wait for one another, one begins when the other has ended."""
    plan.create(overlap=Overlap.QUEUE)
    plan.cluster.advance(170)
    assert [job.state for job in plan.jobs()] == ["queued", "pending", "pending"]
    plan.finish()
    assert [job.state for job in plan.jobs()] == ["completed"] * 3


def test_overlap_cancel_older(plan):
    """The older one is cancelled; the new one begins when it has stopped, not before (R18)."""
    plan.create(overlap=Overlap.CANCEL_OLDER)
    plan.cluster.advance(45)
    worker = plan.cluster.worker()
    (grant,) = worker.poll()
    plan.cluster.advance(62, beating=[worker])
    first, second = plan.jobs()
    assert (first.state, second.state) == ("running", "pending")
    assert first.cancel_requested_at is not None
    plan.cluster.advance(15, beating=[worker])
    first, second = plan.jobs()
    assert (first.state, second.state) == ("cancelled", "queued")
    assert "schedule s" in first.cancel_reason
    assert grant.run_id


def test_catching_up_obeys_the_overlap_rule(plan):
    """Runs that are caught up queue one behind the other."""
    plan.create(missed=Missed.RUN_ALL, max_missed=5, overlap=Overlap.QUEUE)
    plan.cluster.restart(after_s=300)
    assert [job.state for job in plan.jobs()] == ["queued"] + ["pending"] * (len(plan.jobs()) - 1)
    plan.finish()
    assert {job.state for job in plan.jobs()} == {"completed"}


def test_an_interval_counts_from_its_beginning(plan):
    """From the creation, or from `start_at`, to `end_at`; however late each run was."""
    start = plan.cluster.clock.now()
    plan.create("a", every_s=90.0)
    plan.create("b", every_s=100.0, start_at=start + 30, end_at=start + 230)
    plan.cluster.advance(400)
    plan.finish()
    by = {}
    for job in plan.jobs():
        by.setdefault(job.extra["schedule"], []).append(job.extra["scheduled_for"] - start)
    assert by == {"a": [90.0], "b": [30.0]}, "the others were skipped: no job had ended"
    assert plan.get("b").next_run_at is None
    assert plan.get("a").next_run_at == start + 450


def test_pause_and_resume(plan):
    """A paused schedule fires nothing; what passed meanwhile is not missed."""
    plan.create(missed=Missed.RUN_ALL)
    paused = plan.change(paused=True)
    assert paused.next_run_at is None and paused.updated_by == "bob"
    plan.cluster.advance(600)
    assert plan.firings() == []
    resumed = plan.change(paused=False)
    assert resumed.next_run_at == MINUTE + 600 and plan.cluster.clock.now() < resumed.next_run_at
    plan.cluster.advance(40)
    assert plan.slots() == [10]


def test_run_now(plan):
    """Also while it is paused; under the overlap rule; its slots stay as they are."""
    plan.create()
    plan.change(paused=True)
    firing = plan.run()
    assert (firing.outcome, firing.trigger, firing.actor) == ("submitted", "manual", "bob")
    assert plan.cluster.job(firing.job_id).extra["scheduled_for"] == plan.cluster.clock.now()
    assert plan.run().outcome == "skipped"
    plan.change(paused=False)
    assert plan.get().next_run_at == MINUTE


def test_what_can_no_longer_be_is_told(plan, flow):
    """A workflow whose params changed: the firing failed with the reason, and the schedule goes on."""
    plan.create()
    needy = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    plan.cluster.publish(flow("tick", params=needy) | {"version": 2})
    plan.cluster.advance(110)
    assert plan.slots("failed") == [0, 1] and not plan.jobs()
    assert plan.firings()[0][3].startswith("invalid_params: ")
    plan.change(job=Submission(workflow="tick", params={"n": 1}))
    plan.cluster.advance(60)
    assert plan.slots() == [2]


def test_the_same_again_is_the_same(plan):
    """A create whose answer was lost may be repeated; another content is a conflict; names are per tenant."""
    first = plan.create(every_s=60.0)
    plan.cluster.advance(10)
    assert plan.create(every_s=60.0).schedule_id == first.schedule_id
    with pytest.raises(OrpheusError) as caught:
        plan.create(every_s=61.0)
    assert caught.value.code == "schedule_conflict"
    assert plan.create(job=Submission(workflow="tick", tenant="other"), every_s=61.0).schedule_id != first.schedule_id


def test_delete_leaves_the_jobs(plan):
    """And a schedule made anew under the name is another one."""
    plan.create()
    plan.cluster.advance(45)
    plan.delete()
    assert plan.get() is None and len(plan.jobs()) == 1
    with pytest.raises(OrpheusError) as caught:
        plan.delete()
    assert caught.value.code == "unknown_schedule"
    plan.create()
    plan.cluster.advance(60)
    assert len(plan.jobs()) == 2, "the old one's job does not hold it back"


def test_new_times_count_from_now(plan):
    """A change of times begins anew; a change of anything else does not."""
    plan.create(every_s=100.0)
    plan.cluster.advance(50)
    assert plan.change(overlap=Overlap.ALLOW).next_run_at == 1_700_000_100.0
    assert plan.change(every_s=30.0).next_run_at == 1_700_000_080.0
    changed = plan.change(cron="0 0 * * *", timezone="Asia/Kolkata")
    assert changed.every_s is None and changed.next_run_at % 86_400 == 18.5 * 3600


def test_jitter_is_the_same_after_a_restart(plan):
    """The job of a slot begins some time later; which, follows from the slot."""
    plan.create(jitter_s=30.0, overlap=Overlap.ALLOW)
    plan.cluster.advance(110)
    first, second = plan.jobs()
    assert 0 < first.run_at - MINUTE < 30 and 0 < second.run_at - MINUTE - 60 < 30
    assert first.run_at - MINUTE != second.run_at - MINUTE - 60


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"cron": "* * * *"}, "/cron"),
        ({"cron": "61 * * * *"}, "/cron"),
        ({"cron": "0 0 30 2 *"}, "/cron"),
        ({"cron": "@dayly"}, "/cron"),
        ({"cron": "* * * * * *"}, "/cron"),
        ({"cron": "* * * * *", "every_s": 5.0}, "/cron"),
        ({"cron": None}, "/cron"),
        ({"every_s": 0.5}, "/every_s"),
        ({"timezone": "Europe/Berln"}, "/timezone"),
        ({"timezone": "/etc/passwd"}, "/timezone"),
        ({"max_missed": 0}, "/max_missed"),
        ({"jitter_s": -1.0}, "/jitter_s"),
        ({"start_at": 10.0, "end_at": 5.0}, "/end_at"),
    ],
)
def test_nonsense_is_refused(plan, spec, field):
    """With the field that is wrong (invalid_params)."""
    with pytest.raises(OrpheusError) as caught:
        plan.create(**spec)
    assert caught.value.code == "invalid_params" and caught.value.details[0]["path"] == field
    if field == "/timezone" and "Ber" in spec["timezone"]:
        assert "Europe/Berlin" in caught.value.hint
    assert plan.get() is None


@pytest.mark.parametrize("job", [Submission(workflow="nobody"), Submission(workflow="tick", params={"x": 1})])
def test_a_job_that_cannot_be_is_refused(plan, job):
    """At once, rather than at its first run."""
    with pytest.raises(OrpheusError) as caught:
        plan.create(job=job)
    assert caught.value.code in ("unknown_workflow", "invalid_params")


def test_the_history_is_bounded(plan, monkeypatch):
    """The newest firings are kept."""
    monkeypatch.setattr("orpheus.store.schedules.KEPT", 3)
    plan.create(every_s=1.0)
    plan.cluster.advance(20.5)
    assert len(plan.firings()) == 4, "three, and the one whose job is open"
