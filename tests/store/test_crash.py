"""The process is killed in the middle of writing, again and again: what was acknowledged is found (promise 1)."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orpheus.core.job import JobState
from orpheus.store import Store
from orpheus.store.queries import with_events
from orpheus.store.rows import JOB_COLUMNS, TASK_COLUMNS, job_from_row, task_from_row
from orpheus.store.writer import Writer

WRITER = """
import sys
from pathlib import Path
from orpheus.core import facts as f
from orpheus.core.decider import NewJob, decide, submit
from orpheus.core.validate import parse_graph
from orpheus.store import Store
from orpheus.store.writer import Writer

class Draws:
    def uniform(self): return 0.5

path = Path(sys.argv[1])
store = Store.open(path, now=0.0, epoch="e", writer=Writer(path, least_rows=14) if sys.argv[3] == "apart" else None)
graph_json = {"format": 1, "name": "w", "version": 1, "nodes": [{"name": "a", "kind": "task", "task": "a", "version": 1}], "output": {"$ref": "a"}}
graph = parse_graph(graph_json)
store.begin().put_definition(graph_json, graph, 0.0)
store.commit()
number = int(sys.argv[2])
while True:
    names = [f"{sys.argv[2]}-{number + i}" for i in range(7)]
    number += 7
    for step in range(3):
        tx = store.begin()
        for name in names:
            if step == 0:
                tx.apply(submit(NewJob(job_id=name, tenant="t", correlation_id="c"), graph, 1.0, Draws()))
            else:
                claim = f.TaskClaimed(node="a", run_id=name, worker="w")
                done = f.RunCompleted(node="a", run_id=name, result=name)
                tx.apply(decide(tx.view(name), claim if step == 1 else done, 2.0, Draws()))
        tx.flush()
        store.commit()
        print("\\n".join(f"{step} {name}" for name in names), flush=True)
    if number % 5 == 0:
        store.checkpoint()
"""
STATES = (JobState.QUEUED, JobState.RUNNING, JobState.COMPLETED)


@pytest.mark.parametrize("where", ["here", "apart"])
def test_acknowledged_rows_survive_sigkill(tmp_path: Path, where: str) -> None:
    """Eight lives of a writer on one file; after each, every acknowledged step is there, and the file agrees with itself."""
    path = tmp_path / "orpheus.db"
    dice = random.Random(7)
    acknowledged: dict[str, int] = {}
    for life in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(life * 1_000_000), where], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(dice.uniform(0.02, 0.3))
        process.send_signal(signal.SIGKILL)
        told, _ = process.communicate()
        lines = (first + told).splitlines(keepends=True)
        for line in lines:
            if line.endswith("\n"):
                step, name = line.split()
                acknowledged[name] = int(step)
        Writer(path).close()  # as the next server does: waits until nothing writes any more
        check(path, acknowledged)
    assert len(acknowledged) > 50


def check(path: Path, acknowledged: dict[str, int]) -> None:
    store = Store.open(path, now=0.0, epoch="e")
    sql = store.connection.execute
    assert sql("PRAGMA integrity_check").fetchall() == [("ok",)]
    jobs = {row[1]: job_from_row(row) for row in sql(f"SELECT job_no, {JOB_COLUMNS} FROM jobs")}
    for name, step in acknowledged.items():
        assert STATES.index(jobs[name].state) >= step
    ids = dict(sql("SELECT job_no, job_id FROM jobs").fetchall())
    tasks = [task_from_row(ids[row[0]], row) for row in sql(f"SELECT job_no, {TASK_COLUMNS} FROM tasks")]
    assert len(tasks) == len(jobs)
    for task in tasks:
        job = jobs[task.job_id]
        wanted = {"ready": JobState.QUEUED, "running": JobState.RUNNING, "completed": JobState.COMPLETED}[task.state]
        assert job.state is wanted, "rows of one decision are written together"
    per_job = "SELECT job_id, count(*) FROM events JOIN jobs USING (job_no) GROUP BY job_no"
    told = dict(sql(with_events(per_job)).fetchall())
    assert all(told[name] == job.last_seq for name, job in jobs.items()), "events are gapless (R1)"
    counted = dict(sql("SELECT state, sum(count) FROM job_counts GROUP BY state HAVING sum(count) > 0").fetchall())
    assert counted == dict(sql("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
    store.close()
