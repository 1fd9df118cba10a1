"""Our own scenarios without any peer, with a worker as it starts by default: no concurrency is raised.

    .venv/bin/python benchmarks/alone.py

Prints one line of JSON for each: many one-task jobs, one after the other, a large map, a large graph. TMPDIR has to lie on
a real disk.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deployment import say, serving, working

from orpheus.client import Client

JOBS, SINGLE_JOBS, ITEMS, NODES, WIDTH = 3000, 200, 5000, 2000, 10


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
        jobs = client.submit_many({"workflow": "single", "params": {"value": value}} for value in range(JOBS))
        client.wait_states((job.job_id for job in jobs), timeout_s=300)

    def single() -> None:
        client.result(client.submit("single", {"value": 1}).job_id, timeout_s=30)

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
    say(scenario=scenario, **{name: round(figure, 2) for name, figure in figures.items()})


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="alone-") as folder,
        serving(Path(folder) / "data") as (client, _, _),
        working(client, Path(folder), concurrency=None),
    ):
        measure(client)


if __name__ == "__main__":
    main()
