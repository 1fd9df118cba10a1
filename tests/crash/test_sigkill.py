"""The real server and real workers, SIGKILLed again and again under load: nothing lost, nothing doubled, nothing stuck.

The simulator (`tests/simulation`) tries far more ways to fail, against a store that is closed politely; here the processes,
the file system, the sockets and the locks are real.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from orpheus.core.decision import Event
from orpheus.core.validate import parse_graph
from orpheus.testing.fold import fold

HERE = Path(__file__).parent
UNDER_FIRE_S = float(os.environ.get("ORPHEUS_TEST_UNDER_FIRE_S", "12"))
"""A short campaign for every run of all tests; `make crash` has a longer one."""
LEAST_TURNS = 8
MOST_S = UNDER_FIRE_S + 60.0
CLIENTS = 3
PAUSE_S = 0.1
"""Between two submissions of a client, so that there is work at the last kill as at the first."""
LEASE_S = 2.0


class Program:
    """One command line that is started again whenever it was killed."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._arguments = [sys.executable, "-m", "orpheus.cli", *arguments]
        self._log = log
        self.kills = 0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            environment = os.environ | {"ORPHEUS_LEASE_S": str(LEASE_S), "NO_COLOR": "1"}
            return subprocess.Popen(self._arguments, stdout=log, stderr=log, env=environment, cwd=self._log.parent)

    def kill(self) -> None:
        """SIGKILL: no handler, no flush, no goodbye."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def start(self) -> None:
        self.process = self._start()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def told(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]


class Cluster:
    """A server, two workers, and HTTP that is patient with a server that is away."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.data = folder / "data"
        self.server = Program(folder / "server.log", "server", "--port", str(port), "--data", str(self.data))
        self.workers = [
            Program(
                folder / f"worker-{number}.log",
                *("worker", "--server", self.url, "--no-shipped", "--concurrency", "8"),
                *("--import", str(HERE / "flows.py")),
            )
            for number in range(2)
        ]

    def http(self, method: str, path: str, body: Any = None, *, patience_s: float = 60.0) -> Any:
        """Ask until an answer comes; requests here carry a key or change nothing, so asking twice is safe."""
        deadline = time.monotonic() + patience_s
        while True:
            request = urllib.request.Request(self.url + path, method=method)
            if body is not None:
                request.data = json.dumps(body).encode()
                request.add_header("Content-Type", "application/json")
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                told = error.read().decode(errors="replace")
                if error.code < 500 and error.code != 404:
                    raise AssertionError(f"{method} {path}: {error.code} {told}") from None
                if time.monotonic() > deadline:
                    raise AssertionError(f"{method} {path}: {error.code} {told}\n{self.server.told()}") from None
            except (OSError, ValueError, http.client.HTTPException) as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"{method} {path}: {error}\n{self.server.told()}") from None
            ended = self.server.process.poll()
            assert ended in (None, -signal.SIGKILL), f"the server ended by itself ({ended}):\n{self.server.told()}"
            time.sleep(0.1)

    def all(self, path: str) -> list[dict[str, Any]]:
        """Read a list to its end."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            mark = "&" if "?" in path else "?"
            page = self.http("GET", f"{path}{mark}limit=200" + (f"&cursor={cursor}" if cursor else ""))
            found += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return found

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()
        self.server.stop()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.stop()


def asked(number: int) -> tuple[dict[str, Any], Any]:
    """Return the n-th submission, and the result it has to come to."""
    key = {"idempotency_key": f"job-{number}", "labels": {"number": str(number)}, "tenant": f"tenant-{number % 3}"}
    match number % 3:
        case 0:
            return {"workflow": "chain", "params": {"n": number}, **key}, number + 3
        case 1:
            numbers = list(range(number % 7))
            return {"workflow": "fan", "params": {"n": number, "numbers": numbers}, **key}, sum(n * n for n in numbers)
        case _:
            following = number + 1
            word = "even" if following % 2 == 0 else "odd"
            return {"workflow": "branch", "params": {"n": number}, **key}, f"{following} is {word}"


@pytest.mark.slow
@pytest.mark.timeout(UNDER_FIRE_S + 240)
def test_killed_again_and_again(cluster: Cluster) -> None:
    """Every acknowledged job completes with the right result, its events fold to its rows, its files are there once."""
    rng = Random(7)
    acknowledged: dict[str, int] = {}
    over = threading.Event()
    faults: list[BaseException] = []

    def submit(first: int) -> None:
        try:
            for number in itertools.count(first, CLIENTS):
                if over.wait(PAUSE_S):
                    return
                job = cluster.http("POST", "/jobs", asked(number)[0])
                assert acknowledged.setdefault(job["job_id"], number) == number, "two submissions got one job"
        except BaseException as fault:  # to be raised where the test is
            faults.append(fault)

    cluster.http("GET", "/workflows/branch")  # a worker has published
    clients = [threading.Thread(target=submit, args=(first,)) for first in range(CLIENTS)]
    for client in clients:
        client.start()
    began = time.monotonic()
    one, other = cluster.workers
    turns = ([cluster.server], [one], [cluster.server, other], [one, other])
    for turn in itertools.count():
        under_fire_s = time.monotonic() - began
        if faults or under_fire_s > MOST_S or (turn >= LEAST_TURNS and under_fire_s > UNDER_FIRE_S):
            break
        cluster.http("GET", "/healthz")  # a process that has not begun cannot lose anything
        time.sleep(rng.uniform(0.1, 1.5))
        for victim in turns[turn % len(turns)]:
            victim.kill()
        time.sleep(rng.choice((0.0, 0.0, 0.5)))
        for victim in turns[turn % len(turns)]:
            victim.start()
    over.set()
    for client in clients:
        client.join(90)
    assert not faults, faults[0]
    assert cluster.server.kills >= 3
    assert min(worker.kills for worker in cluster.workers) >= 2
    assert len(acknowledged) >= 50

    jobs = wait_for_all(cluster, acknowledged)
    keys = Counter(job["idempotency_key"] for job in jobs.values())
    assert max(keys.values()) == 1, "a key made two jobs (R21)"
    assert jobs.keys() == acknowledged.keys(), "every submission was asked until it was answered"
    for job in jobs.values():
        check_job(cluster, job)
    cluster.stop()
    with sqlite3.connect(cluster.data / "orpheus.db") as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute(
            "SELECT count(*) FROM tasks WHERE state IN ('ready', 'running', 'retrying')"
        ).fetchone() == (0,)


def wait_for_all(cluster: Cluster, acknowledged: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Wait until every job has ended; none may be missing, none may be stuck."""
    deadline = time.monotonic() + 90
    while True:
        jobs = {job["job_id"]: job for job in cluster.all("/jobs")}
        lost = acknowledged.keys() - jobs.keys()
        assert not lost, f"{len(lost)} acknowledged jobs are gone (promise 1)"
        open_jobs = [job for job in jobs.values() if job["state"] in ("pending", "queued", "running")]
        if not open_jobs:
            return jobs
        if time.monotonic() > deadline:
            stuck = open_jobs[0]
            tasks = cluster.all(f"/jobs/{stuck['job_id']}/tasks")
            raise AssertionError(f"{len(open_jobs)} jobs are stuck, e.g. {stuck}\n{tasks}\n{cluster.server.told()}")
        time.sleep(0.5)


