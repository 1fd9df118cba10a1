"""A real server as a process, the public HTTP API, and a worker that speaks the protocol by hand, so that it can misbehave.

Nothing of Orpheus runs in the tests' own process, except the parser of graphs and `orpheus.testing.fold`, which say what
a job's events mean.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from orpheus.core.decision import Event
from orpheus.core.validate import parse_graph
from orpheus.testing.fold import fold

ENDED = ("completed", "failed", "cancelled")
JSON = dict[str, Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unique(prefix: str = "t") -> str:
    return f"{prefix}{uuid.uuid4().hex[:10]}"


def until(condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"did not become true: {condition}"
        time.sleep(0.02)


def node(name: str, task: str | None = None, **options: Any) -> JSON:
    """A task node; without a task it is one of its own name."""
    return {"name": name, "kind": "task", "task": task or name, "version": 1, **options}


def graph(*nodes: JSON, output: Any = None, params: JSON | None = None, **fields: Any) -> JSON:
    return {
        "format": 1,
        "name": unique("w"),
        "version": 1,
        "params": params or {"type": "object"},
        "nodes": list(nodes),
        "output": output,
        **fields,
    }


class Server:
    """`orpheus server` in a folder of its own; it can be killed and started again at the same address."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.settings = {f"ORPHEUS_{name.upper()}": str(value) for name, value in settings.items()}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=self.url, timeout=30, verify=False)

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text()

    def start(self) -> Server:
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "orpheus.cli", "server"),
                    *("--port", str(self.port), "--data", str(self.folder / "data"), "--log-json"),
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=os.environ | {"NO_COLOR": "1"} | self.settings,
            )
        until(self._answers, 60)
        return self

    def _answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """SIGKILL: what was acknowledged has to be there afterwards."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode

    # What the API says -----------------------------------------------------------------------------------------------

    def get(self, path: str, **query: Any) -> JSON:
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        found: JSON = answer.json()
        return found

    def post(self, path: str, body: Any = None, *, status: int = 200, headers: dict[str, str] | None = None) -> JSON:
        answer = self.http.post(path, json=body, headers=headers) if body is not None else self.http.post(path)
        assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
        found: JSON = answer.json()
        return found

    def submit(self, workflow: Any, params: JSON | None = None, *, status: int = 201, **fields: Any) -> JSON:
        return self.post("/jobs", {"workflow": workflow, "params": params or {}, **fields}, status=status)

    def job(self, job_id: str) -> JSON:
        return self.get(f"/jobs/{job_id}")

    def tasks(self, job_id: str, **query: Any) -> list[JSON]:
        """All tasks, page by page."""
        found: list[JSON] = []
        cursor: str | None = None
        while True:
            page = self.get(f"/jobs/{job_id}/tasks", **query, **({"cursor": cursor} if cursor else {}))
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def task(self, job_id: str, name: str, index: int | None = None) -> JSON:
        return next(task for task in self.tasks(job_id, node=name, attempts=True) if task["index"] == index)

    def events(self, job_id: str) -> list[JSON]:
        found: list[JSON] = []
        cursor: str | None = None
        while True:
            page = self.get(f"/jobs/{job_id}/events", **({"cursor": cursor} if cursor else {}))
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def types(self, job_id: str) -> list[str]:
        return [event["type"] for event in self.events(job_id)]

    def reasons(self, job_id: str) -> list[str]:
        return [each["reason"] for each in self.job(job_id)["waiting_for"]]

    def reason(self, job_id: str, wanted: str) -> JSON:
        """Wait until the job says that it waits for this, and return how it says so."""

        def said() -> JSON | None:
            return next((each for each in self.job(job_id)["waiting_for"] if each["reason"] == wanted), None)

        found: JSON = until(said)
        return found

    def state(self, job_id: str, *states: str) -> JSON:
        return until(lambda: (job := self.job(job_id))["state"] in states and job)  # type: ignore[no-any-return]

    def ended(self, job_id: str, *states: str) -> JSON:
        """Wait for a job's end, check that its events say the same as its rows (R1), and return it."""
        job: JSON = until(lambda: (job := self.get(f"/jobs/{job_id}", wait_s=5))["state"] in ENDED and job)
        if states:
            assert job["state"] in states, job
        self.check_fold(job)
        return job

    def check_fold(self, job: JSON) -> None:
        """Folding the job's events gives the states of its rows, and `seq` counts them (R1, R2)."""
        events = self.events(job["job_id"])
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        before = parse_graph(self.get(f"/jobs/{job['job_id']}/graph")).predecessors
        told = fold(
            before,
            [
                Event(
                    seq=event["seq"],
                    type=event["type"],
                    at=_seconds(event["at"]),
                    actor=event["actor"],
                    task=event.get("task"),
                    index=event.get("index"),
                    run_id=event.get("run_id"),
                    data=event.get("data", {}),
                )
                for event in events
            ],
        )
        rows = {
            (task["name"], -1 if task["index"] is None else task["index"]): task["state"]
            for task in self.tasks(job["job_id"])
        }
        assert {key: str(task.state) for key, task in told.tasks.items()} == rows
        assert (str(told.state), told.paused, told.generation) == (job["state"], job["paused"], job["generation"])


