"""Who gets which task, and what a poll answers (R8, R25)."""

from __future__ import annotations

import pytest

from orpheus.core.dispatch import Dispatcher
from orpheus.core.facts import CancelRequested, PauseRequested, ResumeRequested
from orpheus.engine.base import RunReport, UnknownSession
from orpheus.engine.queues import queue_changes


def test_a_waiting_poll_is_answered_when_a_task_becomes_ready(cluster, flow):
    """A poll that finds nothing waits, and is woken by the commit that makes a task ready (R8)."""
    worker = cluster.worker()
    box = worker.ask()
    assert not box.done
    cluster.submit(flow())
    (grant,) = worker.take(box).grants
    assert grant.task.node == "a"


def test_a_poll_is_over_after_its_wait(cluster):
    """A poll waits no longer than it asked for, and 20 s at most (R8)."""
    worker = cluster.worker()
    short, long = worker.ask(wait_s=3.0), None
    cluster.advance(2.9)
    assert not short.done
    cluster.advance(0.2)
    assert short.get().grants == ()
    long = worker.ask(wait_s=500.0)
    cluster.advance(19.9)
    assert not long.done
    cluster.advance(0.2)
    assert long.done


def test_the_same_seq_again_gets_the_same_answer(cluster, flow):
    """A lost answer is asked for again and not made anew (R8)."""
    worker = cluster.worker(slots=1)
    cluster.submit(flow())
    cluster.submit(flow())
    first = worker.ask(seq=1, held=()).get()
    again = worker.ask(seq=1, held=()).get()
    assert again == first and len(first.grants) == 1


def test_a_waiting_poll_repeated_on_a_new_connection_is_taken_over(cluster, flow):
    """The same number while the first waits: the first is superseded, the second gets the round's answer (R8)."""
    worker = cluster.worker()
    first = worker.ask(seq=1)
    second = worker.ask(seq=1)
    assert first.get().superseded and not second.done
    cluster.submit(flow())
    assert len(second.get().grants) == 1


def test_a_newer_poll_supersedes_and_an_older_one_is_told_so(cluster):
    """Only the newest round counts (R8)."""
    worker = cluster.worker()
    old = worker.ask(seq=4)
    new = worker.ask(seq=5)
    assert old.get().superseded
    assert worker.ask(seq=3).get().superseded
    assert not new.done


