"""Does a job cost more the more there are? `python benchmarks/growth.py [sizes …]` (part of `make bench-scale`)

For each size a file with so many queued and as many finished jobs; core, engine and store on it in one thread without HTTP (machine.py).
Prints CPU microseconds for a job that is submitted, and for one from deep in the backlog that is claimed and completed: the least of
some rounds, since other processes only ever add to it. Then the same for a map's item, by the number of its items, in a real server.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from deployment import cpu_s, say, serving, working
from filled import clone, template
from machine import BATCH, Driver

from orpheus.engine.collector import collect_rarely

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ITEMS = (1_000, 3_000, 10_000)
JOBS = 500
ROUNDS = 5


def job_costs(size: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        template(path)
        # Each submission below adds one, and each completion takes one: the size stays what it is.
        clone(path / "orpheus.db", queued=size, finished=size)
        driver = Driver(path)
        collect_rarely()
        driver.work(JOBS)  # also warms up
        submitted, worked = [], []
        for _ in range(ROUNDS):
            begin = time.thread_time()
            for first in range(0, JOBS, BATCH):
                driver.submit(first, BATCH)
                driver.turn()
            submitted.append(time.thread_time() - begin)
            begin = time.thread_time()
            driver.work(JOBS)
            worked.append(time.thread_time() - begin)
        driver.store.close()
    return {"submit_us": 1e6 * min(submitted) / JOBS, "claim_and_complete_us": 1e6 * min(worked) / JOBS}


def main() -> None:
    for size in [int(size) for size in sys.argv[1:]] or SIZES:
        say(queued=size, finished=size, **job_costs(size))
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving(Path(scratch)) as (client, pid, _took),
        working(client, Path(scratch)),
    ):
        client.result(client.submit("fan", {"count": 100}).job_id, timeout_s=60)
        for items in ITEMS:
            found = []
            for _ in range(3):
                begin, spent = time.monotonic(), cpu_s(pid)
                client.result(client.submit("fan", {"count": items}).job_id, timeout_s=300)
                found.append((1e6 * (cpu_s(pid) - spent) / items, time.monotonic() - begin))
            us, seconds = min(found)
            say(items=items, seconds=seconds, server_us_per_item=us)


if __name__ == "__main__":
    main()
