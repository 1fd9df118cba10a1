"""Transactions: what is answered when, and what a fault of ours costs (R3)."""

from __future__ import annotations

import json

import pytest

from orpheus.core.errors import InvalidRequest
from orpheus.engine import claims
from orpheus.engine.base import InternalError


def test_nothing_is_answered_and_no_memory_changes_before_the_commit(cluster, flow):
    """Answers and effects follow the commit (R3)."""
    answers = []
    changed = []

    def do(work):
        work.after_commit(lambda: changed.append(1))
        return "done"

    cluster.machine.call("probe", do, answers.append)
    batch = cluster.machine.run_batch()
    assert batch is not None and not answers and not changed
    cluster.machine.commit()
    assert not answers and not changed
    cluster.machine.finish(batch)
    assert answers == ["done"] and changed == [1]


def test_what_queued_meanwhile_goes_together(cluster):
    """One transaction for all, and no waiting to fill it (R3)."""
    cluster.settle()
    seen = []
    for number in range(50):
        cluster.machine.call("probe", lambda work, n=number: seen.append((n, id(work))))
    before = cluster.machine.meter.commits
    cluster.settle()
    assert [n for n, _ in seen] == list(range(50)) and len({w for _, w in seen}) == 1
    assert cluster.machine.meter.commits == before + 1


def test_a_refused_operation_leaves_the_rest_of_its_batch_alone(cluster, flow):
    """Its effects are dropped with it (R3)."""
    answers = []
    changed = []

    def refuse(work):
        work.after_commit(lambda: changed.append(1))
        raise InvalidRequest("no")

    cluster.machine.call("refuse", refuse, answers.append)
    cluster.machine.call("fine", lambda _work: 2, answers.append)
    cluster.settle()
    assert isinstance(answers[0], InvalidRequest) and answers[1] == 2 and not changed


def test_a_fault_rolls_back_and_only_the_faulty_one_is_dropped(cluster, flow):
    """The others run again, each in a transaction of its own; the fault is answered as internal and retryable (R3)."""
    answers = []
    runs = []

    def write(key):
        def do(work):
            runs.append(key)
            work.tx.put_meta(key, "x")
            return key

        return do

    def fault(work):
        work.tx.put_meta("bad", "x")
        raise ZeroDivisionError

    cluster.machine.call("one", write("one"), answers.append)
    cluster.machine.call("bad", fault, answers.append)
    cluster.machine.call("two", write("two"), answers.append)
    cluster.settle()
    assert sorted(str(a) for a in answers if isinstance(a, str)) == ["one", "two"]
    (error,) = [a for a in answers if isinstance(a, InternalError)]
    assert error.code == "internal_error" and error.retryable
    keys = {row[0] for row in cluster.store.connection.execute("SELECT key FROM meta")}
    assert {"one", "two"} <= keys and "bad" not in keys


def test_a_fault_while_claiming_gives_the_tasks_back(cluster, flow, monkeypatch):
    """Nothing stays reserved: the next poll gets them."""
    cluster.submit(flow())
    worker = cluster.worker()
    monkeypatch.setattr(claims.Claim, "run", lambda *_args: 1 / 0)
    box = worker.ask()
    cluster_is_quiet = not box.done
    monkeypatch.undo()
    cluster.advance(1.0)
    assert cluster_is_quiet
    assert len(box.get().grants) == 1


def test_a_batch_ends_after_its_time(make_cluster):
    """So that nobody waits long for the fsync (R3)."""
    cluster = make_cluster(batch_s=0.008)
    for _ in range(10):
        cluster.machine.call("slow", lambda _work: cluster.clock.advance(0.003))
    batch = cluster.machine.run_batch()
    assert batch is not None and len(batch.done) == 3
    cluster.machine.commit()
    cluster.machine.finish(batch)
    cluster.settle()


@pytest.mark.parametrize("after_s", [0.0, 100.0])
def test_a_restart_continues_where_it_was(cluster, flow, after_s):
    """Ready, retrying, delayed and running tasks all come back (promise 1)."""
    chain = flow("chain", {"name": "a"}, {"name": "b", "after": ["a"]}, {"name": "c", "after": ["b"]})
    job_id = cluster.submit(chain)
    delayed = cluster.submit(flow(), delay_s=50.0)
    worker = cluster.worker()
    worker.complete(worker.poll()[0])
    cluster.restart(after_s=after_s)
    worker.hello()
    worker.fail(worker.poll(free=1)[0])
    cluster.restart(after_s=after_s)
    worker.hello()
    cluster.advance(60.0, beating=[worker])
    for _ in range(5):
        for grant in worker.poll():
            worker.complete(grant)
    assert cluster.job(job_id).state == "completed"
    assert cluster.job(delayed).state == "completed"


def test_a_map_of_thousands_keeps_each_fact_small(cluster, flow):
    """Fan-out under a cap, results in order; no step is more than a few rows (R4, R13)."""
    items = {"type": "object", "properties": {"items": {"type": "array"}}}
    node = {"name": "m", "kind": "map", "items": {"x": {"$param": "items"}}, "max_concurrency": 50}
    job_id = cluster.submit(flow("fan", node, params=items, output={"$ref": "m"}), params={"items": list(range(400))})
    worker = cluster.worker()
    most = 0
    while grants := worker.poll():
        most = max(most, len(grants))
        for grant in reversed(grants):
            worker.complete(grant, grant.args["x"] * 2)
    assert most <= 50
    assert cluster.job(job_id).state == "completed"
    row = cluster.store.connection.execute("SELECT result FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
    assert json.loads(row[0]) == [n * 2 for n in range(400)]