def check_job(cluster: Cluster, listed: dict[str, Any]) -> None:
    """Check one job's result, audit trail and files."""
    number = int(listed["labels"]["number"])
    job = cluster.http("GET", f"/jobs/{listed['job_id']}")
    submission, expected = asked(number)
    assert job["state"] == "completed", f"{job['state']}: {job.get('error')}"
    assert (job["workflow"], job["result"]) == (submission["workflow"], expected)
    graph = parse_graph(cluster.http("GET", f"/jobs/{job['job_id']}/graph"))
    events = cluster.all(f"/jobs/{job['job_id']}/events")
    tasks = cluster.all(f"/jobs/{job['job_id']}/tasks")
    folded = fold(graph.predecessors, [event_of(event) for event in events])
    rows = {(task["name"], -1 if task.get("index") is None else task["index"]): task["state"] for task in tasks}
    assert {key: str(told.state) for key, told in folded.tasks.items()} == rows, "events and rows differ (R1)"
    ends = Counter((e.get("task"), e.get("index")) for e in events if e["type"] == "task.completed")
    assert max(ends.values()) == 1, "a task completed twice (promise 2)"
    manifest = cluster.http("GET", f"/jobs/{job['job_id']}/manifest")
    names = [artifact["name"] for artifact in manifest["artifacts"]]
    assert names == ([f"numbers/{number}.json"] if job["workflow"] == "fan" else [])
    for name in names:
        content = cluster.http("GET", f"/jobs/{job['job_id']}/artifacts/{name}")
        assert content["n"] == number
        assert content["run"] == manifest["artifacts"][0]["run_id"], "the file is another attempt's (R10)"


def event_of(told: dict[str, Any]) -> Event:
    return Event(
        seq=told["seq"],
        type=told["type"],
        at=0.0,
        actor=told.get("actor") or "",
        task=told.get("task"),
        index=told.get("index"),
        run_id=told.get("run_id"),
        data=told.get("data") or {},
    )
