"""Orpheus itself, measured like its peers: a server, one worker process, a submitter with the public client.

    ../shared/peers/run.py huey --own benchmarks/peer_orpheus.py --own-python .venv/bin/python
    .venv/bin/python benchmarks/peer_orpheus.py throughput        # alone; PEERS names the folder that holds common.py
    BACKLOG=20000 .venv/bin/python benchmarks/peer_orpheus.py     # beside so many jobs that wait for a key that is taken

The server and the worker are started by the normal command line with their ordinary settings; only the worker's
concurrency is raised, as the handlers do nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path += [os.environ.get("PEERS", str(Path(__file__).resolve().parents[2] / "shared" / "peers"))]

from common import CHAIN_STEPS, WORK, Peer, main, shared_port, wait_until

from orpheus import task, workflow
from orpheus.client import Client

CONCURRENCY = 100
BACKLOG = int(os.environ.get("BACKLOG", "0"))
"""Jobs of two tenants and all priorities that stand before what is measured and may not run."""


@task
async def noop(value: int) -> int:
    return value


@task
async def stamp() -> float:
    return time.monotonic()


@task
async def numbers(count: int) -> list[int]:
    return list(range(count))


@task
async def add(values: list[int]) -> int:
    return sum(values)


@task
async def hold(value: int) -> int:
    await asyncio.sleep(3600)
    return value


@workflow
def kept(value: int) -> int:
    return hold.using(concurrency_key="the only one", concurrency_limit=1)(value)


@workflow
def one(value: int) -> int:
    return noop(value)


@workflow
def stamped() -> float:
    return stamp()


@workflow
def chain(value: int) -> int:
    for number in range(CHAIN_STEPS):
        value = noop.using(name=f"step_{number + 1}")(value)
    return value


@workflow
def fan(count: int) -> int:
    return add(noop.map(numbers(count)))


class Orpheus(Peer):
    durability = "SQLite WAL, synchronous=FULL, group commit: nothing acknowledged is lost on kill -9 or power loss."
    tuning = f"worker concurrency {CONCURRENCY}; all else as shipped"
    jobs = 5000
    chains = 600

    def start(self) -> None:
        port = shared_port("orpheus")
        url = f"http://127.0.0.1:{port}"
        command = (sys.executable, "-m", "orpheus.cli")
        self.spawn(*command, "server", "--port", str(port), "--data", str(WORK / "data"), "--log-level", "warning")
        self.spawn(
            *command,
            "worker",
            "--server",
            url,
            "--import",
            str(Path(__file__).resolve()),
            "--concurrency",
            str(CONCURRENCY),
            "--log-level",
            "warning",
        )
        self.client = Client(url)
        wait_until(self.published, timeout=60)
        if BACKLOG:
            held = self.client.submit("kept", {"value": 0})
            wait_until(lambda: self.client.get(held.job_id).state == "running", timeout=60)
            self.client.submit_many(
                {
                    "workflow": "kept",
                    "params": {"value": n},
                    "priority": 1 + n % 5,
                    "tenant": ("default", "acme")[n % 2],
                }
                for n in range(BACKLOG)
            )
        self.roundtrip()

    def published(self) -> bool:
        names = {info.name for info in self.client.workflows()}
        return {"one", "chain", "stamped", "fan", "kept"} <= names

    def stop(self) -> None:
        self.client.close()
        super().stop()

    def throughput(self, count: int) -> float:
        return self.run_many("one", count)

    def chain(self, count: int) -> None:
        self.run_many("chain", count)

    def run_many(self, name: str, count: int) -> float:
        begin = time.monotonic()
        jobs = self.client.submit_many({"workflow": name, "params": {"value": value}} for value in range(count))
        submitting = time.monotonic() - begin
        states = self.client.wait_states((job.job_id for job in jobs), timeout_s=300)
        assert set(states.values()) == {"completed"}, "a job did not complete"
        return submitting

    def roundtrip(self) -> float:
        started: Any = self.client.run("stamped", wait_s=30)
        return float(started)

    def fanout(self, count: int) -> None:
        done = self.client.result(self.client.submit("fan", {"count": count}).job_id, timeout_s=300)
        assert done == sum(range(count)), "the join is wrong"


def worker() -> None:
    raise SystemExit("the worker is started by the command line")


if __name__ == "__main__":
    main(Orpheus, worker)
