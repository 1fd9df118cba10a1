"""R1–R3, promise 1: events say what rows say, numbered without gaps, told once and in order, across a SIGKILL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

EVENT_FIELDS = ("seq", "type", "at", "job_id", "task", "index", "run_id", "actor", "correlation_id", "data")


@contextmanager
def socket(server: Any, *topics: str, after: str | None = None) -> Iterator[ClientConnection]:
    with connect(server.url.replace("http", "ws") + "/ws") as ws:
        ws.send(json.dumps({"subscribe": list(topics), **({} if after is None else {"after": after})}))
        yield ws


def hear(ws: ClientConnection, kind: str) -> dict[str, Any]:
    """Read until a message of this type."""
    while True:
        message: dict[str, Any] = json.loads(ws.recv(timeout=20))
        if message["type"] == kind:
            return message


def events_until(ws: ClientConnection, done: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while not done(found):
        message = json.loads(ws.recv(timeout=20))
        if "seq" in message:
            found.append(message)
    return found


def run_one(server: Any, hand: Any, kit: Any, name: str, **fields: Any) -> str:
    job = server.submit(kit.graph(kit.node("a", name)), **fields)
    assert hand.complete(hand.take_one())["ok"]
    return str(server.ended(job["job_id"], "completed")["job_id"])


def test_the_events_of_a_job_are_numbered_and_hold_every_field(server, worker, kit):
    """R1, R2, formats (Event): gapless `seq` from 1, every field under its name, times in UTC with milliseconds."""
    name = kit.unique()
    hand = worker(name)
    job_id = run_one(server, hand, kit, name)
    events = server.events(job_id)
    assert [event["type"] for event in events] == [
        "job.created",
        "job.queued",
        "task.ready",
        "job.started",
        "task.started",
        "task.completed",
        "job.completed",
    ]
    for event in events:
        assert set(EVENT_FIELDS) <= set(event), event
        assert event["at"].endswith("Z") and "." in event["at"]
    begun = next(event for event in events if event["type"] == "task.started")
    assert (begun["task"], begun["index"], bool(begun["run_id"]), begun["data"]["attempt"]) == ("a", None, True, 1)


def test_pages_of_events_join_without_loss(server, worker, kit):
    """Design section 5: lists are `{"items", "next_cursor"}`; the pages together are the list."""
    name = kit.unique()
    job_id = run_one(server, worker(name), kit, name)
    found: list[int] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = server.get(f"/jobs/{job_id}/events", **query)
        assert set(page) == {"items", "next_cursor"}
        found += [event["seq"] for event in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == list(range(1, len(server.events(job_id)) + 1))


def test_following_events_ends_with_the_job(server, worker, kit):
    """Design section 5: `follow` sends what there is and what comes, each once, until the job has ended."""
    name = kit.unique()
    hand = worker(name)
    job_id = server.submit(kit.graph(kit.node("a", name)))["job_id"]
    seen: list[dict[str, Any]] = []
    with httpx.stream("GET", f"{server.url}/jobs/{job_id}/events?follow=true", timeout=30) as answer:
        for line in answer.iter_lines():
            seen.append(json.loads(line))
            if len(seen) == 3:
                hand.complete(hand.take_one())
    assert [event["seq"] for event in seen] == list(range(1, 8))


def test_ws_tells_every_later_event_once_in_order_and_a_reconnect_misses_nothing(server, worker, kit):
    """R2, design section 5: `after` the last cursor, again and again, gives the same list as one long connection."""
    name = kit.unique()
    hand = worker(name)
    with socket(server, "jobs") as ws:
        start = hear(ws, "subscribed")["cursor"]
        jobs = [run_one(server, hand, kit, name) for _ in range(3)]
        whole = events_until(
            ws, lambda found: found and found[-1]["job_id"] == jobs[-1] and found[-1]["type"] == "job.completed"
        )
    mine = [(event["job_id"], event["seq"]) for event in whole]
    assert len(mine) == len(set(mine))
    assert all(set(EVENT_FIELDS) | {"cursor"} <= set(event) for event in whole)
    assert {event["type"].split(".")[0] for event in whole} == {"job"}
    for job_id in jobs:
        of_job = [seq for job, seq in mine if job == job_id]
        assert of_job == [event["seq"] for event in server.events(job_id) if event["type"].startswith("job.")]
    cursor, pieces = start, []
    while len(pieces) < len(whole):
        with socket(server, "jobs", after=cursor) as ws:
            left = len(whole) - len(pieces)
            piece = events_until(ws, lambda found, left=left: len(found) >= min(2, left))
        cursor = piece[-1]["cursor"]
        pieces += piece
    assert pieces[: len(whole)] == whole


def test_topics_filter(server, worker, kit):
    """Formats: `jobs:created`, `jobs:completed`, `jobs:failed`, `jobs:approved` and `job:<id>` say just that."""
    name = kit.unique()
    hand = worker(name)
    job = server.submit(kit.graph(kit.node("a", name)), requires_approval=True)
    other = kit.unique()
    failing = worker(other)
    with (
        socket(server, f"job:{job['job_id']}") as one,
        socket(server, "jobs:approved", "jobs:completed") as two,
        socket(server, "jobs:failed", "jobs:created") as three,
    ):
        for ws in (one, two, three):
            hear(ws, "subscribed")
        server.post(f"/jobs/{job['job_id']}/approve")
        run = hand.take_one()
        hand.report({"run_id": run["run_id"], "kind": "progress", "fraction": 0.5, "stage": "half"})
        hand.report({"run_id": run["run_id"], "kind": "log", "lines": [{"message": "hello"}]})
        progress = hear(one, "progress")
        assert "seq" not in progress and "cursor" not in progress
        assert (progress["job_id"], progress["data"]["fraction"]) == (job["job_id"], 0.5)
        line = hear(one, "log")
        assert "seq" not in line and "hello" in json.dumps(line)
        hand.complete(run)
        second = server.submit(kit.graph(kit.node("b", other, retry={"max_retries": 0})))
        failing.fail(failing.take_one())
        ended = server.ended(job["job_id"])
        server.ended(second["job_id"], "failed")
        told = events_until(one, lambda found: found and found[-1]["type"] == "job.completed")
        assert {event["job_id"] for event in told} == {ended["job_id"]}
        assert "task.started" not in [event["type"] for event in told[-2:]]
        assert [e["type"] for e in events_until(two, lambda found: len(found) == 2)] == [
            "job.approved",
            "job.completed",
        ]
        told = events_until(three, lambda found: len(found) == 2)
        assert [(event["type"], event["job_id"]) for event in told] == [
            ("job.created", second["job_id"]),
            ("job.failed", second["job_id"]),
        ]


@pytest.mark.parametrize("cursor", ["foreign", "0", "zzzz-99", "", "deadbeefdeadbeef-999999999"])
def test_a_foreign_cursor_is_answered_reset(server, kit, cursor):
    """R2: the cursor is opaque and carries the store's epoch; one of another store, or rubbish, is `reset`."""
    with socket(server, "jobs", after=cursor) as ws:
        reset = hear(ws, "reset")
        job = server.submit(kit.graph(kit.node("a", kit.unique())))
        [created] = events_until(ws, lambda found: len(found) == 1)
        assert (created["job_id"], created["type"], bool(reset["cursor"])) == (job["job_id"], "job.created", True)