def _seconds(instant: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(instant).timestamp()


class RawWorker:
    """A worker by hand. It does nothing by itself but, if asked to, heartbeats."""

    def __init__(self, server: Server, *tasks: str | JSON, slots: int = 100, **hello: Any) -> None:
        self.http = httpx.Client(base_url=server.url, timeout=30, verify=False)
        self.session = uuid.uuid4().hex
        self.seq = 0
        self.held: list[str] = []
        self.body = {
            "protocol": 1,
            "session_id": self.session,
            "worker": "raw",
            "slots": slots,
            "tasks": [{"name": task, "version": 1} if isinstance(task, str) else task for task in tasks],
            **hello,
        }
        self.resources: dict[str, int] = hello.get("resources", {})
        self.welcome = self.hello()
        self._beating: threading.Event | None = None

    def say(self, what: str, body: JSON, *, status: int = 200) -> JSON:
        answer = self.http.post(f"/worker/{what}", json=body)
        assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
        found: JSON = answer.json()
        return found

    def hello(self) -> JSON:
        return self.say("hello", {**self.body, "held": self.held})

    def poll(self, *, free: int = 1, wait_s: float = 0.3, seq: int | None = None, **fields: Any) -> JSON:
        """Poll once. What comes is held, as a good worker does."""
        if seq is None:
            self.seq += 1
            seq = self.seq
        body = {"session_id": self.session, "seq": seq, "held": self.held, "free": free, "wait_s": wait_s}
        answer = self.say("poll", {**body, "resources_free": self.resources, **fields})
        self.held += [task["run_id"] for task in answer.get("tasks", []) if task["run_id"] not in self.held]
        return answer

    def take(self, count: int = 1, *, timeout_s: float = 30.0) -> list[JSON]:
        """Poll until so many tasks came."""
        found: list[JSON] = []
        deadline = time.monotonic() + timeout_s
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} tasks came"
            found += self.poll(free=count - len(found), wait_s=1.0).get("tasks", [])
        return found

    def take_one(self) -> JSON:
        return self.take()[0]

    def nothing(self, wait_s: float = 0.3) -> None:
        """Nothing may be claimed now."""
        assert self.poll(wait_s=wait_s).get("tasks", []) == []

    def report(self, *items: JSON) -> list[JSON]:
        answered: list[JSON] = self.say("report", {"session_id": self.session, "items": list(items)})["items"]
        for item, told in zip(items, answered, strict=True):
            if item["kind"] in ENDED and (told["ok"] or told["code"] == "stale_run") and item["run_id"] in self.held:
                self.held.remove(item["run_id"])
        return answered

    def complete(self, run: JSON, result: Any = None, artifacts: list[JSON] | None = None) -> JSON:
        item = {"run_id": run["run_id"], "kind": "completed", "result": result, "artifacts": artifacts or []}
        return self.report(item)[0]

    def fail(self, run: JSON, **error: Any) -> JSON:
        return self.report({"run_id": run["run_id"], "kind": "failed", "error": {"message": "no", **error}})[0]

    def stopped(self, run: JSON) -> JSON:
        return self.report({"run_id": run["run_id"], "kind": "cancelled"})[0]

    def beat(self) -> JSON:
        return self.say("heartbeat", {"session_id": self.session, "held": self.held})

    def upload(self, run: JSON, name: str, content: bytes, *, status: int = 200) -> JSON:
        """Upload a file of a run, and return what its report says of it."""
        answer = self.http.put(
            f"/worker/runs/{run['run_id']}/files/{name}",
            content=content,
            headers={"X-Run-Token": run["run_token"], "X-Run-Id": run["run_id"]},
        )
        assert answer.status_code == status, answer.text
        return {
            "name": name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_bytes": len(content),
            "content_type": "text/plain",
        }

    def bye(self) -> None:
        self.http.post("/worker/bye", json={"session_id": self.session})


def make_server(folder: Path, **settings: Any) -> Server:
    return Server(folder, {"lease_s": 30, "cancel_grace_s": 1, "stop_grace_s": 2, **settings})


@pytest.fixture(scope="module")
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of the module's server: its `SETTINGS`."""
    return dict(getattr(request.module, "SETTINGS", {}))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]) -> Iterator[Server]:
    """One server for the tests of a module."""
    made = make_server(tmp_path_factory.mktemp("rules"), **settings).start()
    yield made
    made.stop()
    made.http.close()
    errors = [line for line in made.log.splitlines() if '"level": "error"' in line or "Traceback" in line]
    assert not errors, "the server logged errors:\n" + "\n".join(errors)


@pytest.fixture
def worker(server: Server) -> Iterator[Callable[..., RawWorker]]:
    """Make workers by hand; they say goodbye with the test."""
    made: list[RawWorker] = []

    def make(*tasks: str | JSON, **hello: Any) -> RawWorker:
        made.append(RawWorker(server, *tasks, **hello))
        return made[-1]

    yield make
    for each in made:
        each.bye()


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """What tests build with: graphs, names, and waiting for conditions."""
    return SimpleNamespace(
        node=node,
        graph=graph,
        unique=unique,
        until=until,
        make_server=make_server,
        RawWorker=RawWorker,
        start_worker=start_worker,
    )


def start_worker(server: Server, *, wait: bool = True) -> subprocess.Popen[bytes]:
    """Start `orpheus worker` with the module's flows, and wait until it is there."""
    before = len(_alive(server))
    with (server.folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "orpheus.cli", "worker", "--server", server.url),
                *("--no-shipped", "--import", str(server.folder / "flows.py"), "--concurrency", "4"),
            ],
            stdout=log,
            stderr=log,
            cwd=server.folder,
            env=os.environ | {"NO_COLOR": "1"},
        )

    def there() -> bool:
        assert process.poll() is None, (server.folder / "worker.log").read_text()
        return len(_alive(server)) > before

    if wait:
        until(there, 60)
    return process


def _alive(server: Server) -> list[JSON]:
    return [row for row in server.get("/workers")["items"] if row["alive"]]


@pytest.fixture(scope="module")
def real_worker(server: Server, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """`orpheus worker` with the module's FLOWS."""
    (server.folder / "flows.py").write_text(request.module.FLOWS)
    process = start_worker(server)
    yield process
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
