"""Usual attempts begin and complete by short ways (`engine/usual_runs.py`), and after the commit the memory follows them by one; jobs
that begin alike are written and followed together: the file and the memory are as the long ways leave them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from random import Random
from typing import Any

import pytest

from orpheus.core.decision import Decision
from orpheus.core.facts import CancelRequested, PauseRequested, ResumeRequested
from orpheus.core.webhooks import Subscription
from orpheus.engine import claims, reports
from orpheus.engine.aftermath import Aftermath
from orpheus.engine.base import RunReport, Submission
from orpheus.engine.usual_runs import Began, Completed
from orpheus.engine.work import Change

NODES = (
    {"name": "a"},
    {"name": "b", "after": ["a"]},
    {"name": "m", "kind": "map", "items": {"item": {"$param": "items"}}, "after": ["a"]},
    {"name": "late", "after": ["b"], "timeouts": {"schedule_to_start_s": 50.0, "heartbeat_s": 7.0}},
    {"name": "end", "after": ["m", "late"]},
)
PAIR = ({"name": "first"}, {"name": "second", "after": ["first"], "args": {"of": {"$ref": "first"}}})
ITEMS = {"type": "object", "properties": {"items": {"type": "array"}}}


class Counting(Aftermath):
    """Counts what went the short ways together."""

    def __init__(self, machine: Any) -> None:
        super().__init__(machine)
        self.together: Counter[str] = Counter()

    def follow(self, effects: Any) -> bool:
        for effect in effects:
            if isinstance(effect, Began):
                self.together["began"] += len(effect.picks)
            elif isinstance(effect, Completed):
                self.together["completed"] += len(effect.runs)
                self.together["opened"] += len(effect.opened)
        return super().follow(effects)


class AtLength(Aftermath):
    """Takes no decision for a usual one."""

    def follow(self, effects: Any) -> bool:
        for effect in effects:
            assert not isinstance(effect, Began | Completed)
            if isinstance(effect, Change):
                effect.decision.usual = False
        return super().follow(effects)


def memory(machine: Any) -> Any:
    """Return all that decisions change outside the rows."""
    dispatcher = machine.feed.dispatcher
    return (
        (machine.meter.shown(), machine.stream.head, machine.stream.ring_after(0, 10_000), machine.timers.next_due()),
        (list(dispatcher._where), list(dispatcher._held), {name: g.running for name, g in dispatcher.gates._queues.items()}),
        (list(machine.runs), machine.runs.next_due(), machine.progress._written, machine.logs._books),
        [(one.runs, one.grants, one.cancels, one.abandoned, one.reported) for one in machine.sessions.all()],
        {name: one.count for name in ("step@1",) if (one := machine.durations.sample(name, 0)) is not None},
    )  # fmt: skip


def file(machine: Any) -> dict[str, list[Any]]:
    """Return the rows of what jobs consist of; those of deliveries have random ids and are told by their events."""
    sql = machine.store.connection.execute
    tables = ("jobs", "tasks", "event_groups", "attempts", "job_counts", "task_counts", "dependencies")
    return {name: sql(f"SELECT * FROM {name}").fetchall() for name in tables}


@contextmanager
def at_length() -> Iterator[None]:
    """Have every claim and every end told as a fact."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "begin", lambda *_asked: None)
        patch.setattr(reports, "complete", lambda *_asked: False)
        yield


def test_file_and_memory_are_as_at_length(make_cluster, flow):
    short, long = make_cluster(lease_s=30.0), make_cluster(lease_s=30.0)
    short.machine.aftermath = Counting(short.machine)
    long.machine.aftermath = AtLength(long.machine)
    workers = []
    for cluster in (short, long):
        cluster.publish(flow("many", *NODES, params=ITEMS))
        cluster.publish(flow("pair", *PAIR))
        cluster.publish(flow("answering", *PAIR, output={"$ref": "second"}))
        workers.append(cluster.worker(slots=6))

    def both(do: Any) -> None:
        done = []
        for cluster, worker in zip((short, long), workers, strict=True):
            with nullcontext() if cluster is short else at_length():
                done.append(do(cluster, worker))
        assert done[0] == done[1]
        assert memory(short.machine) == memory(long.machine)
        assert ends[short] == ends[long]

    ends: dict[Any, list[Any]] = {short: [], long: []}
    jobs: list[str] = []
    for count in (0, 1, 3, 8, 8):
        both(lambda cluster, _worker, n=count: jobs.append(cluster.submit("many", params={"items": list(range(n))})))
    ids = {short: jobs[::2], long: jobs[1::2]}
    for number in range(30):  # many that are alike, and some that wait for one of them or are told of outside

        def submit(cluster: Any, _worker: Any, number: int = number) -> None:
            known = ids[cluster]
            told = {"webhook_url": "http://example.com/hook"} if number % 9 == 4 else {}
            after = {"depends_on": ((known[-1], "end"),)} if number % 5 == 3 else {}
            known.append(cluster.submit(("pair", "answering")[number % 2], **told, **after))

            def heard(ending: Decision) -> None:
                ends[cluster].append((ending.job, ending.sets_job_result, ending.job_result))

            cluster.machine.when_ended(known[-1], heard)

        both(submit)
    both(lambda cluster, _worker: cluster.advance(1.5))
    for turn in range(90):

        def step(cluster: Any, worker: Any, turn: int = turn) -> Any:
            if turn in (3, 10):
                cluster.tell(ids[cluster][3], PauseRequested(actor="client"))
            if turn in (6, 13):
                cluster.tell(ids[cluster][3], ResumeRequested(actor="client"))
            if turn == 12:
                cluster.tell(ids[cluster][4], CancelRequested(reason="enough", actor="client"))
            granted = worker.poll(free=3)
            if granted:
                worker.report(RunReport(run_id=granted[0].run_id, kind="progress", fraction=0.5))
            cluster.advance(0.3, beating=[worker])
            over = [
                RunReport(run_id=grant.run_id, kind="failed" if turn % 7 == 3 + place else "completed", result=turn)
                for place, grant in enumerate(list(worker.held.values())[: 1 + turn % 4])
            ]
            worker.report(*over, *over[:1])
            return [(grant.task.node, grant.task.index, grant.task.attempt) for grant in granted]

        both(step)
    assert file(short.machine) == file(long.machine)
    assert {result is None for job, _sets, result in ends[short] if job.state == "completed"} == {True, False}
    assert [str(short.job(job_id).state) for job_id in ids[short]] == [
        str(long.job(job_id).state) for job_id in ids[long]
    ]
    assert short.machine.meter.shown()["attempts"]["step@1", "completed"] > 60
    assert min(short.machine.aftermath.together[name] for name in ("began", "completed", "opened")) > 20
    assert short.machine.meter.shown()["attempts"]["step@1", "completed"] > 20


NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}}
ONE = ({"name": "a"},)
TWO = ({"name": "a"}, {"name": "b"}, {"name": "end", "after": ["a"]})
TABLES = ("jobs", "tasks", "job_params", "event_groups", "labels", "job_counts", "task_counts", "deliveries")


def rows(cluster: Any) -> list[Any]:
    sql = cluster.store.connection.execute
    return [sql(f"SELECT * FROM {name}").fetchall() for name in TABLES]


def batch(dice: Random) -> list[Submission]:
    asked = []
    for _ in range(dice.choice([1, 2, 5, 30, 90])):
        kind = {"workflow": dice.choice(["one", "one", "one", "two"]), "tenant": dice.choice(["ada", "ada", "bob"])}
        labels = {"k": "v"} if dice.random() < 0.1 else {}
        asked.append(Submission(**kind, params={"n": len(asked)}, labels=labels, correlation_id="c"))
    return sorted(asked, key=lambda one: one.workflow) if dice.random() < 0.6 else asked


@pytest.mark.parametrize("seed", range(6))
def test_jobs_that_begin_alike_leave_what_each_alone_would(make_cluster, flow, seed):
    """Rows and memory, with more of them than the dispatcher keeps, and polls that take them in the commit they come with."""
    clusters = together, alone = make_cluster(window=64), make_cluster(window=64)
    begin = alone.store.begin

    def begin_for_each_alone() -> Any:
        tx = begin()
        tx.begin_alike = lambda _alike: None
        return tx

    alone.store.begin = begin_for_each_alone
    workers = []
    for cluster in clusters:
        cluster.publish(flow("one", *ONE, params=NUMBER))
        cluster.publish(flow("two", *TWO, params=NUMBER))
        workers.append(cluster.worker(slots=100))
    dice = Random(seed)
    for _ in range(15):
        asked, free, idle = batch(dice), dice.choice([1, 8, 100]), dice.random() < 0.5
        for cluster, worker in zip(clusters, workers, strict=True):
            while idle and (worker.poll(free=100) or worker.held):
                worker.report(*[RunReport(run_id=run_id, kind="completed", result=1) for run_id in list(worker.held)])
            polled = worker.ask(free=free)
            cluster.submit_many(*asked)
            worker.take(polled) if polled.given else worker.poll(free=free)
        assert workers[0].held == workers[1].held
        assert memory(together.machine) == memory(alone.machine)
        assert rows(together) == rows(alone)
        for cluster in clusters:
            cluster.advance(1.0, beating=workers[clusters.index(cluster) : clusters.index(cluster) + 1])
    assert together.machine.meter.events["job.created"] > 100


def test_who_wants_to_hear_of_jobs_hears_of_each_that_begins_alike(make_cluster, flow):
    """A subscription of another tenant does not."""
    cluster = make_cluster()
    cluster.publish(flow("one", *ONE, params=NUMBER))
    for tenant in ("ada", None):
        webhook = Subscription(webhook_id="", tenant=tenant, url="https://example.org", events=("job.created",))
        cluster.machine.call("hear", lambda work, webhook=webhook: cluster.machine.webhooks.create(work, webhook))
        cluster.settle()
        made = cluster.submit_many(*[Submission(workflow="one", tenant="bob", params={"n": n}) for n in range(3)])
        found = cluster.store.connection.execute("SELECT job_id FROM deliveries").fetchall()
        assert [row[0] for row in found] == ([] if tenant else [one.job.job_id for one in made])
