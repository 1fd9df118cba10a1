"""An answer that goes out as one piece is the answer that uvicorn would send message by message."""

from __future__ import annotations

import logging
import socket
from typing import Any

import pytest

from orpheus.api.http1 import Exchange

NAMES = "X-Correlation-Id: the-same\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
REQUESTS = {
    "one": ("GET /workflows/count HTTP/1.1", True),
    "refused": ("GET /jobs/01890000-0000-7000-8000-000000000000 HTTP/1.1", False),
    "without its body": ("HEAD /workflows/count HTTP/1.1", False),
    "that ends the connection": ("GET /workflows/count HTTP/1.1\r\nConnection: close", False),
    "of long ago": ("GET /workflows/count HTTP/1.0", False),
}


def ask(url: str, request: str, times: int) -> bytes:
    """Ask so many times on one connection without waiting for answers; return all that is said until the server hangs up."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        rest = f"Host: {host}:{port}\r\n{NAMES}\r\n"
        last = f"{REQUESTS['that ends the connection'][0]}\r\n{rest}"
        connection.sendall((f"{request}\r\n{rest}" * times + last).encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture(autouse=True)
def no_log_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a server; the tests' own handlers would make uvicorn write one."""
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "hasHandlers", lambda: False)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("name", REQUESTS)
def test_both_ways_say_the_same(live: Any, monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> None:
    request, goes_whole = REQUESTS[name]
    went: list[bool] = []
    send_whole = Exchange.send_whole

    def noted(self: Exchange, *answer: Any) -> bool:
        went.append(send_whole(self, *answer))
        return went[-1]

    monkeypatch.setattr(Exchange, "send_whole", noted)
    whole = ask(live.url, request, times)
    assert (True in went) is goes_whole
    monkeypatch.setattr(Exchange, "send_whole", lambda *_: False)
    by_messages = ask(live.url, request, times)
    assert whole == by_messages
    assert whole.startswith(b"HTTP/1.1 ")


def test_a_header_that_would_break_the_answer_is_refused(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn refuses it; the short way leaves it to uvicorn."""
    went: list[bool] = []
    send_whole = Exchange.send_whole

    def broken(self: Exchange, status: int, headers: Any, lines: bytes, body: bytes) -> bool:
        went.append(send_whole(self, status, [*headers, (b"x-said", b"a\r\nset-cookie: b")], lines, body))
        return send_whole(self, status, headers, lines, body)

    monkeypatch.setattr(Exchange, "send_whole", broken)
    assert b"set-cookie" not in ask(live.url, REQUESTS["one"][0], 1)
    assert went
    assert True not in went
