"""A poll that brings reports is their report and the next question in one (R8)."""

from __future__ import annotations

from typing import Any

import pytest

from orpheus.engine.base import RunReport, UnknownSession


def chain() -> tuple[dict[str, Any], ...]:
    return {"name": "a"}, {"name": "b", "after": ["a"]}


class Outcomes(list):
    """What `reported` was told."""

    def __call__(self, outcomes: Any) -> None:
        assert not self, "told twice"
        self.extend(outcomes)


def carry(worker: Any, *grants: Any, seq: int | None = None, wait_s: float = 20.0) -> tuple[list[Any], Outcomes]:
    """Poll with the ends of these runs; return what comes as an answer, and as outcomes."""
    if seq is None:
        worker.seq += 1
    answers, outcomes = [], Outcomes()
    worker.cluster.machine.workers.poll(
        worker.session_id,
        worker.seq if seq is None else seq,
        held=list(worker.held),
        free=10,
        resources_free={},
        wait_s=wait_s,
        answer=answers.append,
        reports=[RunReport(run_id=grant.run_id, kind="completed", result=1) for grant in grants],
        reported=outcomes,
    )
    return answers, outcomes


def test_a_step_of_a_chain_is_one_request_and_one_commit(cluster, flow):
    """What the reports make ready goes out with the answer that acknowledges them."""
    cluster.publish(flow("chained", *chain()))
    worker = cluster.worker()
    box = worker.ask()
    job_id = cluster.submit("chained")
    [first] = worker.take(box).grants
    before = cluster.machine.meter.commits
    answers, outcomes = carry(worker, first)
    assert (answers, outcomes) == ([], []), "nothing is said before the commit"
    cluster.settle()
    assert cluster.machine.meter.commits == before + 1
    [answer] = answers
    assert [grant.task.node for grant in answer.grants] == ["b"]
    assert outcomes == [None]

    del worker.held[first.run_id]
    [last] = answer.grants
    worker.held[last.run_id] = last
    answers, outcomes = carry(worker, last)
    cluster.settle()
    assert outcomes == [None]
    assert cluster.job(job_id).state == "completed"
    assert answers == [], "there is no news; the next job still finds a poll that waits"
    cluster.submit("chained")
    assert [grant.task.node for grant in answers[0].grants] == ["a"]


def test_the_acknowledgement_does_not_wait_for_news(cluster, flow):
    cluster.publish(flow("plain", {"name": "a"}))
    worker = cluster.worker()
    cluster.submit("plain")
    [grant] = worker.poll()
    answers, _ = carry(worker, grant)
    cluster.advance(1.0)
    cluster.settle()
    [answer] = answers
    assert (answer.grants, answer.unknown) == ((), ())
    quiet = worker.ask()
    cluster.advance(1.0)
    assert not quiet.done, "one without reports waits on"


def test_a_refused_report_does_not_wait_for_news_either(cluster, flow):
    worker = cluster.worker()
    cluster.publish(flow("plain", {"name": "a"}))
    cluster.submit("plain")
    [grant] = worker.poll()
    worker.complete(grant)
    answers, outcomes = carry(worker, grant)
    assert [error.code for error in outcomes] == ["stale_run"]
    cluster.advance(1.0)
    assert len(answers) == 1


def test_the_same_poll_again_gets_the_same_answer_and_changes_nothing(cluster, flow):
    cluster.publish(flow("chained", *chain()))
    worker = cluster.worker()
    job_id = cluster.submit("chained")
    [first] = worker.poll()
    answers, _ = carry(worker, first)
    cluster.settle()
    [answer] = answers
    again, outcomes = carry(worker, first, seq=worker.seq)
    assert [grant.run_id for grant in again[0].grants] == [grant.run_id for grant in answer.grants]
    assert [error.code for error in outcomes] == ["stale_run"]
    assert cluster.events(job_id).count("task.completed") == 1


def test_a_poll_that_is_overtaken_still_hears_of_its_reports(cluster, flow):
    cluster.publish(flow("plain", {"name": "a"}))
    worker = cluster.worker()
    job_id = cluster.submit("plain")
    [grant] = worker.poll()
    old, outcomes = carry(worker, grant)
    new, _ = carry(worker, seq=worker.seq)
    cluster.settle()
    assert old[0].superseded and outcomes == [None]
    assert new == []
    assert cluster.job(job_id).state == "completed"


def test_of_an_unknown_session_nothing_is_carried_out(cluster, flow):
    """It says hello and asks again, with its reports."""
    cluster.publish(flow("plain", {"name": "a"}))
    worker = cluster.worker()
    job_id = cluster.submit("plain")
    [grant] = worker.poll()
    cluster.restart()
    answers, outcomes = carry(worker, grant)
    cluster.settle()
    assert isinstance(answers[0], UnknownSession) and outcomes == []
    assert cluster.job(job_id).state == "running"
    worker.hello()
    _, outcomes = carry(worker, grant, seq=worker.seq)
    cluster.settle()
    assert outcomes == [None]
    assert cluster.job(job_id).state == "completed"


@pytest.mark.parametrize("kind", ["progress", "log"])
def test_words_may_ride_too(cluster, flow, kind):
    cluster.publish(flow("plain", {"name": "a"}))
    worker = cluster.worker()
    cluster.submit("plain")
    [grant] = worker.poll()
    outcomes = Outcomes()
    cluster.machine.workers.poll(
        worker.session_id,
        worker.seq + 1,
        held=list(worker.held),
        free=0,
        resources_free={},
        wait_s=20.0,
        answer=lambda answer: None,
        reports=[RunReport(run_id=grant.run_id, kind=kind, fraction=0.5, lines=({"message": "hi"},))],
        reported=outcomes,
    )
    cluster.settle()
    assert outcomes == [None]
