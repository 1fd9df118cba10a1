"""A real server on a free port with the real engine, and a worker that speaks the protocol by hand."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop

from orpheus.api.app import create_app
from orpheus.api.options import ApiOptions
from orpheus.api.server import serve
from orpheus.artifacts import FolderStore, Publisher
from orpheus.engine.embedded import EmbeddedEngine

FILE = {"type": "object", "x-orpheus": "file"}

COUNT = {
    "format": 1,
    "name": "count",
    "version": 1,
    "params": {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
        "additionalProperties": False,
    },
    "nodes": [{"name": "count", "kind": "task", "task": "count", "version": 1, "args": {"text": {"$param": "text"}}}],
    "output": {"$ref": "count"},
}
MEDIA = {
    "format": 1,
    "name": "media",
    "version": 1,
    "params": {
        "type": "object",
        "properties": {"source": FILE, "extra": {"type": "array", "items": FILE, "default": []}},
        "required": ["source"],
        "additionalProperties": False,
    },
    "nodes": [{"name": "look", "kind": "task", "task": "look", "version": 1, "args": {"source": {"$param": "source"}}}],
    "output": {"$ref": "look"},
}


class Live:
    """A server in a thread of its own."""

    def __init__(self, data: Path, options: ApiOptions, port: int = 0) -> None:
        self.data = data
        self.options = options
        self.url = ""
        self._port = port
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Live:
        self._thread.start()
        assert self._ready.wait(20), "the server did not start"
        if self.fault is not None:
            raise self.fault
        return self

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server did not stop"

    def _run(self) -> None:
        try:
            uvloop.run(self._serve())
        except BaseException as error:
            self.fault = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.objects = FolderStore(self.data / "objects")
        self.engine = EmbeddedEngine(self.data / "orpheus.db", publisher=Publisher(self.objects, env=self.options.env))
        self.app = create_app(self.engine, self.objects, self.options)
        await serve(self.app, port=self._port, on_ready=self._on_ready, stop=self._stop)

    def _on_ready(self, url: str) -> None:
        self.url = url
        self._ready.set()


class HandWorker:
    """A worker written in forty lines: what the protocol asks of any language."""

    def __init__(self, url: str, handlers: dict[str, Callable[..., Any]], **hello: Any) -> None:
        self.http = httpx.Client(base_url=url, timeout=30)
        self.handlers = handlers
        self.session = uuid.uuid4().hex
        self.seq = 0
        self.held: list[str] = []
        self.extra = hello
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.welcome = self.hello()

    def hello(self) -> dict[str, Any]:
        tasks = [{"name": name} for name in self.handlers]
        body = {"protocol": 1, "session_id": self.session, "worker": "hand", "slots": 4, "tasks": tasks, **self.extra}
        return self.say("hello", body)

    def say(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self.http.post(f"/worker/{what}", json=body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def poll(self, free: int = 4, wait_s: float = 0.2) -> dict[str, Any]:
        self.seq += 1
        body = {"session_id": self.session, "seq": self.seq, "held": self.held, "free": free, "wait_s": wait_s}
        answer = self.say("poll", body)
        self.held += [task["run_id"] for task in answer.get("tasks", [])]
        return answer

    def report(self, *items: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self.say("report", {"session_id": self.session, "items": list(items)})
        for item in items:
            if item["kind"] in ("completed", "failed", "cancelled") and item["run_id"] in self.held:
                self.held.remove(item["run_id"])
        found: list[dict[str, Any]] = answer["items"]
        return found

    def save(self, task: dict[str, Any], name: str, data: bytes, content_type: str) -> dict[str, Any]:
        """Upload a file of a run, and return what the report says of it."""
        response = self.http.put(
            f"/worker/runs/{task['run_id']}/files/{name}", content=data, headers={"X-Run-Token": task["run_token"]}
        )
        assert response.status_code == 200, response.text
        return {
            "name": name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_bytes": len(data),
            "content_type": content_type,
        }

    def start(self) -> HandWorker:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)
        self.http.post("/worker/bye", json={"session_id": self.session})
        self.http.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            for task in self.poll().get("tasks", []):
                result, artifacts = self.handlers[task["handler"]](self, task, **task.get("args", {}))
                item = {"run_id": task["run_id"], "kind": "completed", "result": result, "artifacts": artifacts}
                self.report(item)


def _count(_worker: HandWorker, _task: dict[str, Any], text: str) -> tuple[Any, list[Any]]:
    return {"words": len(text.split())}, []


def _look(worker: HandWorker, task: dict[str, Any], source: dict[str, Any]) -> tuple[Any, list[Any]]:
    file = source["$file"]
    name = file["name"].encode("utf-8", "replace")
    artifacts = [
        worker.save(task, "notes/about.txt", b"name: " + name, "text/plain"),
        worker.save(task, "page.html", b"<script>alert(1)</script>", "text/html"),
    ]
    return {"size_bytes": file["size_bytes"]}, artifacts


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """Start servers that end with the test; the same data directory gives the same store."""
    started: list[Live] = []

    def start(data: Path | None = None, port: int = 0, **options: Any) -> Live:
        live = Live(data or tmp_path / "data", ApiOptions(**options), port)
        live.data.mkdir(parents=True, exist_ok=True)
        started.append(live.start())
        return live

    yield start
    for live in started:
        live.stop()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One server for the tests of a file."""
    server = Live(tmp_path_factory.mktemp("data"), ApiOptions()).start()
    for definition in (COUNT, MEDIA):
        answer = httpx.post(f"{server.url}/workflows", json=definition)
        assert answer.status_code == 201, answer.text
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, timeout=30) as http:
        yield http


@pytest.fixture
def hand_worker(live: Live) -> Iterator[Callable[..., HandWorker]]:
    """Make workers by hand; they say goodbye with the test."""
    made: list[HandWorker] = []

    def make(handlers: dict[str, Callable[..., Any]] | None = None, url: str | None = None, **hello: Any) -> HandWorker:
        made.append(HandWorker(url or live.url, handlers or {"count": _count, "look": _look}, **hello))
        return made[-1]

    yield make
    for worker in made:
        worker.stop()


@pytest.fixture
def submit(client: httpx.Client) -> Callable[..., dict[str, Any]]:
    def submit(**body: Any) -> dict[str, Any]:
        answer = client.post("/jobs", json={"workflow": "count", "params": {"text": "a b c"}, **body})
        assert answer.status_code == 201, answer.text
        job: dict[str, Any] = answer.json()
        return job

    return submit


@pytest.fixture
def wait_end(client: httpx.Client) -> Callable[[str], dict[str, Any]]:
    def wait(job_id: str) -> dict[str, Any]:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            job: dict[str, Any] = client.get(f"/jobs/{job_id}", params={"wait_s": 5}).json()
            if job["state"] in ("completed", "failed", "cancelled"):
                return job
        raise AssertionError(f"job {job_id} did not end: {job}")

    return wait


@pytest.fixture
def fresh(client: httpx.Client) -> str:
    """Publish a workflow of one task, both with a name of their own, and return it."""
    name = f"w{uuid.uuid4().hex[:12]}"
    node = {**COUNT["nodes"][0], "name": "count", "task": name}
    assert client.post("/workflows", json={**COUNT, "name": name, "nodes": [node]}).status_code == 201
    return name


@pytest.fixture
def workflows() -> dict[str, dict[str, Any]]:
    return {"count": COUNT, "media": MEDIA}
