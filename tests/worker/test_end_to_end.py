"""The real server and real workers, each a process of its own: what was promised arrives."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

FLOWS = """
import os, sys, time
from orpheus.authoring.context import Context
from orpheus.authoring.file import File
from orpheus.authoring.task import task
from orpheus.authoring.workflow import workflow

@task
async def listing(n: int) -> list[int]:
    return list(range(n))

@task(executor="process")
def square(ctx: Context, n: int) -> int:
    ctx.progress(0.5, "squaring")
    return n * n

@task
def save_sum(ctx: Context, numbers: list[int]) -> File:
    print("adding up", len(numbers))
    return ctx.save("sums/total.txt", str(sum(numbers)).encode())

@workflow
def squares(n: int) -> File:
    return save_sum(square.map(listing(n)))

@task
def nap(ctx: Context, seconds: float) -> str:
    ctx.run_process([sys.executable, "-c", f"import time; time.sleep({seconds})"])
    return "rested"

@workflow
def rest(seconds: float) -> str:
    return nap(seconds)

@task
def large(n: int) -> dict:
    return {"count": n, "items": ["x" * 100 for _ in range(n)]}

@task
def measure(items: list[str], count: int) -> int:
    return len(items) + count

@workflow
def spilling(n: int) -> int:
    big = large(n)
    return measure(big["items"], big["count"])
"""


class Cluster:
    """A server on a free port, and the processes started beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.flows = folder / "e2e_flows.py"
        self.flows.write_text(FLOWS)
        self.http = httpx.Client(base_url=self.url, timeout=30)

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=self.folder)
        self.processes.append(process)
        return process

    def server(self) -> subprocess.Popen[bytes]:
        process = self.start(
            sys.executable, "-m", "orpheus.cli", "server", "--port", str(self.port), "--data", str(self.folder / "data")
        )
        self.until(lambda: self.get("/healthz"))
        return process

    def worker(self, **options: Any) -> subprocess.Popen[bytes]:
        before = len(self.workers())
        chosen = {
            "server": self.url,
            "imports": [str(self.flows)],
            "work_dir": str(self.folder / "work"),
            "concurrency": 4,
        }
        process = self.start(sys.executable, "-m", "orpheus.worker", json.dumps(chosen | options))
        self.until(lambda: len(self.workers()) > before)
        return process

    def workers(self) -> list[Any]:
        found = self.get("/workers")
        return list(found["items"]) if found else []

    def get(self, path: str) -> Any:
        try:
            answer = self.http.get(path)
        except httpx.HTTPError:
            return None
        return answer.json() if answer.status_code == 200 else None

    def submit(self, workflow: Any, **params: Any) -> str:
        answer = self.http.post("/jobs", json={"workflow": workflow, "params": params})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["job_id"])

    def end_of(self, job_id: str) -> Any:
        def ended() -> Any:
            job = self.get(f"/jobs/{job_id}?wait_s=5")
            return job if job and job["state"] in ("completed", "failed", "cancelled") else None

        return self.until(ended, 40)

    def until(self, condition: Callable[[], Any], timeout_s: float = 20) -> Any:
        end = time.monotonic() + timeout_s
        while not (found := condition()):
            if time.monotonic() > end:
                pytest.fail(f"not in time; log:\n{(self.folder / 'log.txt').read_text()[-6000:]}")
            time.sleep(0.03)
        return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    for process in made.processes:
        process.terminate()
    for process in made.processes:
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.mark.parametrize("objects", ["auto", "http"])
def test_workflows(cluster: Cluster, objects: str) -> None:
    """A map over child processes, a join that saves a file, a spilled result: through the folder and over HTTP."""
    cluster.server()
    worker = cluster.worker(objects=objects)
    job = cluster.end_of(cluster.submit("squares", n=5))
    assert job["state"] == "completed", job
    content = cluster.http.get(f"/jobs/{job['job_id']}/artifacts/sums/total.txt")
    assert content.text == "30"
    logs = cluster.get(f"/jobs/{job['job_id']}/logs")["items"]
    assert "adding up 5" in [line["message"] for line in logs]
    assert cluster.end_of(cluster.submit("spilling", n=2000))["result"] == 4000
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0


def test_cancel_and_restart(cluster: Cluster) -> None:
    """A cancel reaches the program; work goes on while the server is killed and started again, and is reported once."""
    server = cluster.server()
    cluster.worker()
    job_id = cluster.submit("rest", seconds=60)
    cluster.until(lambda: cluster.get(f"/jobs/{job_id}")["tasks"].get("running"))
    cluster.http.post(f"/jobs/{job_id}/cancel", json={"reason": "enough"})
    assert cluster.end_of(job_id)["state"] == "cancelled"

    job_id = cluster.submit("rest", seconds=2)
    cluster.until(lambda: cluster.get(f"/jobs/{job_id}")["tasks"].get("running"))
    server.kill()
    server.wait()
    cluster.server()
    job = cluster.end_of(job_id)
    assert job["state"] == "completed" and job["result"] == "rested"
    (nap,) = cluster.get(f"/jobs/{job_id}/tasks")["items"]
    assert nap["attempt"] == 1


def test_drain_costs_no_attempt(cluster: Cluster) -> None:
    """A worker that is drained gives back what it cannot finish; another makes the same attempt."""
    cluster.server()
    first = cluster.worker(drain_s=0.2)
    job_id = cluster.submit("rest", seconds=1)
    cluster.until(lambda: cluster.get(f"/jobs/{job_id}")["tasks"].get("running"))
    first.send_signal(signal.SIGTERM)
    assert first.wait(15) == 0
    cluster.until(lambda: cluster.get(f"/jobs/{job_id}")["tasks"].get("ready"))
    cluster.worker()
    assert cluster.end_of(job_id)["state"] == "completed"
    (nap,) = cluster.get(f"/jobs/{job_id}/tasks")["items"]
    assert nap["attempt"] == 1


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node 18 or newer, which is not installed")
def test_javascript_worker(cluster: Cluster) -> None:
    """The example worker serves a graph that was sent as JSON."""
    cluster.server()
    example = Path(__file__).parents[2] / "examples" / "worker.mjs"
    cluster.start("node", os.fspath(example), cluster.url)
    cluster.until(cluster.workers)
    graph = {
        "format": 1,
        "name": "shouting",
        "version": 1,
        "params": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        "nodes": [
            {"name": "shout", "kind": "task", "task": "js_shout", "version": 1, "args": {"text": {"$param": "text"}}}
        ],
        "output": {"$get": [{"$ref": "shout"}, "shouted"]},
    }
    job = cluster.end_of(cluster.submit(graph, text="hello"))
    assert job["state"] == "completed" and job["result"] == "HELLO", job
    assert cluster.http.get(f"/jobs/{job['job_id']}/artifacts/shout.txt").text == "HELLO"
