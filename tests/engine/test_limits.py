"""Rates that neither forget nor eat, tenants' weights and quotas, priorities that change (R25)."""

from __future__ import annotations

from collections import Counter

import pytest

from orpheus.core.errors import InvalidTransition, OrpheusError, QuotaExceeded
from orpheus.core.facts import CancelRequested, JobUpdated, PauseRequested, ResumeRequested
from orpheus.engine.base import Submission
from orpheus.engine.queues import queue_changes
from orpheus.engine.tenants import tenant_changes
from orpheus.store.queries import with_events

RATED = {"name": "a", "rate_limit": {"limit": 2, "period_s": 60}}


def set_queue(cluster, **changes):
    cluster.machine.call("limit", queue_changes(cluster.machine.feed, "default", changes))
    cluster.settle()


def set_tenant(cluster, name, **changes):
    cluster.machine.call("limit", tenant_changes(cluster.machine.tenants, name, changes))
    cluster.settle()


def starts_kept(cluster):
    return cluster.store.connection.execute("SELECT count(*) FROM rate_starts").fetchone()[0]


@pytest.mark.parametrize("by", ["queue", "task"])
@pytest.mark.parametrize("ended", [True, False])
def test_a_restart_lets_no_burst_through(cluster, flow, by, ended):
    """The starts of the running period count on after a restart, whether their runs have ended or not; then they expire."""
    if by == "queue":
        set_queue(cluster, rate_limit={"limit": 2, "period_s": 60})
    for _ in range(5):
        cluster.submit(flow("rated", RATED if by == "task" else {"name": "a"}))
    worker = cluster.worker()
    grants = worker.poll()
    assert len(grants) == 2
    if ended:
        for grant in grants:
            worker.complete(grant)
    cluster.restart(after_s=20.0)
    worker.hello()
    assert worker.poll() == []
    cluster.advance(39.0, beating=[worker])
    assert worker.poll() == []
    cluster.advance(2.0, beating=[worker])
    assert len(worker.poll()) == 2


def test_without_a_rate_no_start_is_kept(cluster, flow):
    """Who uses no rate pays for none; what expired is pruned."""
    cluster.submit(flow())
    worker = cluster.worker()
    worker.complete(worker.poll()[0])
    assert starts_kept(cluster) == 0
    cluster.submit(flow("rated", RATED))
    worker.complete(worker.poll()[0])
    assert starts_kept(cluster) == 1
    cluster.advance(130.0, beating=[worker])
    assert starts_kept(cluster) == 0


def test_a_grant_that_never_arrived_gives_its_start_back(cluster, flow):
    """R8: no attempt was made, so no rate counts it, neither now nor after a restart."""
    for _ in range(3):
        cluster.submit(flow("rated", RATED))
    worker = cluster.worker()
    worker.ask()  # the answer is lost: the worker never holds what it granted
    grants = worker.take(worker.ask()).grants
    assert len(grants) == 2
    assert starts_kept(cluster) == 2
    cluster.restart()
    worker.hello()
    assert worker.poll() == []


def test_a_grant_that_a_restart_swallowed_gives_its_start_back(cluster, flow):
    """A crash after the commit and before the answer: hello tells that it never arrived."""
    for _ in range(3):
        cluster.submit(flow("rated", RATED))
    worker = cluster.worker()
    worker.ask()
    cluster.restart()
    worker.hello()
    assert len(worker.poll()) == 2


def test_a_rate_that_opens_while_nobody_asks_keeps_nobody_busy(cluster, flow):
    """What is due is looked at once, not again and again until a worker polls; the one that comes then is served."""
    for _ in range(3):
        cluster.submit(flow("rated", RATED))
    worker = cluster.worker()
    assert len(worker.poll()) == 2
    cluster.clock.advance(61.0)
    cluster.machine.tick()
    assert cluster.machine.next_due_in() > 0
    assert len(worker.poll()) == 1


def test_cancelled_work_eats_no_rate(cluster, flow):
    """Jobs that are cancelled while they wait, even between pick and claim, leave the rate to others."""
    jobs = [cluster.submit(flow("rated", RATED)) for _ in range(6)]
    for job_id in jobs[:2]:
        cluster.tell(job_id, CancelRequested())
    worker = cluster.worker()
    box = worker.ask(settle=False)  # picks two, not yet claimed …
    for job_id in jobs[2:4]:  # … and both are cancelled by what stood in the queue before the claim
        cluster.machine.tell(job_id, CancelRequested(), tenant=None, reply=lambda _: None)
    cluster.machine._queue.rotate(2)
    cluster.settle()
    assert [grant.job.job_id for grant in worker.take(box).grants] == jobs[4:]


def test_a_run_that_was_cancelled_by_its_worker_stays_counted(cluster, flow):
    """What a worker has had was a start, however it ends."""
    jobs = [cluster.submit(flow("rated", {"name": "a", "rate_limit": {"limit": 1, "period_s": 60}})) for _ in range(2)]
    worker = cluster.worker()
    (grant,) = worker.poll()
    cluster.tell(jobs[0], CancelRequested())
    worker.fail(grant)
    assert worker.poll() == []


def test_max_running_holds_over_queues_and_restarts(cluster, flow):
    """A tenant's quota of runs: others go on, a slot that is freed goes to the next, a raise is heard at once."""
    set_tenant(cluster, "acme", max_running=2)
    for number in range(5):
        cluster.submit(flow(f"f{number}", {"name": "a", "queue": f"q{number % 2}"}), tenant="acme")
    other = cluster.submit(flow(), tenant="other")
    worker = cluster.worker()
    grants = worker.poll()
    assert Counter(grant.task.tenant for grant in grants) == {"acme": 2, "other": 1}
    cluster.restart()
    worker.hello()
    assert worker.poll() == []
    box = worker.ask()
    worker.complete(next(grant for grant in grants if grant.task.tenant == "acme"))
    assert len(worker.take(box).grants) == 1
    assert other in {grant.job.job_id for grant in grants}
    box = worker.ask()
    set_tenant(cluster, "acme", max_running=None)
    assert len(worker.take(box).grants) == 2


