"""A tiny HTTP server that says what a test scripts, and one face for both clients."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from orpheus.client import AsyncClient, Client, Patience

QUICK = Patience(reconnect_s=2.0, first_s=0.01, max_s=0.05)


@dataclass
class Asked:
    """A request as the server saw it."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What the server says. `cut` closes the connection after so many bytes of the body; `hang_up` says nothing at all."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang_up: bool = False
    wait: threading.Event | None = None

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Scripted:
    """Answers each request by the first script that fits, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.lock = threading.Lock()
        self.scripts: list[tuple[str, str, Callable[[Asked], Answer]]] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def handle_any(self) -> None:
                scripted.answer(self)

            do_GET = do_POST = do_DELETE = do_PATCH = handle_any  # noqa: N815

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """Clients hang up on purpose here."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def on(self, method: str, path: str, *answers: Answer | Callable[[Asked], Answer]) -> None:
        """Give the answers one after the other; the last one again and again."""
        left = list(answers)

        def script(asked: Asked) -> Answer:
            answer = left.pop(0) if len(left) > 1 else left[0]
            return answer(asked) if callable(answer) else answer

        self.scripts.append((method, path, script))

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = self._read_body(handler, headers)
        asked = Asked(handler.command, unquote(parts.path), parse_qsl(parts.query), headers, body)
        with self.lock:
            self.asked.append(asked)
            script = next((s for m, p, s in self.scripts if m == asked.method and p == asked.path), None)
            said = Answer(404, {"code": "not_scripted", "message": handler.path}) if script is None else script(asked)
        if said.wait is not None:
            said.wait.wait(10)
        if said.hang_up:
            handler.close_connection = True
            handler.connection.shutdown(2)
            return
        content = said.content()
        handler.send_response(said.status)
        stream = said.headers.get("content-type") == "text/event-stream"
        for name, value in said.headers.items():
            handler.send_header(name, value)
        if stream:
            handler.send_header("connection", "close")
            handler.close_connection = True
        else:
            handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: said.cut])
        if said.cut is not None:
            handler.wfile.flush()
            handler.connection.shutdown(2)
            handler.close_connection = True

    @staticmethod
    def _read_body(handler: BaseHTTPRequestHandler, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(handler.rfile.readline(), 16):
                parts.append(handler.rfile.read(size))
                handler.rfile.readline()
            handler.rfile.readline()
            return b"".join(parts)
        return handler.rfile.read(int(headers.get("content-length", 0)))

    def of(self, method: str, path: str) -> list[Asked]:
        return [one for one in self.asked if one.method == method and one.path == path]


class Both:
    """Calls the blocking or the asynchronous client alike: `both("submit", "wordcount", {...})`."""

    def __init__(self, kind: str, url: str, **options: Any) -> None:
        self.kind, self.url, self.options = kind, url, {"patience": QUICK, **options}

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        if self.kind == "sync":
            with Client(self.url, **self.options) as client:
                found = getattr(client, method)(*args, **kwargs)
                return list(found) if isinstance(found, Iterator) else found
        return asyncio.run(self._async(method, args, kwargs))

    async def _async(self, method: str, args: Any, kwargs: Any) -> Any:
        async with AsyncClient(self.url, **self.options) as client:
            found = getattr(client, method)(*args, **kwargs)
            return [one async for one in found] if hasattr(found, "__aiter__") else await found


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest, scripted: Scripted) -> Both:
    return Both(request.param, scripted.url)


@pytest.fixture
def answer() -> type[Answer]:
    return Answer


@pytest.fixture
def job() -> Callable[..., dict[str, Any]]:
    """Make a job as the server would show it."""

    def make(job_id: str = "j1", state: str = "queued", **more: Any) -> dict[str, Any]:
        return {
            "job_id": job_id,
            "workflow": "wordcount",
            "workflow_version": 1,
            "tenant": "default",
            "state": state,
            "paused": False,
            "priority": 3,
            "labels": {},
            "params": {},
            "result": None,
            "error": None,
            "progress_percentage": 0.0,
            "current_stage": None,
            "waiting_for": [],
            "tasks": {},
            "artifacts": [],
            "generation": 1,
            "correlation_id": "c",
            "idempotency_key": None,
            "created_at": "2026-01-01T00:00:00.000Z",
            "started_at": None,
            "finished_at": None,
            "updated_at": "2026-01-01T00:00:00.000Z",
            "run_at": None,
            "requires_approval": False,
            "cancel_requested_at": None,
            "estimate": None,
            **more,
        }

    return make


@pytest.fixture
def sse() -> Callable[..., Answer]:
    """Make an answer of server-sent events, each `(id, event, data)`."""

    def make(*messages: tuple[str | None, str, Any]) -> Answer:
        text = "".join(
            (f"id: {identity}\n" if identity else "") + f"event: {event}\ndata: {json.dumps(data)}\n\n"
            for identity, event, data in messages
        )
        return Answer(200, text.encode(), {"content-type": "text/event-stream"})

    return make