def test_a_topic_that_is_none_is_an_error_and_the_socket_lives(server):
    """Design section 5: what a client sends wrong is told, with code and hint."""
    with socket(server, "jobs:exploded") as ws:
        error = hear(ws, "error")
        assert error["code"] == "invalid_request" and "jobs:exploded" in error["message"]
        ws.send("{not json")
        assert hear(ws, "error")["code"] == "invalid_request"
        ws.send(json.dumps({"ping": 1}))
        assert hear(ws, "pong")["ping"] == 1


def test_nothing_told_is_lost_or_told_twice_across_a_sigkill(server, worker, kit):
    """R2, promise 1: with the cursor from before the kill, the stream goes on where it was; rows and events stand."""
    name = kit.unique()
    hand = worker(name)
    with socket(server, "jobs") as ws:
        hear(ws, "subscribed")
        first = run_one(server, hand, kit, name)
        before = events_until(ws, lambda found: found and found[-1]["type"] == "job.completed")
        second = server.submit(kit.graph(kit.node("a", name)))["job_id"]
        before += events_until(ws, lambda found: len(found) == 1)
    server.kill()
    server.start()
    assert server.job(first)["state"] == "completed"
    hand.hello()
    assert hand.complete(hand.take_one())["ok"]
    server.ended(second, "completed")
    with socket(server, "jobs", after=before[-1]["cursor"]) as ws:
        after = events_until(ws, lambda found: found and found[-1]["type"] == "job.completed")
    told = [(event["job_id"], event["seq"]) for event in before + after]
    assert told == [
        (job_id, event["seq"])
        for job_id in (first, second)
        for event in server.events(job_id)
        if event["type"].startswith("job.")
    ]


def test_server_sent_events_follow_and_go_on_by_last_event_id(server, worker, kit):
    """Design section 5: `/stream` with `Last-Event-ID`; a foreign one is `reset`."""
    name = kit.unique()
    hand = worker(name)
    with socket(server, "jobs") as ws:
        cursor = hear(ws, "subscribed")["cursor"]
    job_id = run_one(server, hand, kit, name)

    def told(last: str, count: int) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        with httpx.stream("GET", f"{server.url}/stream", headers={"Last-Event-ID": last}, timeout=20) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            place = kind = ""
            for line in answer.iter_lines():
                field, _, value = line.partition(": ")
                if field == "id":
                    place = value
                elif field == "event":
                    kind = value
                elif field == "data":
                    found.append((place, kind))
                    if len(found) == count:
                        break
        return found

    whole = told(cursor, 4)
    assert [kind for _, kind in whole] == ["job.created", "job.queued", "job.started", "job.completed"]
    assert told(whole[1][0], 2) == whole[2:]
    assert told("of another store", 1)[0][1] == "reset"
    assert server.job(job_id)["state"] == "completed"
