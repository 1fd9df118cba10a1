"""Small questions over connections that stay open: what servers and proxies may answer, and when a connection is used again."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orpheus.client import Client, ConnectionLost
from orpheus.client import _connections as client_connections
from orpheus.client._connections import Connections, NotSent
from orpheus.client.retrying import Patience
from orpheus.protocol.http import AnswerReader, BadAnswer, Endpoint, header_lines

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kept: yes\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
ANNOUNCEMENT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
ANNOUNCED = ANNOUNCEMENT + PLAIN
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
UNTIL_THE_END = b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nhello"


class Server:
    """Answers every request with the next of the given bytes, and counts connections. `hang_up` closes after each."""

    def __init__(self, answers: list[bytes], *, hang_up: bool) -> None:
        self._answers = iter(answers)
        self._hang_up = hang_up
        self.accepted = 0
        self.requests: list[bytes] = []
        self.closed = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError, StopIteration):
            while True:
                connection, _ = self._listening.accept()
                self.accepted += 1
                with connection:
                    self._answer_all(connection)
                self.closed.set()

    def _answer_all(self, connection: socket.socket) -> None:
        while True:
            request = b""
            while not _is_whole(request):
                data = connection.recv(65536)
                if not data:
                    return
                request += data
            self.requests.append(request)
            connection.sendall(next(self._answers))
            if self._hang_up:
                return

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # ends a waiting accept, which would hold the port
        self._listening.close()
        self._thread.join(10)


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def make(*answers: bytes, hang_up: bool = False) -> Server:
        servers.append(Server(list(answers), hang_up=hang_up))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def _ask(connections: Connections, endpoint: Endpoint, *, twice: bool = True) -> bytes:
    return connections.ask(endpoint.request("GET", "/x", {}, None), 10.0, twice=twice).body


def _connections(server: Server) -> tuple[Connections, Endpoint]:
    endpoint = Endpoint(server.url, {"accept": "application/json"})
    return Connections(endpoint, connect_s=5, kept=4), endpoint


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, ANNOUNCED, CLOSING], ids=["plain", "chunked", "103", "closing"])
def test_answers_cut_anywhere(answer: bytes) -> None:
    for cut in range(1, len(answer)):
        reader = AnswerReader()
        assert not reader.feed(answer[:cut])
        assert reader.feed(answer[cut:])
        assert (reader.status, reader.body) == (200, b"hello")
        assert reader.keeps_alive == (answer is not CLOSING)
        assert reader.headers == _headers_of(answer.removeprefix(ANNOUNCEMENT))


def _headers_of(answer: bytes) -> dict[str, str]:
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ") for line in lines)}


def test_headers_are_of_the_answer_that_was_read() -> None:
    """Not of the one before, nor of what came behind it."""
    reader = AnswerReader()
    reader.feed(CLOSING)
    reader.begin()
    assert not reader.has_begun
    reader = AnswerReader()
    assert reader.feed(PLAIN + b"HTTP/1.1 500 No\r\nX-Kept: no\r\n\r\n")
    assert reader.headers == {"content-length": "5", "x-kept": "yes"}
    assert not reader.keeps_alive


def test_errors_come_with_their_headers(serve: Callable[..., Server]) -> None:
    """They say when to come again; nobody looks at those of other answers. The same connection serves both."""
    server = serve(PLAIN, PLAIN.replace(b"200 OK", b"429 Later"), PLAIN)
    connections, endpoint = _connections(server)
    request = endpoint.request("GET", "/x", {}, None)
    replies = [connections.ask(request, 10.0, twice=True) for _ in range(3)]
    assert [reply.headers.get("x-kept") for reply in replies] == [None, "yes", None]
    assert [(reply.status, reply.body) for reply in replies] == [(200, b"hello"), (429, b"hello"), (200, b"hello")]
    assert server.accepted == 1


def test_what_requests_begin_with_is_kept_and_not_confused() -> None:
    endpoint, other = Endpoint("http://a", {"x-key": "1"}), Endpoint("http://b", {})
    for _ in range(2):
        assert endpoint.request("GET", "/x", {}, None) == b"GET /x HTTP/1.1\r\nhost: a\r\nx-key: 1\r\n\r\n"
        assert (
            endpoint.request("GET", "/x", {"k": "v"}, None) == b"GET /x HTTP/1.1\r\nhost: a\r\nx-key: 1\r\nk: v\r\n\r\n"
        )
        assert other.request("POST", "/x", {}, None) == b"POST /x HTTP/1.1\r\nhost: b\r\ncontent-length: 0\r\n\r\n"
        assert other.request("POST", "/x", {}, b"12") == b"POST /x HTTP/1.1\r\nhost: b\r\ncontent-length: 2\r\n\r\n12"
        with pytest.raises(ValueError, match="line break"):
            other.request("GET", "/x", {"k": "v\r\n"}, None)
    assert endpoint._head.cache_info().hits == 2


def test_an_answer_without_length_ends_with_its_connection() -> None:
    reader = AnswerReader()
    assert not reader.feed(UNTIL_THE_END)
    reader.end()
    assert (reader.body, reader.keeps_alive) == (b"hello", False)


@pytest.mark.parametrize("answer", [b"", PLAIN[:30], PLAIN[:-1], CHUNKED[:-5]])
def test_an_answer_that_breaks_off_is_none(answer: bytes) -> None:
    reader = AnswerReader()
    if answer:
        reader.feed(answer)
    with pytest.raises(BadAnswer, match="hung up"):
        reader.end()


def test_what_is_not_http_is_no_answer() -> None:
    with pytest.raises(BadAnswer):
        AnswerReader().feed(b"220 smtp ready\r\n")


def test_headers_cannot_smuggle_lines() -> None:
    with pytest.raises(ValueError, match="line break"):
        header_lines([("x-correlation-id", "a\r\nauthorization: b")])


def test_addresses() -> None:
    """Path, port, IPv6 and user of the address come with every request."""
    request = Endpoint("http://a%40b:c@[::1]:8700/base/", {}).request("POST", "/jobs?x=1", {"a": "b"}, b"{}").decode()
    assert request.startswith("POST /base/jobs?x=1 HTTP/1.1\r\nhost: [::1]:8700\r\nauthorization: Basic YUBiOmM=\r\n")
    assert request.endswith("a: b\r\ncontent-length: 2\r\n\r\n{}")
    assert Endpoint("https://example.org", {}).port == 443
    with pytest.raises(ValueError, match="not an http"):
        Endpoint("localhost:8700", {})


def test_a_connection_is_used_again(serve: Callable[..., Server]) -> None:
    server = serve(*[PLAIN] * 3)
    connections, endpoint = _connections(server)
    assert [_ask(connections, endpoint) for _ in range(3)] == [b"hello"] * 3
    assert server.accepted == 1


@pytest.mark.parametrize("answer", [PLAIN, CLOSING])
def test_a_connection_the_server_has_closed_is_replaced(serve: Callable[..., Server], answer: bytes) -> None:
    """Whether it says so or not, and also where asking twice might do harm: nothing was sent over it."""
    server = serve(answer, answer, hang_up=True)
    connections, endpoint = _connections(server)
    assert _ask(connections, endpoint) == b"hello"
    assert server.closed.wait(10)
    assert _ask(connections, endpoint, twice=False) == b"hello"
    assert server.accepted == 2


def test_broken_answers_are_not_asked_for_again(serve: Callable[..., Server]) -> None:
    """The server has begun to act; who asked decides."""
    server = serve(PLAIN[:-1], hang_up=True)
    connections, endpoint = _connections(server)
    with pytest.raises(BadAnswer):
        _ask(connections, endpoint)
    assert len(server.requests) == 1


def test_nothing_leaves_without_a_connection(serve: Callable[..., Server]) -> None:
    server = serve()
    server.close()
    connections, endpoint = _connections(server)
    with pytest.raises(NotSent):
        _ask(connections, endpoint)
    with Client(server.url, patience=Patience(reconnect_s=0)) as client, pytest.raises(ConnectionLost) as lost:
        client.get("j1")
    assert not lost.value.sent
    assert "refused" in str(lost.value)


def test_a_submit_and_its_result_are_two_requests_over_one_connection(
    serve: Callable[..., Server], job: Callable[..., dict[str, Any]]
) -> None:
    """One long poll waits; nothing is asked twice, and no connection is made for it."""
    bodies = [
        json.dumps(job("j1", state="queued")).encode(),
        json.dumps(job("j1", state="completed", result=7)).encode(),
    ]
    server = serve(*[b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies])
    with Client(server.url) as client:
        assert client.result(client.submit("one", {"value": 1}).job_id) == 7
    assert [request.split(b"?")[0].split(b" HTTP")[0] for request in server.requests] == [
        b"POST /jobs",
        b"GET /jobs/j1",
    ]
    assert server.accepted == 1


@pytest.mark.parametrize("polls", [True, False])
def test_a_connection_is_stale_when_there_is_something_to_read(monkeypatch: pytest.MonkeyPatch, *, polls: bool) -> None:
    """Where the system can poll, and where it cannot."""
    if not polls:
        monkeypatch.setattr(client_connections, "select", object())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = client_connections._Connection(ours)
        assert not connection.is_stale()
        theirs.send(b"x")
        assert connection.is_stale()
        ours.recv(1)
        assert not connection.is_stale()
        theirs.close()
        assert connection.is_stale()