def test_weights_share_the_claims(cluster, flow):
    """Weight 3 gets three claims for each of weight 1, also after a restart."""
    set_tenant(cluster, "gold", weight=3.0)
    for tenant in ("gold", "iron"):
        cluster.submit_many(*[Submission(workflow=flow(), tenant=tenant) for _ in range(60)])
    cluster.restart()
    worker = cluster.worker(slots=40)
    shares = Counter(grant.task.tenant for grant in worker.poll())
    assert abs(shares["gold"] - 30) <= 1


def test_max_open_jobs_refuses_and_lets_in_again(cluster, flow):
    """Refused whole, with what to do; a known idempotency key is answered; an end makes room."""
    set_tenant(cluster, "acme", max_open_jobs=2)
    first = cluster.submit(flow(), tenant="acme", idempotency_key="k")
    with pytest.raises(QuotaExceeded) as refused:
        cluster.submit_many(*[Submission(workflow=flow(), tenant="acme")] * 2)
    assert refused.value.status == 429 and refused.value.retryable and "acme" in refused.value.message
    assert cluster.ask(lambda tx: tx.limits.open_jobs("acme")) == 1
    cluster.submit(flow(), tenant="acme")
    assert cluster.submit(flow(), tenant="acme", idempotency_key="k") == first
    cluster.submit(flow(), tenant="other")
    cluster.restart()
    with pytest.raises(QuotaExceeded):
        cluster.submit(flow(), tenant="acme")
    cluster.tell(first, CancelRequested())
    cluster.submit(flow(), tenant="acme")


def test_max_priority_lowers_job_and_nodes(cluster, flow):
    """A tenant's cap holds for what the job asks and for what a node asks; also when it is changed later."""
    set_tenant(cluster, "acme", max_priority=3)
    job_id = cluster.submit(flow("p", {"name": "a", "priority": 1}, {"name": "b"}), tenant="acme", priority=1)
    assert cluster.job(job_id).priority == 3
    assert [cluster.task(job_id, node).priority for node in "ab"] == [3, 3]
    cluster.tell(job_id, JobUpdated(priority=1))
    assert cluster.job(job_id).priority == 3
    cluster.tell(job_id, JobUpdated(priority=5))
    assert [cluster.task(job_id, node).priority for node in "ab"] == [3, 5]


@pytest.mark.parametrize("paused", [False, True])
def test_a_new_priority_reorders_what_is_ready(make_cluster, flow, paused):
    """R25: ready tasks move at once, whatever the window; what was said twice says nothing; a paused job's too."""
    cluster = make_cluster(window=4)
    params = {"type": "object", "properties": {"items": {"type": "array"}}}
    items = {"name": "m", "kind": "map", "items": {"x": {"$param": "items"}}}
    big = cluster.submit(flow("big", items, params=params), params={"items": list(range(30))})
    late = cluster.submit(flow())
    if paused:
        cluster.tell(big, PauseRequested())
    cluster.tell(late, JobUpdated(priority=1))
    cluster.tell(big, JobUpdated(priority=5))
    cluster.tell(big, JobUpdated(priority=5))
    between = cluster.submit(flow())
    if paused:
        cluster.tell(big, ResumeRequested())
    worker = cluster.worker(slots=1)
    order = []
    for _ in range(32):
        (grant,) = worker.poll()
        order.append((grant.job.job_id, grant.task.index))
        worker.complete(grant)
    assert order == [(late, -1), (between, -1), *((big, index) for index in range(30))]
    assert cluster.events(big).count("job.updated") == 1
    with pytest.raises(InvalidTransition):
        cluster.tell(big, JobUpdated(priority=2))


def test_labels_change_at_any_time(cluster, flow):
    """Set, changed, taken away; the event tells what changed; the list finds it; too many are refused."""
    job_id = cluster.submit(flow(), labels={"team": "a", "keep": "1"})
    cluster.tell(job_id, CancelRequested())
    cluster.tell(job_id, JobUpdated(labels={"team": "b", "keep": "1", "new": "x"}, actor="ada"))
    assert cluster.job(job_id).labels == {"team": "b", "keep": "1", "new": "x"}
    row = cluster.store.connection.execute(
        with_events("SELECT actor, data FROM events WHERE type = 'job.updated'"),
    ).fetchone()
    assert row == ("ada", '{"labels":{"team":"b","new":"x"}}')
    cluster.tell(job_id, JobUpdated(labels={"new": None}))
    assert cluster.job(job_id).labels == {"team": "b", "keep": "1"}
    found = cluster.store.connection.execute("SELECT key, value FROM labels ORDER BY key").fetchall()
    assert found == [("keep", "1"), ("team", "b")]
    with pytest.raises(OrpheusError):
        cluster.tell(job_id, JobUpdated(labels={f"l{n}": "" for n in range(64)}))


def test_ageing_is_an_option(make_cluster, flow):
    """R25: priority 5 gets through behind an endless priority 1 when asked for."""
    cluster = make_cluster(ageing_s=10.0)
    low = cluster.submit(flow(), priority=5)
    for _ in range(30):
        cluster.submit(flow(), priority=1)
    worker = cluster.worker(slots=1)
    taken = []
    for _ in range(15):
        (grant,) = worker.poll()
        taken.append(grant.job.job_id)
        worker.complete(grant)
        cluster.advance(1.0, beating=[worker])
    assert low in taken
