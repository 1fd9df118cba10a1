"""A job's log lines by task, attempt, level and text; paged and followed alike."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest


@pytest.fixture
def logged(
    client: httpx.Client, submit: Callable[..., dict[str, Any]], hand_worker: Callable[..., Any]
) -> tuple[str, Any, dict[str, Any]]:
    """A job whose first attempt failed after some lines, and whose second goes on."""
    job_id = submit()["job_id"]
    worker = hand_worker()

    def take() -> dict[str, Any]:
        while True:
            for task in worker.poll(wait_s=1.0).get("tasks", []):
                if task["job_id"] == job_id:
                    found: dict[str, Any] = task
                    return found

    def say(run: dict[str, Any], *lines: dict[str, Any]) -> None:
        worker.report({"run_id": run["run_id"], "kind": "log", "lines": list(lines)})

    first = take()
    say(
        first,
        {"message": "Opening the file", "level": "debug"},
        {"message": "opened"},
        {"message": "printed", "stream": "stdout"},
        {"message": "100% wrong_", "level": "error", "fields": {"code": 7}},
    )
    worker.report({"run_id": first["run_id"], "kind": "failed", "error": {"message": "no", "retry_after_s": 0}})
    second = take()
    say(second, {"message": "opened again", "level": "warning"})
    return job_id, worker, second


def messages(client: httpx.Client, job_id: str, **query: Any) -> list[str]:
    answer = client.get(f"/jobs/{job_id}/logs", params=query)
    assert answer.status_code == 200, answer.text
    return [line["message"] for line in answer.json()["items"]]


def test_filters(client: httpx.Client, logged: tuple[str, Any, dict[str, Any]]) -> None:
    job_id, _worker, _run = logged
    everything = ["Opening the file", "opened", "printed", "100% wrong_", "opened again"]
    assert messages(client, job_id) == everything
    assert messages(client, job_id, level="debug") == everything
    assert messages(client, job_id, level="info") == everything[1:]
    assert messages(client, job_id, level="warning") == ["100% wrong_", "opened again"]
    assert messages(client, job_id, level="critical") == []
    assert messages(client, job_id, attempt=1) == everything[:4]
    assert messages(client, job_id, attempt=2, node="count") == ["opened again"]
    assert messages(client, job_id, node="other") == []
    assert messages(client, job_id, q="OPEN") == ["Opening the file", "opened", "opened again"]
    assert messages(client, job_id, q="0% w") == ["100% wrong_"], "no pattern, just text"
    assert messages(client, job_id, q="open", level="info", attempt=1) == ["opened"]
    assert messages(client, job_id, index=0) == []


def test_pages_of_what_is_filtered(client: httpx.Client, logged: tuple[str, Any, dict[str, Any]]) -> None:
    job_id, _worker, _run = logged
    first = client.get(f"/jobs/{job_id}/logs", params={"q": "open", "limit": 2}).json()
    rest = client.get(f"/jobs/{job_id}/logs", params={"q": "open", "limit": 2, "cursor": first["next_cursor"]}).json()
    found = [line["message"] for line in first["items"] + rest["items"]]
    assert found == ["Opening the file", "opened", "opened again"]


@pytest.mark.parametrize("query", [{"level": "loud"}, {"attempt": 0}, {"q": ""}, {"index": -1}])
def test_what_no_filter_is(
    client: httpx.Client, logged: tuple[str, Any, dict[str, Any]], query: dict[str, Any]
) -> None:
    answer = client.get(f"/jobs/{logged[0]}/logs", params=query)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"


def test_following_a_filter_ends_with_the_job(client: httpx.Client, logged: tuple[str, Any, dict[str, Any]]) -> None:
    job_id, worker, run = logged
    heard: list[str] = []
    began = threading.Event()

    def follow() -> None:
        with client.stream("GET", f"/jobs/{job_id}/logs", params={"follow": "true", "level": "warning"}) as answer:
            for line in answer.iter_lines():
                heard.append(json.loads(line)["message"])
                began.set()

    follower = threading.Thread(target=follow)
    follower.start()
    assert began.wait(20)
    worker.report(
        {"run_id": run["run_id"], "kind": "log", "lines": [{"message": "quiet"}, {"message": "loud", "level": "error"}]}
    )
    worker.report({"run_id": run["run_id"], "kind": "completed", "result": {"words": 1}, "artifacts": []})
    follower.join(30)
    assert not follower.is_alive()
    assert heard == ["100% wrong_", "opened again", "loud"]
