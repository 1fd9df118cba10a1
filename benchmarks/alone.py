"""Our own scenarios without any peer, with a worker as it starts by default: no concurrency is raised.

    .venv/bin/python benchmarks/alone.py

Prints one line of JSON for each: many one-task jobs, one after the other, a large map, a large graph. TMPDIR has to lie on
a real disk.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orpheus import task, workflow
from orpheus.client import Client, ClientError

JOBS, SINGLE_JOBS, ITEMS, NODES, WIDTH = 3000, 200, 5000, 2000, 10


@task
async def noop(value: int) -> int:
    return value


@task
async def numbers(count: int) -> list[int]:
    return list(range(count))


@task
async def add(values: list[int]) -> int:
    return sum(values)


@workflow
def one(value: int) -> int:
    return noop(value)


@workflow
def fan(count: int) -> int:
    return add(noop.map(numbers(count)))


def graph() -> dict[str, Any]:
    """Return WIDTH chains side by side, NODES nodes in all."""
    nodes = [
        {
            "name": f"n{place}",
            "kind": "task",
            "task": "noop",
            "version": 1,
            "args": {"value": place if place < WIDTH else {"$ref": f"n{place - WIDTH}"}},
        }
        for place in range(NODES)
    ]
    params = {"type": "object", "properties": {}, "additionalProperties": False}
    return {
        "format": 1,
        "name": "large",
        "version": 1,
        "params": params,
        "nodes": nodes,
        "output": {"$ref": nodes[-1]["name"]},
    }


def took(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def measure(client: Client) -> None:
    def many() -> None:
        jobs = client.submit_many({"workflow": "one", "params": {"value": value}} for value in range(JOBS))
        client.wait_states((job.job_id for job in jobs), timeout_s=300)

    def single() -> None:
        client.result(client.submit("one", {"value": 1}).job_id, timeout_s=30)

    single()
    show("throughput", jobs_per_s=JOBS / took(many))
    lengths = sorted(took(single) * 1e3 for _ in range(SINGLE_JOBS))
    show("latency", p50_ms=lengths[SINGLE_JOBS // 2], p95_ms=lengths[SINGLE_JOBS * 95 // 100])
    show(
        "map",
        items_per_s=ITEMS / took(lambda: client.result(client.submit("fan", {"count": ITEMS}).job_id, timeout_s=300)),
    )
    show("graph", nodes_per_s=NODES / took(lambda: client.result(client.submit(graph()).job_id, timeout_s=300)))


def show(scenario: str, **figures: float) -> None:
    print(json.dumps({"scenario": scenario} | {name: round(figure, 2) for name, figure in figures.items()}), flush=True)


def main() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "orpheus.cli"]
    quiet = ["--log-level", "error"]
    with tempfile.TemporaryDirectory(prefix="alone-") as folder:
        processes = [
            subprocess.Popen([*command, "server", "--port", str(port), "--data", str(Path(folder) / "data"), *quiet]),
            subprocess.Popen([*command, "worker", "--server", url, "--import", str(Path(__file__).resolve()), *quiet]),
        ]
        try:
            with Client(url) as client:
                wait_for(client)
                measure(client)
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(30)


def wait_for(client: Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if "fan" in {info.name for info in client.workflows()}:
                return
        except ClientError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("the worker did not come")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
