"""After a commit the memory follows usual decisions by a short way, which leaves it as the long one does."""

from __future__ import annotations

from typing import Any

from orpheus.core.facts import CancelRequested, PauseRequested, ResumeRequested
from orpheus.engine.aftermath import Aftermath
from orpheus.engine.base import RunReport
from orpheus.engine.work import Change

NODES = (
    {"name": "a"},
    {"name": "b", "after": ["a"]},
    {"name": "m", "kind": "map", "items": {"item": {"$param": "items"}}, "after": ["a"]},
    {"name": "late", "after": ["b"], "timeouts": {"schedule_to_start_s": 50.0, "heartbeat_s": 7.0}},
    {"name": "end", "after": ["m", "late"]},
)
ITEMS = {"type": "object", "properties": {"items": {"type": "array"}}}


class AtLength(Aftermath):
    """Takes no decision for a usual one."""

    def follow(self, effects: Any) -> bool:
        for effect in effects:
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


def test_the_memory_is_as_at_length(make_cluster, flow):
    short, long = make_cluster(lease_s=30.0), make_cluster(lease_s=30.0)
    long.machine.aftermath = AtLength(long.machine)
    workers = []
    for cluster in (short, long):
        cluster.publish(flow("many", *NODES, params=ITEMS))
        workers.append(cluster.worker(slots=6))

    def both(do: Any) -> None:
        done = [do(cluster, worker) for cluster, worker in zip((short, long), workers, strict=True)]
        assert done[0] == done[1]
        assert memory(short.machine) == memory(long.machine)

    jobs: list[str] = []
    for count in (0, 1, 3, 8, 8):
        both(lambda cluster, _worker, n=count: jobs.append(cluster.submit("many", params={"items": list(range(n))})))
    ids = {short: jobs[::2], long: jobs[1::2]}
    both(lambda cluster, _worker: cluster.advance(1.5))
    for turn in range(60):

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
            for grant in list(worker.held.values())[: 1 + turn % 4]:
                worker.fail(grant) if turn % 7 == 3 else worker.complete(grant, turn)
            return [(grant.task.node, grant.task.index, grant.task.attempt) for grant in granted]

        both(step)
    assert [str(short.job(job_id).state) for job_id in ids[short]] == [
        str(long.job(job_id).state) for job_id in ids[long]
    ]
    assert short.machine.meter.shown()["attempts"]["step@1", "completed"] > 20
