"""What changes with a long history and a long backlog? `python benchmarks/scale.py [--queued N] [--finished N]` (`make bench-scale`)

A database is filled with copies of one real job (its rows are cloned by SQL, so that millions take minutes), a server is started on it by
the normal command line, and asked over HTTP. The same rates are measured on an empty database in the same run: they are what
ratios are taken of. Prints one JSON line per finding; nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path

from deployment import completed, cpu_s, get, memory_mb, say, serving, working
from machine import GRAPH, Driver

from orpheus.client import Client

PROBES = 40
RATE_JOBS = 8000


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
    """Fill the database with copies of its two jobs, in several tenants, workflows and states."""
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
        }
        _copy(db, "jobs", template_no, count, special)
        _copy(db, "job_params", template_no, count, {"job_no": special["job_no"]})
        task = {name: special[name] for name in ("job_no", "tenant")} | {"ready_seq": "2 + n.i"}
        _copy(db, "tasks", template_no, count, task)
        cursor = db.execute("SELECT max(cursor) FROM event_groups").fetchone()[0]
        per_job = db.execute("SELECT max(seq) FROM event_groups WHERE job_no = ?", (template_no,)).fetchone()[0]
        place = f"{cursor} + (n.i - 1) * {per_job} + t.seq"
        _copy(db, "event_groups", template_no, count, {"job_no": special["job_no"], "cursor": place})
        db.execute("COMMIT")
        first += count
    db.execute("DELETE FROM job_counts")
    db.execute("INSERT INTO job_counts SELECT tenant, workflow, state, count(*) FROM jobs GROUP BY 1, 2, 3")
    db.execute("DELETE FROM task_counts")
    db.execute("INSERT INTO task_counts SELECT queue, state, count(*) FROM tasks GROUP BY 1, 2")
    db.execute("PRAGMA journal_mode = WAL")
    db.close()


def _copy(db: sqlite3.Connection, table: str, template_no: int, count: int, special: dict[str, str]) -> None:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(special.get(name, f't."{name}"') for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    db.execute(
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
        f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} AS t, n WHERE t.job_no = {template_no}"
    )


def rates(client: Client, pid: int, folder: Path) -> dict[str, float]:
    """Jobs submitted per second while none is claimed, and jobs of the backlog claimed and completed per second; the server's CPU
    microseconds for one job of each."""
    if not list(client.workflows()):
        client.publish(GRAPH)
    wanted = ({"workflow": "one", "params": {"value": n}} for n in range(RATE_JOBS))
    begin, spent = time.monotonic(), cpu_s(pid)
    client.submit_many(wanted)
    found = {
        "submit_per_s": RATE_JOBS / (time.monotonic() - begin),
        "submit_us": 1e6 * (cpu_s(pid) - spent) / RATE_JOBS,
    }
    with working(client, folder):
        while completed(client) < RATE_JOBS / 8:
            time.sleep(0.01)
        begin, spent, before = time.monotonic(), cpu_s(pid), completed(client)
        while (done := completed(client)) < RATE_JOBS * 7 / 8:
            time.sleep(0.1)  # a scrape is some milliseconds of the server's, more so with a long list of counts
        found["claimed_and_completed_per_s"] = (done - before) / (time.monotonic() - begin)
        found["claimed_and_completed_us"] = 1e6 * (cpu_s(pid) - spent) / (done - before)
    return found


def lists(client: Client) -> None:
    """Every combination of filters, the first page and the next: p50, p95 and the slowest, in milliseconds."""
    choices: dict[str, list[str | None]] = {
        "state": [None, "completed", "failed", "queued", "running"],
        "workflow": [None, "one", "media", "nothing"],
        "tenant": [None, "acme"],
        "created_after": [None, "2026-01-01T00:00:00Z"],
    }
    times: list[tuple[float, str]] = []
    for values in product(*choices.values()):
        asked = {name: value for name, value in zip(choices, values, strict=True) if value is not None}
        cursor: str | None = None
        for _page in range(2):
            params = asked | ({"cursor": cursor} if cursor else {})
            begin = time.perf_counter()
            page = json.loads(get(client, "/jobs", params))
            times.append(((time.perf_counter() - begin) * 1000, str(params)))
            cursor = page["next_cursor"]
            if not cursor:
                break
    ms = sorted(one for one, _ in times)
    say(
        what="GET /jobs",
        asked=len(ms),
        p50_ms=statistics.median(ms),
        p95_ms=ms[int(len(ms) * 0.95)],
        slowest=max(times),
    )


def metrics(client: Client) -> None:
    times = []
    for _ in range(PROBES):
        begin = time.perf_counter()
        get(client, "/metrics", {})
        times.append((time.perf_counter() - begin) * 1000)
    say(what="GET /metrics", p50_ms=statistics.median(times), p95_ms=sorted(times)[int(PROBES * 0.95)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queued", type=int, default=1_000_000)
    parser.add_argument("--finished", type=int, default=5_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        empty, full = Path(scratch, "empty"), Path(scratch, "full")
        empty.mkdir()
        full.mkdir()
        with serving(empty) as (client, pid, _took):
            least = rates(client, pid, empty)
            say(database="empty", **least)
        template(full)
        begin = time.monotonic()
        clone(full / "orpheus.db", queued=options.queued, finished=options.finished)
        size = (full / "orpheus.db").stat().st_size
        jobs = options.queued + options.finished
        say(filled=jobs, seconds=time.monotonic() - begin, database_mb=size / 1e6, bytes_per_job=size / max(1, jobs))
        with serving(full) as (client, pid, took):
            say(what="start-up", seconds=took, memory_mb=memory_mb(pid))
            found = rates(client, pid, full)
            say(database="full", **found, **{f"{name}_ratio": found[name] / least[name] for name in found})
            say(what="memory after the work", memory_mb=memory_mb(pid))
            lists(client)
            metrics(client)


if __name__ == "__main__":
    assert GRAPH["name"] == "one"
    main()
