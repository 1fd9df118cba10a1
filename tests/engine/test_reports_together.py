"""What one report says of many runs is one operation, and comes apart where a fault of ours would spoil others (R3, R8)."""

from __future__ import annotations

import pytest

from orpheus.core.errors import TaskError
from orpheus.engine.base import InternalError, RunReport
from orpheus.engine.reports import MOST_ENDS


@pytest.fixture
def worker(cluster, flow):
    """A worker that holds ten runs."""
    for _ in range(10):
        cluster.submit(flow())
    worker = cluster.worker(slots=10)
    assert len(worker.poll()) == 10
    return worker


def states(cluster) -> dict[str, int]:
    return dict(cluster.store.connection.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())


def test_the_ends_of_a_report_are_one_operation_and_counted_each(cluster, worker):
    """What is queued is one thing; the meter still counts what was said."""
    machine = cluster.machine
    reports = [RunReport(run_id=run_id, kind="completed", result=1) for run_id in worker.held]
    reports[3] = RunReport(run_id=reports[2].run_id, kind="completed", result=2)  # ended by the item before it
    answers = []
    machine.workers.report(worker.session_id, reports, answers.extend)
    assert machine.queued == 1
    batch = machine.run_batch()
    assert batch is not None and answers == []
    machine.commit()
    machine.finish(batch)
    assert [answer and answer.code for answer in answers] == [None, None, None, "stale_run", *[None] * 6]
    assert states(cluster) == {"completed": 9, "running": 1}
    assert (machine.meter.operations["report"], machine.meter.refused["report"]) == (10, 1)
    assert machine.meter.batch_operations_max == 10
    assert len(machine.runs) == 1


def test_a_long_report_is_several_operations(cluster, flow):
    """So that a batch can end about when it should."""
    count = 2 * MOST_ENDS + 1
    for _ in range(count):
        cluster.submit(flow())
    worker = cluster.worker(slots=count)
    reports = [RunReport(run_id=grant.run_id, kind="completed", result=1) for grant in worker.poll()]
    answers = []
    cluster.machine.workers.report(worker.session_id, reports, answers.extend)
    assert cluster.machine.queued == 3
    cluster.settle()
    assert answers == [None] * count


def test_a_fault_in_one_end_spoils_no_other(cluster, worker):
    """A result that cannot be written down is a fault of ours; whoever else is in the report does not hear of it."""
    reports = [RunReport(run_id=run_id, kind="completed", result=1) for run_id in worker.held]
    reports[4] = RunReport(run_id=reports[4].run_id, kind="completed", result=object())
    answers = worker.report(*reports)
    assert isinstance(answers.pop(4), InternalError) and answers == [None] * 9
    assert states(cluster) == {"completed": 9, "running": 1}
    assert worker.complete(next(iter(worker.held.values()))) is None  # the run can still be reported


def test_a_fault_of_another_operation_has_ends_run_one_by_one(cluster, worker):
    """They are answered as if nothing had been, in the places they have in the report."""
    machine = cluster.machine
    error = TaskError(code="task_failed", message="no")
    reports = [RunReport(run_id=run_id, kind="failed", error=error, final=True) for run_id in worker.held]
    reports[7] = RunReport(run_id=reports[6].run_id, kind="completed")
    answers, faults = [], []
    machine.workers.report(worker.session_id, reports, answers.extend)
    machine.call("bad", lambda _work: 1 / 0, faults.append)
    assert machine.run_batch() is None
    assert machine.queued == 11
    cluster.settle()
    assert isinstance(faults[0], InternalError)
    assert [answer and answer.code for answer in answers] == [*[None] * 7, "stale_run", None, None]
    assert states(cluster) == {"failed": 9, "running": 1}


def test_what_is_said_between_two_ends_keeps_its_place(cluster, worker):
    """A line of a run is written before its end that follows, and refused after the end before it."""
    first, second, *_ = worker.held
    line = ({"message": "hello", "level": "info"},)
    answers = worker.report(
        RunReport(run_id=first, kind="completed"),
        RunReport(run_id=second, kind="log", lines=line),
        RunReport(run_id=second, kind="progress", fraction=0.5),
        RunReport(run_id=second, kind="completed"),
    )
    assert answers == [None] * 4
    kept = cluster.store.connection.execute("SELECT count(*) FROM logs").fetchone()
    assert kept == (1,)
    assert worker.report(RunReport(run_id=second, kind="log", lines=line))[0].code == "stale_run"
    assert worker.report() == []
