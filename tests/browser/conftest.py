"""A headless Chromium on a real server, with a worker that finishes what is uploaded."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

CHROMIUM = os.environ.get("ORPHEUS_TEST_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
PICTURE = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x02\x00\x00\x00\x02\x08\x02\x00\x00\x00\xfd\xd4\x9as\x00\x00\x00\x16IDATx\x9cc"
    b"\xd8\xd4\xe8\x20w\xc6\x81\x81\x81\x81\xe1\xff\xff\xff\x00\x1e\xe3\x05\xb8\x10\xf8\x9a\x15\x00\x00\x00\x00IEND\xaeB`\x82"
)
MEDIA = {
    "format": 1,
    "name": "media",
    "version": 1,
    "params": {
        "type": "object",
        "properties": {"source": {"type": "object", "x-orpheus": "file"}},
        "required": ["source"],
        "additionalProperties": False,
    },
    "nodes": [
        {"name": "look", "kind": "task", "task": "look", "version": 1, "args": {"source": {"$param": "source"}}},
        {
            "name": "sum_up",
            "kind": "task",
            "task": "sum_up",
            "version": 1,
            "args": {"seen": {"$ref": "look"}},
            "retry": {"max_retries": 0},
        },
    ],
    "output": {"$ref": "sum_up"},
}


# Not for the whole session: while Playwright is open its event loop counts as running in this thread, and the tests of
# other files that are run by the same process could not use asyncio.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    if not Path(CHROMIUM).exists():
        if os.environ.get("CI") and not os.environ.get("ORPHEUS_TEST_WITHOUT_BROWSER"):
            pytest.fail(f"there is no Chromium at {CHROMIUM}")
        pytest.skip(f"there is no Chromium at {CHROMIUM}; ORPHEUS_TEST_CHROMIUM names another")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, server: str) -> Iterator[Any]:
    """A page that fails the test when it says something on the console or breaks its own CSP."""
    context = browser.new_context(
        viewport={"width": 1360, "height": 860}, color_scheme=os.environ.get("SCHEME", "light")
    )
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.faults = faults
    page.goto(server)
    yield page
    context.close()
    assert not faults, faults


class Server:
    """A server in a thread, which can go and come back at the same address with the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self.url = ""

    def start(self) -> None:
        from orpheus.api.app import create_app
        from orpheus.api.server import serve
        from orpheus.artifacts import FolderStore, Publisher
        from orpheus.engine.embedded import EmbeddedEngine

        ready, handles = threading.Event(), {}

        async def run() -> None:
            objects = FolderStore(self._folder / "objects")
            engine = EmbeddedEngine(self._folder / "orpheus.db", publisher=Publisher(objects))
            handles["loop"], handles["stop"] = asyncio.get_running_loop(), asyncio.Event()

            def tell(url: str) -> None:
                self.url = url
                ready.set()

            await serve(create_app(engine, objects), port=self._port, on_ready=tell, stop=handles["stop"])

        self._handles = handles
        self._thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        self._thread.start()
        assert ready.wait(30), "the server did not start"
        self._port = int(self.url.rsplit(":", 1)[1])
        httpx.post(f"{self.url}/workflows", json=MEDIA).raise_for_status()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._handles["loop"].call_soon_threadsafe(self._handles["stop"].set)
            self._thread.join(30)


@pytest.fixture
def restarting(tmp_path: Path) -> Iterator[Server]:
    """Yield a server that a test may stop and start again."""
    made = Server(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Yield the URL of a server with the workflow `media`."""
    made = Server(tmp_path)
    made.start()
    yield made.url
    made.stop()


class Hand:
    """Does one task after the other when it is told to go on; with more slots, a handful at a time and in silence."""

    def __init__(self, url: str, slots: int = 1) -> None:
        self.http = httpx.Client(base_url=url, timeout=30)
        self.session = uuid.uuid4().hex
        self.seq = 0
        self.go = threading.Event()
        self.go.set()
        self.fails: set[str] = set()  # tasks that are to fail for good
        self.stumbles: set[str] = set()  # tasks whose first attempt fails
        self.breaks = "it broke"
        self.says = ["looking at <b>bold</b> things"]
        self.results: dict[str, Any] = {}  # by task, in place of the usual one
        self.files: dict[str, tuple[bytes, str]] = {}  # what `look` saves besides
        self.later: dict[str, tuple[bytes, str]] = {}  # what `sum_up` saves
        self.holds = {"look", "sum_up"}  # tasks that wait for `go`
        self._stop = threading.Event()
        self._slots = slots
        hello = {"tasks": [{"name": "look"}, {"name": "sum_up"}], "resources": {"gpu": 1}, "host": "bench", "pid": 7}
        self.say("hello", {"protocol": 1, "session_id": self.session, "worker": "hand", "slots": slots, **hello})
        self.say("heartbeat", {"session_id": self.session, "memory_bytes": 123_000_000})
        self.task: dict[str, Any] = {}  # in hand, or the last one
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.post(f"/worker/{what}", json=body).raise_for_status().json()
        return answer

    def report(self, task: dict[str, Any], **item: Any) -> None:
        self.say("report", {"session_id": self.session, "items": [{"run_id": task["run_id"], **item}]})

    def save(self, task: dict[str, Any], name: str, data: bytes, kind: str) -> dict[str, Any]:
        path = f"/worker/runs/{task['run_id']}/files/{name}"
        self.http.put(path, content=data, headers={"X-Run-Token": task["run_token"]}).raise_for_status()
        return {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data), "content_type": kind}

    def stop(self) -> None:
        self._stop.set()
        self.go.set()
        self._thread.join(10)

    def _run(self) -> None:
        held: list[str] = []
        while not self._stop.is_set():
            self.seq += 1
            poll = {"session_id": self.session, "seq": self.seq, "held": held, "free": self._slots, "wait_s": 0.2}
            given = self.say("poll", poll).get("tasks", [])
            if self._slots > 1 and given:
                done = [{"run_id": task["run_id"], "kind": "completed", "result": 1} for task in given]
                self.say("report", {"session_id": self.session, "items": done})
                continue
            for task in given:
                self.task = task
                self.report(task, kind="progress", fraction=0.5, stage="half way there")
                self.report(task, kind="log", lines=[{"message": text, "level": "info"} for text in self.says])
                name = task["handler"].split("@")[0]
                if name in self.holds:
                    self.go.wait(20)
                stumbles = name in self.stumbles and task["attempt"] == 1
                if name in self.fails or stumbles:
                    error = {"code": "task_failed", "message": self.breaks, "hint": "Mend it.", "retryable": stumbles}
                    self.report(task, kind="failed", error=error)
                    continue
                artifacts = []
                if name == "look":
                    artifacts = [
                        self.save(task, "thumbnails/2.png", PICTURE, "image/png"),
                        self.save(task, "notes/<img src=x onerror=alert(1)>.txt".replace("/>", ">"), b"<script>alert(2)</script>", "text/plain"),
                        self.save(task, "metadata.json", b'{"kind": "image", "width": 2}', "application/json"),
                    ]  # fmt: skip
                files = self.files if name == "look" else self.later
                artifacts += [self.save(task, path, data, kind) for path, (data, kind) in files.items()]
                result = self.results.get(name, {"kind": "image"})
                self.report(task, kind="completed", result=result, artifacts=artifacts)


@pytest.fixture
def hand(server: str) -> Iterator[Hand]:
    made = Hand(server)
    yield made
    made.stop()