def test_a_grant_missing_from_the_next_poll_returns_at_once(cluster, flow):
    """It goes back to ready and costs no attempt; the lost run is stale from then on (R8, R6)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    lost = worker.ask(seq=1).get().grants[0]
    (grant,) = worker.take(worker.ask(seq=2, held=())).grants
    assert grant.run_id != lost.run_id
    assert grant.task.attempt == 1
    assert worker.report(RunReport(run_id=lost.run_id, kind="completed"))[0].code == "stale_run"
    assert worker.complete(grant) is None
    assert cluster.job(job_id).state == "completed"


def test_a_held_run_that_is_not_current_is_told(cluster, flow):
    """So that the worker abandons it instead of reporting in vain (R8)."""
    worker = cluster.worker()
    answer = worker.ask(seq=1, held=("nobody-knows-this-run",)).get()
    assert answer.unknown == ("nobody-knows-this-run",)


def test_a_held_run_whose_end_was_reported_is_not_told(cluster, flow):
    """Its worker waits for the answer to its report, and a poll on its way beside it stays open for the next task (R8)."""
    job_id = cluster.submit(flow())
    worker = cluster.worker()
    (grant,) = worker.take(worker.ask()).grants
    assert worker.complete(grant) is None
    assert cluster.job(job_id).state == "completed"
    waiting = worker.ask(held=[grant.run_id])
    assert not waiting.done
    cluster.submit(flow())
    (following,) = worker.take(waiting).grants
    assert not worker.ask(held=[grant.run_id, following.run_id]).done  # the answer to the report was lost
    assert not worker.ask(held=[following.run_id]).done
    assert worker.ask(held=[grant.run_id, following.run_id]).get().unknown == (grant.run_id,)


def test_grants_committed_between_two_polls_go_out_with_the_next(cluster, flow):
    """A poll that hung up loses nothing: the grant waits for the next round, and no attempt is spent (R8)."""
    worker = cluster.worker()
    cluster.submit(flow())
    box = worker.ask(seq=1, settle=False)  # picked, its claim not committed yet
    cluster.machine.sessions.hang_up(worker.session_id, 1, box)
    cluster.settle()
    assert not box.done
    (grant,) = worker.take(worker.ask(seq=2)).grants
    assert grant.task.attempt == 1


def test_an_unknown_session_has_to_say_hello(cluster):
    """After a restart the server knows no sessions; the error is retryable."""
    worker = cluster.worker()
    cluster.restart()
    with pytest.raises(UnknownSession) as caught:
        worker.ask().get()
    assert caught.value.code == "unknown_session" and caught.value.retryable


def test_a_worker_gets_only_what_it_offers(cluster, flow):
    """Handlers by name and version, and queues (design, section 2)."""
    cluster.submit(flow("old", {"name": "a", "task": "step", "version": 1}))
    cluster.submit(flow("new", {"name": "b", "task": "step", "version": 2}))
    cluster.submit(flow("gpu", {"name": "c", "task": "step", "version": 2, "queue": "gpu"}))
    assert [g.task.node for g in cluster.worker("step@1", name="one").poll()] == ["a"]
    assert [g.task.node for g in cluster.worker("step@2", name="two", queues=("gpu",)).poll()] == ["c"]
    assert [g.task.node for g in cluster.worker("step@2", name="any").poll()] == ["b"]


def test_priority_goes_first_then_first_in_first_out(cluster, flow):
    """R25, through the engine."""
    low = cluster.submit(flow(), priority=5)
    first = cluster.submit(flow())
    second = cluster.submit(flow())
    high = cluster.submit(flow(), priority=1)
    worker = cluster.worker(slots=1)
    order = []
    for _ in range(4):
        (grant,) = worker.poll()
        order.append(grant.job.job_id)
        worker.complete(grant)
    assert order == [high, first, second, low]


def test_tenants_take_turns(cluster, flow):
    """A tenant with a backlog does not keep another waiting (R25)."""
    for _ in range(6):
        cluster.submit(flow(), tenant="big")
    for _ in range(2):
        cluster.submit(flow(), tenant="small")
    tenants = [grant.job.tenant for grant in cluster.worker().poll(free=4)]
    assert sorted(tenants) == ["big", "big", "small", "small"]


def test_resources_are_taken_together_or_not_at_all(cluster, flow):
    """A worker is given no more than its free resources hold, and others pass by (R25)."""
    for name in ("x", "y", "z"):
        cluster.submit(flow(name, {"name": name, "resources": {"gpu": 2}}))
    cluster.submit(flow("plain", {"name": "plain"}))
    worker = cluster.worker(resources={"gpu": 4})
    assert [g.task.node for g in worker.poll()] == ["x", "y", "plain"]
    assert worker.poll(resources_free={"gpu": 1}) == []


def test_a_queue_limit_holds_over_all_workers(cluster, flow):
    """The limit counts runs, frees a slot at the report, and survives a restart (R25)."""
    cluster.machine.call("limit", queue_changes(cluster.machine.feed, "default", {"concurrency": 2}))
    cluster.settle()
    for _ in range(5):
        cluster.submit(flow())
    one, two = cluster.worker(name="one"), cluster.worker(name="two")
    grants = one.poll() + two.poll()
    assert len(grants) == 2
    cluster.restart()
    one.hello()
    assert one.poll() == []
    waiting = one.ask()
    assert one.complete(grants[0]) is None
    assert len(one.take(waiting).grants) == 1


def test_a_concurrency_key_is_held_while_a_run_lasts(cluster, flow):
    """Runs of one key do not overlap; other keys do (R25)."""
    schema = {"type": "object", "properties": {"disk": {"type": "string"}}, "required": ["disk"]}
    node = {"name": "a", "concurrency_key": {"$param": "disk"}}
    for disk in ("sda", "sda", "sdb"):
        cluster.submit(flow("keyed", node, params=schema), params={"disk": disk})
    worker = cluster.worker()
    grants = worker.poll()
    assert len(grants) == 2
    assert worker.poll() == []
    worker.complete(grants[0])
    assert len(worker.poll()) == 1


def test_a_rate_limit_lets_the_next_through_in_time(cluster, flow):
    """A parked task is tried again when the rate allows, without a new event (R25)."""
    node = {"name": "a", "rate_limit": {"limit": 1, "period_s": 3}}
    for _ in range(2):
        cluster.submit(flow("rated", node))
    worker = cluster.worker()
    assert len(worker.poll()) == 1
    box = worker.ask()
    cluster.advance(2.9, beating=[worker])
    assert not box.done
    cluster.advance(0.2, beating=[worker])
    assert len(box.get().grants) == 1


def test_a_paused_job_is_not_claimed_and_keeps_its_place(cluster, flow):
    """Pause stops claims only; resumed, its tasks stand where they stood (R26)."""
    first = cluster.submit(flow())
    second = cluster.submit(flow())
    cluster.tell(first, PauseRequested())
    worker = cluster.worker(slots=1)
    cluster.tell(first, ResumeRequested())
    (grant,) = worker.poll()
    assert grant.job.job_id == first
    worker.complete(grant)
    cluster.tell(second, PauseRequested())
    assert worker.poll() == []
    box = worker.ask()
    cluster.tell(second, ResumeRequested())
    assert box.get().grants[0].job.job_id == second


def test_a_paused_queue_is_not_claimed(cluster, flow):
    """And its tasks are handed out when it goes on (R26)."""
    cluster.submit(flow())
    cluster.machine.call("pause", queue_changes(cluster.machine.feed, "default", {"paused": True}))
    worker = cluster.worker()
    box = worker.ask()
    assert not box.done
    cluster.machine.call("resume", queue_changes(cluster.machine.feed, "default", {"paused": False}))
    cluster.settle()
    assert len(box.get().grants) == 1


def test_a_task_cancelled_between_pick_and_claim_is_passed_over(cluster, flow):
    """The claim is decided in its transaction, whatever was picked before it (R3, R4)."""
    doomed = cluster.submit(flow())
    kept = cluster.submit(flow())
    worker = cluster.worker(slots=1)
    cluster.machine.tell(doomed, CancelRequested(), tenant=None, reply=lambda _outcome: None)
    box = worker.ask(seq=1, settle=False)  # picks the doomed one; its cancel stands before the claim in the queue
    cluster.settle()
    (grant,) = box.get().grants
    assert grant.job.job_id == kept


def test_a_binding_that_cannot_be_made_fails_the_task_and_the_poll_goes_on(cluster, flow):
    """No attempt begins; the worker gets the next task (R12)."""
    nodes = ({"name": "a"}, {"name": "b", "args": {"x": {"$get": [{"$ref": "a"}, "field"]}}})
    broken = cluster.submit(flow("broken", *nodes))
    worker = cluster.worker()
    worker.complete(worker.poll()[0], {"other": 1})
    other = cluster.submit(flow())
    grants = worker.poll()
    assert [g.job.job_id for g in grants] == [other]
    job = cluster.job(broken)
    assert job.state == "failed" and job.error.code == "binding_failed"
    assert cluster.task(broken, "b").attempt == 0


def test_a_run_claimed_beside_one_that_fails_its_job_is_told_to_stop(cluster, flow):
    """Runs claimed together are granted together, but before what a later claim of the same transaction brings upon them."""
    beside = [{"name": name, "after": ["a"]} for name in ("b", "c")]
    fails = {"name": "d", "args": {"x": {"$get": [{"$ref": "a"}, "field"]}}}
    job_id = cluster.submit(flow("broken", {"name": "a"}, *beside, fails, {"name": "e", "after": ["a"]}))
    worker = cluster.worker()
    worker.complete(worker.poll()[0], {"other": 1})
    grants = worker.poll()
    assert [grant.task.node for grant in grants] == ["b", "c"]
    assert [order.run_id for order in worker.last.cancel] == [grant.run_id for grant in grants]
    for grant in grants:
        worker.report(RunReport(run_id=grant.run_id, kind="cancelled"))
    job = cluster.job(job_id)
    assert job.state == "failed" and job.error.code == "binding_failed"
    assert not cluster.machine.feed.dispatcher.running("default")


def test_a_backlog_larger_than_the_window_is_handed_out_in_order(make_cluster, flow):
    """Windows are refilled from the rows; nothing is lost or doubled between them (promise 5)."""
    cluster = make_cluster()
    cluster.machine.feed.dispatcher = Dispatcher(window=4)
    jobs = [cluster.submit(flow()) for _ in range(60)]
    worker = cluster.worker(slots=3)
    seen = []
    while grants := worker.poll():
        seen += [grant.job.job_id for grant in grants]
        for grant in grants:
            worker.complete(grant)
    assert seen == jobs


def test_a_run_token_is_bound_to_its_run_and_outlives_a_restart(cluster, flow):
    """Derived from the file's secret; another run's token does not fit (R10)."""
    cluster.submit(flow())
    cluster.submit(flow())
    one, other = cluster.worker().poll()
    cluster.restart()
    tokens = cluster.machine.claims.tokens
    assert tokens.fits(one.run_id, one.run_token)
    assert not tokens.fits(one.run_id, other.run_token)
    assert not tokens.fits(one.run_id, "é")
