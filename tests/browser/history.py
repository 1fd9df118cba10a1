"""A long history for the list, written in a second: the rows of jobs that have really run, copied."""

from __future__ import annotations

import sqlite3
from pathlib import Path

EVERY_S = 7.0
"""Between two jobs of the history."""


def lengthen(database: Path, count: int) -> None:
    """Copy the ended jobs of a stopped server's database in turns until there are `count` more, each older than the last.

    Only what lists and counts read is copied: the rows of `jobs`, their params and their counters.
    """
    connection = sqlite3.connect(database)
    with connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(jobs)")]
        changed = {
            "job_no": "jobs.job_no + n * 1000",
            "job_id": "substr(job_id, 1, 24) || printf('%012x', n)",
            "created_at": f"created_at - n * {EVERY_S}",
            "started_at": f"started_at - n * {EVERY_S}",
            "finished_at": f"finished_at - n * {EVERY_S}",
            "idempotency_key": "NULL",
        }
        ended = [
            row[0]
            for row in connection.execute("SELECT job_no FROM jobs WHERE state IN ('completed', 'failed') ORDER BY 1")
        ]
        turns = f"""WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}),
          turns AS (SELECT n, (SELECT value FROM json_each(?) WHERE key = n % {len(ended)}) AS of_job FROM numbers)"""
        connection.execute(
            f"INSERT INTO jobs ({', '.join(columns)}) {turns} "
            f"SELECT {', '.join(changed.get(each, 'jobs.' + each) for each in columns)} FROM turns JOIN jobs ON jobs.job_no = of_job",
            (str(ended),),
        )
        connection.execute(
            f"INSERT INTO job_params (job_no, params) {turns} "
            "SELECT of_job + n * 1000, params FROM turns JOIN job_params ON job_params.job_no = of_job",
            (str(ended),),
        )
        connection.execute("DELETE FROM job_counts")
        connection.execute(
            "INSERT INTO job_counts SELECT tenant, workflow, state, count(*) FROM jobs GROUP BY tenant, workflow, state"
        )
    connection.close()
