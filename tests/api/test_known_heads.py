"""A request whose head the connection has sent before is to the application what it was the first time, read by llhttp."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
import uvicorn
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from orpheus.api.http1 import Http1
from orpheus.api.known_heads import MOST_BYTES, KnownHeads

Told = tuple[dict[str, Any], bytes]


class Heard:
    """An application that notes what it is told, and how often a head was known."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, knows: bool) -> None:
        self.told: list[Told] = []
        self.known = 0
        read = KnownHeads.read

        def noted(heads: KnownHeads, data: bytes) -> tuple[dict[str, Any], bytes] | None:
            found = read(heads, data) if knows else None
            self.known += found is not None
            return found

        monkeypatch.setattr(KnownHeads, "read", noted)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        said = {name: value for name, value in scope.items() if name not in ("orpheus.connection", "client", "server")}
        said["headers"] = list(said["headers"])
        scope["headers"].clear()  # what one request does to its scope is nothing to the next
        scope["state"]["mine"] = scope["path"]
        body = b""
        while True:
            message = await receive()
            assert message["type"] == "http.request"
            body += message["body"]
            if not message["more_body"]:
                break
        self.told.append((said, body))
        answer = b"%d" % len(self.told)
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]}
        )
        await send({"type": "http.response.body", "body": answer})
        assert (await receive())["type"] == "http.disconnect"


async def _ask(app: Any, requests: list[list[bytes]]) -> list[bytes]:
    """Send requests, each in so many pieces, over one connection; wait for what is said to each."""
    config = uvicorn.Config(app, http=Http1, lifespan="off", log_config=None, access_log=False, date_header=False)
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Http1(config, ServerState(), {"given": 1}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    said = []
    for pieces in requests:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.01)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                said.append(await reader.read(65536))
    writer.close()
    server.close()
    return said


def ask(app: Heard, requests: list[list[bytes]]) -> list[bytes]:
    return uvloop.run(_ask(app, requests))


def post(body: bytes, *headers: str, path: str = "/jobs?wait_s=30", end: str = "\r\n") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", "Content-Type: application/json"]
    return "\r\n".join([*lines, *headers, end]).encode() + body


GET = b"GET /a%20b?c=d HTTP/1.1\r\nhost: a\r\nAccept: */*\r\naccept: text/html\r\n\r\n"
FIRST = post(b'{"a": 1}')
CASES: dict[str, tuple[list[list[bytes]], int]] = {
    "the same again": ([[FIRST], [FIRST], [FIRST]], 2),
    "another length": ([[FIRST], [post(b"{}")], [post(b'{"a": 1, "b": 23456}')]], 2),
    "without a body": ([[GET], [GET], [FIRST], [GET]], 2),
    "an empty body": ([[post(b"")], [post(b"")], [FIRST]], 2),
    "another header": ([[FIRST], [post(b"{}", "X: y")], [post(b"{}", "X: y")]], 1),
    "another path": ([[FIRST], [post(b"{}", path="/")], [FIRST]], 1),
    "in pieces": ([[FIRST], [FIRST[:-3], FIRST[-3:]], [FIRST[:9], FIRST[9:]], [FIRST]], 1),
    "two at once": ([[FIRST], [FIRST + FIRST], [FIRST]], 1),
    "one and the beginning of another": ([[FIRST], [FIRST + FIRST[:30], FIRST[30:]], [FIRST]], 1),
    "chunked": ([[b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"]] * 3, 0),
    "waits to be let go on": ([[post(b"{}", "Expect: 100-continue")]] * 3, 0),
    "of long ago": ([[b"GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n"]] * 2, 0),
    "ends the connection": ([[FIRST], [post(b"{}", "Connection: close")]], 0),
    "would upgrade": ([[b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"]] * 2, 0),
    "large": ([[post(b"x" * MOST_BYTES)]] * 2, 0),
    "a length of nothing": ([[FIRST], [FIRST.replace(b" 8\r", b" \r")]], 0),
    "a length with a sign": ([[FIRST], [FIRST.replace(b" 8\r", b" +8\r")]], 0),
    "a length with a zero before it": ([[FIRST.replace(b" 8\r", b" 08\r")]] * 2, 0),
    "two lengths": ([[FIRST], [post(b"{}", "Content-Length: 2")]], 0),
    "a length in the body": ([[post(b"\r\ncontent-length: 7\r\n")]] * 2, 1),
    "lines before it": ([[b"\r\n" + FIRST]] * 2, 1),
    "no HTTP": ([[FIRST], [b"x" * len(FIRST)]], 0),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_told_and_answered_as_if_read(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    requests, known = CASES[case]
    with monkeypatch.context() as patch:
        knowing = Heard(patch, knows=True)
        said = ask(knowing, requests)
    with monkeypatch.context() as patch:
        reading = Heard(patch, knows=False)
        assert [_plain(each) for each in said] == [_plain(each) for each in ask(reading, requests)]
    assert knowing.told == reading.told
    assert knowing.known == known


def _plain(said: bytes) -> bytes:
    """Leave out what the refusal of a request makes up."""
    return said.partition(b"x-correlation-id")[0]


def test_a_body_that_was_told_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it is the end: of a client that hangs up while it is served, too."""
    heard = Heard(monkeypatch, knows=True)
    told: list[str] = []
    gone = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if not heard.told:
            await heard(scope, receive, send)
            return
        told.extend([(await receive())["type"] for _ in range(3)])
        gone.set()

    async def hang_up() -> None:
        await _ask(app, [[FIRST], [FIRST]])
        async with asyncio.timeout(5):
            await gone.wait()

    uvloop.run(hang_up())
    assert heard.known == 1
    assert told == ["http.request", "http.disconnect", "http.disconnect"]


def test_a_connection_is_kept_while_it_asks_and_closed_when_it_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard(monkeypatch, knows=True)
    state = ServerState()
    idle_s = 0.4

    async def asked() -> float:
        config = uvicorn.Config(heard, http=Http1, lifespan="off", log_config=None, timeout_keep_alive=idle_s)  # type: ignore[arg-type]
        config.load()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Http1(config, state, {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for _ in range(4):
            writer.write(FIRST)
            assert (await reader.read(65536)).endswith(b"%d" % len(heard.told))
            answered = loop.time()
            await asyncio.sleep(idle_s / 2)
        async with asyncio.timeout(10):
            assert await reader.read(65536) == b""
        writer.close()
        server.close()
        return loop.time() - answered

    assert uvloop.run(asked()) >= idle_s - 0.05
    assert (len(heard.told), heard.known, state.total_requests) == (4, 3, 4)


def test_a_connection_that_asks_ever_other_things_is_not_remembered_without_end() -> None:
    heads = KnownHeads()
    for number in range(1000):
        request = b"GET /%d HTTP/1.1\r\n\r\n" % number
        heads.remember(request, {"http_version": "1.1", "method": "GET", "headers": []})
        assert heads.read(request) is not None
        assert len(heads._known) <= 8
    heads.forget()
    assert heads.read(request) is None


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_only_one_whole_request_with_a_known_head_is_known(before: bytes, after: bytes) -> None:
    heads = KnownHeads()
    scope = {"http_version": "1.1", "method": "POST", "headers": [(b"content-length", b"8")]}
    head = FIRST.removesuffix(b'{"a": 1}')
    heads.remember(FIRST, scope)
    found = heads.read(before + head + after)
    assert (found is not None) == (not before and len(after) == 8)
    assert found is None or found == (scope, after)
