"""/ws and /stream: every later event once, in order, each with its cursor (R2)."""

from __future__ import annotations

import json
import socket as socket_module
import threading

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect


@pytest.fixture
def socket(live):
    def open_socket(**options):
        return connect(live.url.replace("http", "ws", 1) + "/ws", **options)

    return open_socket


def say(ws, **message):
    ws.send(json.dumps(message))


def hear(ws, timeout=10):
    return json.loads(ws.recv(timeout=timeout))


def hear_until(ws, kind):
    heard = []
    while not heard or heard[-1]["type"] != kind:
        heard.append(hear(ws))
    return heard


def test_topics_choose_events(socket, submit):
    """`jobs:created` brings that and nothing else; cursors rise."""
    with socket() as ws:
        say(ws, subscribe=["jobs:created"])
        assert hear(ws)["type"] == "subscribed"
        made = [submit()["job_id"] for _ in range(3)]
        heard = [hear(ws) for _ in range(3)]
    assert [event["type"] for event in heard] == ["job.created"] * 3
    assert [event["job_id"] for event in heard] == made
    assert len({event["cursor"] for event in heard}) == 3


def test_a_reconnect_misses_nothing(socket, client, submit):
    """With the last cursor, what happened meanwhile comes first, in order, once."""
    with socket() as ws:
        say(ws, subscribe=["jobs:created"])
        hear(ws)
        submit()
        cursor = hear(ws)["cursor"]
    made = [submit()["job_id"] for _ in range(5)]
    with socket() as ws:
        say(ws, subscribe=["jobs:created"], after=cursor)
        hear(ws)
        assert [hear(ws)["job_id"] for _ in range(5)] == made


def test_a_foreign_cursor_is_reset(socket, submit):
    """Whatever is not our cursor is answered `reset`, then the stream goes on from now."""
    for bad in ("nonsense", "0.5", "", "x" * 5000):
        with socket() as ws:
            say(ws, subscribe=["jobs:created"], after=bad)
            reset = hear_until(ws, "reset")[-1]
            assert reset["cursor"]
            job_id = submit()["job_id"]
            assert hear_until(ws, "job.created")[-1]["job_id"] == job_id


def test_one_job_brings_tasks_progress_and_logs(socket, hand_worker, submit, fresh):
    """`job:<id>`: numbered events of the job, progress and log lines beside them."""
    worker = hand_worker({fresh: None})
    with socket() as ws:
        job_id = submit(workflow=fresh)["job_id"]
        say(ws, subscribe=[f"job:{job_id}"])
        hear_until(ws, "subscribed")
        [task] = worker.poll(wait_s=5)["tasks"]
        assert hear_until(ws, "task.started")
        worker.report(
            {"run_id": task["run_id"], "kind": "progress", "fraction": 0.25, "stage": "a quarter"},
            {"run_id": task["run_id"], "kind": "log", "lines": [{"message": "hello"}]},
        )
        told = hear_until(ws, "progress")  # lines of the log may come before it: they go their own way
        progress = told[-1]
        assert (progress["data"]["fraction"], progress["data"]["stage"], progress["job_id"]) == (
            0.25,
            "a quarter",
            job_id,
        )
        assert "cursor" not in progress
        [log] = [each for each in told if each["type"] == "log"] or hear_until(ws, "log")[-1:]
        assert log["data"]["lines"][0]["message"] == "hello"
        worker.report({"run_id": task["run_id"], "kind": "completed", "result": 1})
        heard = hear_until(ws, "job.completed")
        sequence = [event["seq"] for event in heard if "seq" in event]
        assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))


def test_nonsense_is_answered_and_survived(socket):
    """Bad JSON, unknown fields and topics get an error message; the socket stays."""
    with socket() as ws:
        for raw in (
            "{",
            "[]",
            '{"subscrbe": []}',
            '{"subscribe": ["jobz"]}',
            '{"subscribe": "jobs"}',
            "[" * 60000,
            b"\xff\xfe",
        ):
            ws.send(raw)
            error = hear(ws)
            assert (error["type"], error["code"]) == ("error", "invalid_request")
        say(ws, ping=17)
        assert hear(ws) == {"type": "pong", "ping": 17}
        say(ws, subscribe=["jobs"])
        assert hear(ws)["type"] == "subscribed"
        say(ws, unsubscribe=["jobs"])
        assert hear(ws)["topics"] == []


def test_foreign_pages_get_no_socket(socket):
    """Host and Origin are checked here too, before the handshake."""
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
        with pytest.raises(InvalidStatus) as refused:
            socket(additional_headers=headers)
        assert refused.value.response.status_code == 403
        assert b'"code":"forbidden"' in refused.value.response.body


