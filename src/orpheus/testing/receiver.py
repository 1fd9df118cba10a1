"""A receiver of webhooks for tests: a real HTTP server in a thread that keeps what it got and answers as it is told.

    with Receiver() as receiver:
        client.submit("count", {"text": "a b"}, webhook_url=receiver.url)
        [got] = receiver.wait(1)
        assert got.body["type"] == "job.completed"

The server under test needs `ORPHEUS_WEBHOOK_ALLOW_PRIVATE=true`, because the receiver listens on this machine.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Answer = int | tuple[int, Mapping[str, str], bytes]
"""A status, or status, headers and body."""


@dataclass(frozen=True, slots=True)
class Got:
    """One call. Names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def id(self) -> str:
        """The header `webhook-id`: the same when a delivery comes again."""
        return self.headers["webhook-id"]


class Receiver:
    """Listens on a free port of this machine from `start` (or `with`) to `stop`.

    Args:
        answer: decides what each call is answered; may take its time.
    """

    def __init__(self, answer: Callable[[Got], Answer] = lambda got: 204) -> None:
        self.answer = answer
        self.got: list[Got] = []
        self._came = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def wait(self, count: int = 1, timeout_s: float = 20.0) -> list[Got]:
        """Return what came, once so many calls have.

        Raises:
            AssertionError: they did not come in time.
        """
        until = time.monotonic() + timeout_s
        with self._came:
            while len(self.got) < count:
                left_s = until - time.monotonic()
                assert left_s > 0, f"{len(self.got)} of {count} webhooks came within {timeout_s:g} s"
                self._came.wait(left_s)
            return list(self.got)

    def _take(self, got: Got) -> Answer:
        with self._came:
            self.got.append(got)
            self._came.notify_all()
        return self.answer(got)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answered = receiver._take(Got(self.path, headers, raw))
            status, more, body = answered if isinstance(answered, tuple) else (answered, {}, b"")
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("content-length", str(len(body)))
            with contextlib.suppress(OSError):  # who called has lost patience
                self.end_headers()
                self.wfile.write(b"" if status == 204 else body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
