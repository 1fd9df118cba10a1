"""What changes with a long history and a long backlog? `python benchmarks/scale.py [--queued N] [--finished N]` (`make bench-scale`)

A database is filled with copies of one real job (its rows are cloned by SQL, so that millions take minutes), a server is started on it by
the normal command line, and asked over HTTP. The same rates are measured on an empty database in the same run: they are what
ratios are taken of. Prints one JSON line per finding; nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path

from deployment import completed, cpu_s, get, memory_mb, say, serving, working
from filled import clone, template
from machine import GRAPH

from orpheus.client import Client

PROBES = 40
SUBMITTED = 40_000
"""As many take about a second: of fewer, the first pages that are read from the file are a good part."""
CLAIMED = 36_000
"""Some seconds of work, so that a checkpoint or none is not what is measured. On the empty file the first 8,192 are remembered."""


def rates(client: Client, pid: int, folder: Path) -> dict[str, float]:
    """Jobs submitted per second while none is claimed, and jobs of the backlog claimed and completed per second, oldest first; the server's CPU
    microseconds for one job of each."""
    if not list(client.workflows()):
        client.publish(GRAPH)
    wanted = ({"workflow": "one", "params": {"value": n}} for n in range(SUBMITTED))
    begin, spent = time.monotonic(), cpu_s(pid)
    client.submit_many(wanted)
    found = {
        "submit_per_s": SUBMITTED / (time.monotonic() - begin),
        "submit_us": 1e6 * (cpu_s(pid) - spent) / SUBMITTED,
    }
    with working(client, folder):
        while completed(client) < CLAIMED / 8:
            time.sleep(0.01)
        begin, spent, before = time.monotonic(), cpu_s(pid), completed(client)
        while (done := completed(client)) < CLAIMED * 7 / 8:
            time.sleep(0.4)  # a scrape is some milliseconds of the server's, more so with a long list of counts
        found["claimed_and_completed_per_s"] = (done - before) / (time.monotonic() - begin)
        found["claimed_and_completed_us"] = 1e6 * (cpu_s(pid) - spent) / (done - before)
    return found


def lists(client: Client, when: str) -> None:
    """Every combination of filters, the first page and the next: p50, p95 and the slowest, in milliseconds."""
    choices: dict[str, list[str | None]] = {
        "state": [None, "completed", "failed", "queued", "running"],
        "workflow": [None, "one", "media", "nothing"],
        "tenant": [None, "acme"],
        "created_after": [None, "2026-01-01T00:00:00Z"],
        "label": [None, "batch:rare"],
        "q": [None, "nothing like this"],
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
        when=when,
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
        os.sync()  # gigabytes that the system has yet to write would be in the way of every commit
        size = (full / "orpheus.db").stat().st_size
        jobs = options.queued + options.finished
        say(filled=jobs, seconds=time.monotonic() - begin, database_mb=size / 1e6, bytes_per_job=size / max(1, jobs))
        with serving(full) as (client, pid, took):
            say(what="start-up", seconds=took, cpu_s=cpu_s(pid), memory_mb=memory_mb(pid))
            lists(client, "with the file as it was made")
            found = rates(client, pid, full)
            say(database="full", **found, **{f"{name}_ratio": found[name] / least[name] for name in found})
            say(what="memory after the work", memory_mb=memory_mb(pid))
            lists(client, f"with {SUBMITTED - CLAIMED} more that wait, the newest of all")
            metrics(client)


if __name__ == "__main__":
    assert GRAPH["name"] == "one"
    main()
