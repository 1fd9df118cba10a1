"""How many one-task jobs a second does the store write, and how far is that from SQLite itself?

A job is submitted, claimed and completed; each step is a decision, made by hand so that the decider's time is not in it. Batches
of `BATCH` decisions share a commit, at synchronous=FULL. The raw loop beside it writes what a job needs at least, as
`../shared/peers/raw_sqlite.py` does: three changes of a row and three events. Prints JSON lines; CPU time is
beside wall time because a busy machine distorts the latter.

    python benchmarks/store_write.py [seconds]
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from orpheus.core.decision import Decision, Event
from orpheus.core.job import Job, JobState
from orpheus.core.task import NODE, Task, TaskState
from orpheus.core.validate import parse_graph
from orpheus.store import Store

BATCH = 300
WAVE = 3_000
GRAPH = {
    "format": 1,
    "name": "wordcount",
    "version": 1,
    "params": {"type": "object", "properties": {"text": {"type": "string"}}},
    "nodes": [
        {"name": "wordcount", "kind": "task", "task": "wordcount", "version": 1, "args": {"text": {"$param": "text"}}}
    ],
    "output": {"$ref": "wordcount"},
}
PARAMS = {"text": "the quick brown fox jumps over the lazy dog"}
RESULT = {"words": 9, "unique": 8, "lines": 1, "characters": 43}


def submitted(number: int, definition_id: str, now: float) -> Decision:
    """What `submit` decides for a job of one task."""
    job_id = f"01920000-{number >> 16 & 0xFFFF:04x}-7000-8000-{number:012x}"
    job = Job(
        job_id=job_id,
        tenant="default",
        workflow="wordcount",
        workflow_version=1,
        definition_id=definition_id,
        state=JobState.QUEUED,
        created_at=now,
        correlation_id=job_id,
        last_seq=3,
        nodes_open=1,
        weight_total=1.0,
        counts={"ready": 1},
        updated_at=now,
    )
    task = Task(
        job_id,
        "wordcount",
        NODE,
        1,
        TaskState.READY,
        "default",
        "default",
        "wordcount@1",
        ready_at=now,
        first_ready_at=now,
    )
    events = [
        Event(1, "job.created", now, "api", data={"workflow": "wordcount", "version": 1, "tenant": "default"}),
        Event(2, "job.queued", now, "api"),
        Event(3, "task.ready", now, "api", task="wordcount"),
    ]
    return Decision(job=job, is_new=True, new_tasks=[task], params=PARAMS, events=events)


def claimed(job: Job, task: Task, run_id: str, now: float) -> Decision:
    """What `decide` answers to TaskClaimed."""
    job.state, job.started_at, job.updated_at, job.runs_active = JobState.RUNNING, now, now, 1
    job.last_seq, job.counts, job.current_stage = 5, {"ready": 0, "running": 1}, "wordcount"
    task.state, task.attempt, task.run_id, task.worker, task.started_at = TaskState.RUNNING, 1, run_id, "w-1", now
    events = [
        Event(4, "job.started", now, "engine"),
        Event(5, "task.started", now, "engine", "wordcount", None, run_id, {"attempt": 1, "worker": "w-1"}),
    ]
    return Decision(job=job, tasks=[task], events=events)


def completed(job: Job, task: Task, now: float) -> Decision:
    """What `decide` answers to RunCompleted."""
    job.state, job.finished_at, job.updated_at, job.runs_active = JobState.COMPLETED, now, now, 0
    job.last_seq, job.counts = 7, {"ready": 0, "running": 0, "completed": 1}
    job.nodes_open, job.weight_done, job.progress_percentage = 0, 1.0, 100.0
    task.state, task.finished_at, task.progress = TaskState.COMPLETED, now, 1.0
    events = [
        Event(6, "task.completed", now, "worker", "wordcount", None, task.run_id, {"attempt": 1, "artifacts": []}),
        Event(7, "job.completed", now, "worker"),
    ]
    return Decision(
        job=job, tasks=[task], results={task.key: RESULT}, job_result=RESULT, sets_job_result=True, events=events
    )


def store_rate(path: Path, budget_s: float) -> dict[str, Any]:
    """Jobs per second through `Transaction.apply`, in waves of WAVE jobs."""
    store = Store.open(path, now=0.0, epoch="bench")
    graph = parse_graph(GRAPH)
    store.begin().put_definition(GRAPH, graph, 0.0)
    store.commit()
    committing = deciding = 0.0
    done = 0
    began, cpu = time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - began) < budget_s:
        numbers = range(done, done + WAVE)
        for step in range(3):
            for start in range(0, WAVE, BATCH):
                tx = store.begin()
                for number in numbers[start : start + BATCH]:
                    made = time.perf_counter()
                    job_id = f"01920000-{number >> 16 & 0xFFFF:04x}-7000-8000-{number:012x}"
                    if step == 0:
                        decision = submitted(number, graph.definition_id, made)
                    else:
                        view = tx.view(job_id)
                        job, task = view.job(), view.task("wordcount")
                        assert task is not None
                        decision = (
                            claimed(job, task, f"{job_id[::-1]}", made) if step == 1 else completed(job, task, made)
                        )
                    deciding += time.perf_counter() - made
                    tx.apply(decision)
                tx.flush()
                before = time.perf_counter()
                store.commit()
                committing += time.perf_counter() - before
        done += WAVE
    cpu = time.process_time() - cpu
    wal = store.wal_bytes()
    store.close()
    return {
        "jobs_per_s": round(done / elapsed),
        "cpu_us_per_job": round(cpu / done * 1e6, 1),
        "of_it_decisions_by_hand_us": round(deciding / done * 1e6, 1),
        "of_it_commit_us": round(committing / done * 1e6, 1),
        "wal_bytes_per_job": round(wal / done),
    }


def raw_rate(path: Path, budget_s: float) -> dict[str, Any]:
    """Jobs per second of the least that must be written, statement by statement."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA wal_autocheckpoint = 0",
        "CREATE TABLE job (id INTEGER PRIMARY KEY, state TEXT NOT NULL, input TEXT, result TEXT, lease_until REAL)",
        "CREATE INDEX job_state ON job (state, id)",
        "CREATE TABLE event (id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL)",
    ):
        connection.execute(statement)
    steps = (
        ("queued", "INSERT INTO job (id, state, input) VALUES (?, 'queued', '1')"),
        ("running", "UPDATE job SET state = 'running', lease_until = 1.0 WHERE id = ? AND state = 'queued'"),
        ("done", "UPDATE job SET state = 'done', result = '1', lease_until = NULL WHERE id = ? AND state = 'running'"),
    )
    done = 0
    began, cpu = time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - began) < budget_s:
        for kind, sql in steps:
            for start in range(done, done + WAVE, BATCH):
                connection.execute("BEGIN IMMEDIATE")
                for number in range(start, start + BATCH):
                    connection.execute(sql, (number,))
                    connection.execute(
                        "INSERT INTO event (job_id, kind, at) VALUES (?, ?, ?)", (number, kind, time.time())
                    )
                connection.execute("COMMIT")
        done += WAVE
    cpu = time.process_time() - cpu
    connection.close()
    return {"jobs_per_s": round(done / elapsed), "cpu_us_per_job": round(cpu / done * 1e6, 1)}


def main() -> None:
    budget_s = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    with tempfile.TemporaryDirectory(prefix="store-write-") as folder:
        raw = raw_rate(Path(folder, "raw.db"), budget_s)
        ours = store_rate(Path(folder, "orpheus.db"), budget_s)
    print(json.dumps({"scenario": "raw sqlite", "batch": BATCH, **raw}))
    print(json.dumps({"scenario": "store", "batch": BATCH, **ours}))
    ratio = {
        "store_over_raw": round(ours["jobs_per_s"] / raw["jobs_per_s"], 3),
        "cpu_store_over_raw": round(raw["cpu_us_per_job"] / ours["cpu_us_per_job"], 3),
    }
    print(json.dumps({"scenario": "ratio", **ratio}))


if __name__ == "__main__":
    main()
