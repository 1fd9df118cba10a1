"""A database of millions of jobs within minutes: copies of one real job, made by SQL."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from machine import Driver


def template(folder: Path) -> None:
    """Make a database with one finished and one queued job, by the engine itself."""
    driver = Driver(folder)
    driver.submit(0, 1)
    driver.work(1)
    driver.leave()  # a poll that waits would take the next job at once
    driver.submit(1, 1)
    driver.turn()
    driver.store.close()


def clone(path: Path, *, queued: int, finished: int) -> None:
    """Fill the database with copies of its two jobs, in several tenants, workflows and states; few have a label."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA journal_mode = MEMORY")
    db.execute("PRAGMA cache_size = -400000")
    begin = time.time() - 30 * 86_400.0
    first = 10
    for template_no, count in ((1, finished), (2, queued)):
        if not count:
            continue
        db.execute("BEGIN")
        step = 29 * 86_400.0 / count
        states = "CASE n.i % 50 WHEN 0 THEN 'failed' WHEN 1 THEN 'cancelled' ELSE t.state END"
        special = {
            "job_no": f"{first} + n.i",
            "job_id": f"printf('%012x-7%03x-8%03x-%012x', ({begin} + n.i * {step}) * 1000, n.i % 4096, {template_no}, n.i)",
            "tenant": "CASE n.i % 4 WHEN 0 THEN 'acme' ELSE 'default' END",
            "workflow": "CASE n.i % 3 WHEN 0 THEN 'media' WHEN 1 THEN 'talk' ELSE t.workflow END",
            "created_at": f"{begin} + n.i * {step}",
            "state": states if template_no == 1 else "t.state",
            "labels": 'CASE n.i % 101 WHEN 0 THEN \'{"batch":"rare"}\' END',
        }
        _copy(db, "jobs", template_no, count, special)
        _copy(db, "job_params", template_no, count, {"job_no": special["job_no"]})
        task = {name: special[name] for name in ("job_no", "tenant")} | {"ready_seq": "2 + n.i"}
        _copy(db, "tasks", template_no, count, task)
        cursor = db.execute("SELECT max(cursor) FROM event_groups").fetchone()[0]
        per_job = db.execute("SELECT max(seq) FROM event_groups WHERE job_no = ?", (template_no,)).fetchone()[0]
        place = f"{cursor} + (n.i - 1) * {per_job} + t.seq"
        _copy(db, "event_groups", template_no, count, {"job_no": special["job_no"], "cursor": place})
        db.execute(
            "INSERT INTO labels SELECT 'batch', 'rare', created_at, job_no FROM jobs WHERE job_no > ? AND labels IS NOT NULL",
            (first,),
        )
        db.execute("COMMIT")
        first += count
    db.execute("DELETE FROM job_counts")
    db.execute("INSERT INTO job_counts SELECT tenant, workflow, state, count(*) FROM jobs GROUP BY 1, 2, 3")
    db.execute("DELETE FROM task_counts")
    db.execute("INSERT INTO task_counts SELECT queue, state, count(*) FROM tasks GROUP BY 1, 2")
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    with path.open("rb") as file:
        os.fsync(file.fileno())  # else the server's first fsyncs wait for gigabytes of ours


def _copy(db: sqlite3.Connection, table: str, template_no: int, count: int, special: dict[str, str]) -> None:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(special.get(name, f't."{name}"') for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    db.execute(
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
        f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} AS t, n WHERE t.job_no = {template_no}"
    )
