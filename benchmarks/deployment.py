"""A server and workers as processes of their own, started by the normal command line, and what they cost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from orpheus.client import Client

WORKER = """
from orpheus import task, workflow

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
def single(value: int) -> int:
    return noop(value)

@workflow
def fan(count: int) -> int:
    return add(noop.map(numbers(count)))
"""
CLI = (sys.executable, "-m", "orpheus.cli")


def say(**finding: Any) -> None:
    """Print one finding as a line of JSON."""
    print(json.dumps(finding), flush=True)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Client, int, float]]:
    """A server on the folder's data: its client, its pid and the seconds until it was ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begin = time.monotonic()
    process = subprocess.Popen([*CLI, "server", "--port", str(port), "--data", str(folder), "--log-level", "error"])
    client = Client(f"http://127.0.0.1:{port}")
    try:
        while True:
            try:
                list(client.workflows())
                break
            except Exception:
                if time.monotonic() - begin > 120:
                    raise
                time.sleep(0.02)
        yield client, process.pid, time.monotonic() - begin
    finally:
        client.close()
        stop(process)


@contextmanager
def working(client: Client, folder: Path, *, workers: int = 1, concurrency: int | None = 100) -> Iterator[None]:
    """Worker processes for the tasks of `WORKER`, in contact with the server; None starts them as they come."""
    flows = folder / "flows.py"
    flows.write_text(WORKER)
    command = [*CLI, "worker", "--server", client.url, "--import", str(flows), "--log-level", "error"]
    if concurrency is not None:
        command += ["--concurrency", str(concurrency)]
    processes = [subprocess.Popen(command) for _ in range(workers)]
    try:
        while len(list(client.workers())) < workers:
            time.sleep(0.05)
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process in processes:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    process.wait(60)


def completed(client: Client) -> int:
    """Jobs completed since the server's start."""
    for line in get(client, "/metrics").decode().splitlines():
        if line.startswith("orpheus_events_total{") and "job.completed" in line:
            return int(float(line.rpartition(" ")[2]))
    return 0


def get(client: Client, path: str, query: dict[str, str] | None = None) -> bytes:
    with urlopen(f"{client.url}{path}?{urlencode(query or {})}", timeout=60) as answer:
        return bytes(answer.read())


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used, all its threads, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