def test_server_sent_events_go_on_from_the_last_id(client, live, submit):
    """`Last-Event-ID` misses nothing; a foreign one is told to reset."""
    created = submit()["job_id"]
    cursor = live.engine.cursor()
    made = [submit()["job_id"] for _ in range(3)]
    query = {"topic": ["jobs:created"]}
    with client.stream("GET", "/stream", params=query, headers={"Last-Event-ID": cursor}) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        data = []
        for line in answer.iter_lines():
            if line.startswith("data: "):
                data.append(json.loads(line[6:]))
            if len(data) == 3:
                break
    assert [event["job_id"] for event in data] == made
    assert created not in made
    with client.stream("GET", "/stream", headers={"Last-Event-ID": "foreign"}) as answer:
        for line in answer.iter_lines():
            if line.startswith("event: "):
                assert line == "event: reset"
                break
    assert client.get("/stream", params={"topic": "jobz"}).status_code == 422


def test_a_brief_stream_tells_the_same_in_the_same_order(client, live, submit):
    """In fewer words, and with cursors to go on from."""

    def follow(cursor, last, **query):
        """Return what is told up to the last, and the cursor there."""
        told, at = [], None
        with client.stream("GET", "/stream", params=query, headers={"Last-Event-ID": cursor}) as answer:
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    at = line[4:]
                if line.startswith("data: "):
                    data = json.loads(line[6:])
                    brief = isinstance(data, list)
                    assert brief == bool(query)
                    told += (
                        [(type_, job) for type_, jobs in data for job in jobs]
                        if brief
                        else [(data["type"], data["job_id"])]
                    )
                    if last in told:
                        break
        return told, at

    before = live.engine.cursor()
    made = [submit()["job_id"] for _ in range(3)]
    client.post(f"/jobs/{made[1]}/cancel", json={}).raise_for_status()
    cancelled = ("job.cancelled", made[1])
    whole, at = follow(before, cancelled)
    assert follow(before, cancelled, brief="true") == (whole, at)
    assert [job for type_, job in whole if type_ == "job.created"] == made
    later = submit()["job_id"]
    assert {job for _, job in follow(at, ("job.created", later), brief="true")[0]} == {later}


def test_a_stopping_server_answers_those_who_wait(start_server, workflows):
    """Long polls, worker polls, sockets and streams end at once; what was acknowledged is there after the start."""
    live = start_server()
    with httpx.Client(base_url=live.url, timeout=30) as client:
        client.post("/workflows", json=workflows["count"])
        job_id = client.post("/jobs", json={"workflow": "count", "params": {"text": "x"}}).json()["job_id"]
        hello = {"protocol": 1, "session_id": "s" * 20, "worker": "w", "tasks": [{"name": "other"}]}
        client.post("/worker/hello", json=hello)
        answers = {}

        def ask(name, method, path, **options):
            with httpx.Client(base_url=live.url, timeout=30) as own:
                answers[name] = own.request(method, path, **options).status_code

        poll = {"session_id": "s" * 20, "seq": 1, "free": 1}
        threads = [
            threading.Thread(target=ask, args=("wait", "GET", f"/jobs/{job_id}"), kwargs={"params": {"wait_s": 60}}),
            threading.Thread(
                target=ask,
                args=("submit", "POST", "/jobs"),
                kwargs={"params": {"wait_s": 60}, "json": {"workflow": "count", "params": {"text": "y"}}},
            ),
            threading.Thread(target=ask, args=("poll", "POST", "/worker/poll"), kwargs={"json": poll}),
            threading.Thread(target=ask, args=("stream", "GET", "/stream")),
        ]
        for thread in threads:
            thread.start()
        ws = connect(live.url.replace("http", "ws", 1) + "/ws", legacy=True)
        say(ws, subscribe=["jobs"])
        hear(ws)
        threading.Event().wait(0.5)
        live.stop()
        for thread in threads:
            thread.join(10)
    assert answers["wait"] == 200
    assert answers["submit"] == 201
    assert answers["poll"] in (200, 503)
    assert answers["stream"] == 200
    again = start_server(live.data)
    assert httpx.get(f"{again.url}/jobs/{job_id}").json()["state"] == "queued"


@pytest.mark.slow
def test_a_reader_that_takes_nothing_is_disconnected(start_server, workflows):
    """Its socket is closed while the server goes on for all others; with its cursor it comes back (R2)."""
    live = start_server(send_timeout_s=0.5)
    with httpx.Client(base_url=live.url, timeout=60) as client:
        client.post("/workflows", json=workflows["count"])
        host, port = live.url.removeprefix("http://").split(":")
        lazy = socket_module.socket()
        lazy.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_RCVBUF, 4096)
        lazy.connect((host, int(port)))
        lazy.sendall(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b" 101 " in lazy.recv(4096)
        text = b'{"subscribe": ["jobs"]}'
        lazy.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
        batch = {"jobs": [{"workflow": "count", "params": {"text": "x"}}] * 2500}
        for _ in range(14):
            assert client.post("/jobs/batch", json=batch).status_code == 201
            gauge = 'orpheus_streams_open{kind="ws"} 0.0'
            if gauge in client.get("/metrics").text:
                break
            threading.Event().wait(0.3)
        assert gauge in client.get("/metrics").text
        lazy.close()
