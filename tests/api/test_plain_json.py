"""A body that came whole with its request is taken, refused and too long as one that is waited for."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any

import httpx
import pytest
from tests.api.conftest import COUNT, Live

from orpheus.api import body as bodies
from orpheus.api.options import ApiOptions
from orpheus.protocol.http import READ_BYTES, AnswerReader, Endpoint

LIMIT = 2000
JSON = "application/json"
ASKED = "01890000-0000-7000-8000-000000000000"
BODIES: dict[str, tuple[bytes, str | None]] = {
    "taken": (json.dumps({"job_ids": [ASKED]}).encode(), JSON),
    "of another shape": (b'{"job_ids": 1}', JSON),
    "no JSON": (b"{", JSON),
    "empty": (b"", JSON),
    "of no type": (b"{}", None),
    "of another type": (b"{}", "text/plain"),
    "of a type like it": (b'{"job_ids": []}', "application/x+json; charset=utf-8"),
    "just within the limit": (b'{"job_ids": []}'.ljust(LIMIT), JSON),
    "beyond the limit": (b'{"job_ids": []}'.ljust(LIMIT + 1), JSON),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = Live(tmp_path_factory.mktemp("data"), ApiOptions(max_body_bytes=LIMIT)).start()
    assert httpx.post(f"{server.url}/workflows", json=COUNT).status_code == 201
    yield server
    server.stop()


def ask(url: str, body: bytes, content_type: str | None) -> list[tuple[int, bytes, dict[str, str]]]:
    """Ask three times, each in one piece, over one connection while it lasts: the first time the head is not known."""
    headers = {"x-correlation-id": "same", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    if content_type is not None:
        headers["content-type"] = content_type
    endpoint = Endpoint(url, headers)
    answers = []
    with contextlib.ExitStack() as connections:
        connection: socket.socket | None = None
        for _ in range(3):
            if connection is None:
                connection = connections.enter_context(socket.create_connection((endpoint.host, endpoint.port), 10))
            connection.sendall(endpoint.request("POST", "/jobs/states", {}, body))
            answer = AnswerReader()
            while not answer.feed(connection.recv(READ_BYTES)):
                pass
            answers.append((answer.status, answer.body, answer.headers))
            connection = connection if answer.keeps_alive else None
    return answers


@pytest.mark.parametrize("case", BODIES)
def test_both_ways_say_the_same(small: Live, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    body, content_type = BODIES[case]
    taken: list[bool] = []
    plain_json = bodies.plain_json

    def noted(*asked: Any) -> bytes | None:
        found = plain_json(*asked)
        taken.append(bool(found))
        return found

    monkeypatch.setattr(bodies, "plain_json", noted)
    at_once = ask(small.url, body, content_type)
    assert at_once == [at_once[0]] * 3
    goes_plain = content_type == JSON and 0 < len(body) <= LIMIT
    assert taken == [False, goes_plain, goes_plain]
    monkeypatch.setattr(bodies, "plain_json", lambda *_: None)
    assert ask(small.url, body, content_type) == at_once
