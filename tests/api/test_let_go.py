"""What a request held is let go of when it is over, not when the garbage collector comes: a server has it come rarely."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from orpheus.api.calls import Call


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def calls() -> int:
    return sum(type(one) is Call for one in gc.get_objects())


REQUESTS: dict[str, Callable[[httpx.Client], httpx.Response]] = {
    "a look": lambda http: http.get("/jobs"),
    "a submission": lambda http: http.post("/jobs", json={"workflow": "count", "params": {"text": "a"}}),
    "a large one": lambda http: http.post("/jobs", json={"workflow": "count", "params": {"text": "a" * 300_000}}),
    "a refused one": lambda http: http.post("/jobs", json={"workflow": "none", "params": {}}),
    "one that is no JSON": lambda http: http.post("/jobs", content=b"{", headers={"content-type": "application/json"}),
    "one for nothing": lambda http: http.get("/nothing/here"),
    "a file": lambda http: http.post("/files", files={"file": ("a.txt", b"abc", "text/plain")}),
    "a stream that is left": lambda http: left(http, "/stream"),
}


def left(http: httpx.Client, path: str) -> httpx.Response:
    with http.stream("GET", path) as answer:
        next(answer.iter_raw())
    return answer


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_let_go_of(client: httpx.Client, name: str) -> None:
    ask = REQUESTS[name]
    assert ask(client).status_code < 500
    before = calls()
    for _ in range(10):
        ask(client)
    assert calls() <= before + 2, "requests are kept"


@pytest.mark.usefixtures("no_collector")
def test_polls_and_reports_are_let_go_of(hand_worker: Callable[..., Any], submit: Callable[..., Any]) -> None:
    worker = hand_worker()
    before = calls()
    for _ in range(10):
        submit()
        for task in worker.poll()["tasks"]:
            worker.report({"run_id": task["run_id"], "kind": "completed", "result": 1})
    assert calls() <= before + 2, "requests are kept"
