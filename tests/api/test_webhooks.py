"""Webhooks over HTTP: who is told what, signed how, tried again when, and what is refused (R28)."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from orpheus.core import webhooks as rules
from orpheus.testing.receiver import Receiver

TEXT = {"text": "one two two"}
COUNT = {
    "format": 1,
    "name": "count",
    "version": 1,
    "params": {"type": "object", "properties": {"text": {"type": "string"}}},
    "nodes": [{"name": "count", "kind": "task", "task": "count", "version": 1, "args": {"text": {"$param": "text"}}}],
    "output": {"$ref": "count"},
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver().start()
    yield made
    made.stop()


@pytest.fixture
def more_receivers() -> Iterator[Callable[[], Receiver]]:
    made: list[Receiver] = []

    def make() -> Receiver:
        made.append(Receiver().start())
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries within milliseconds."""
    monkeypatch.setattr(rules, "WAITS_S", (0.05, 0.05))


@pytest.fixture
def server(start_server: Callable[..., Any], hand_worker: Callable[..., Any]) -> Iterator[httpx.Client]:
    live = start_server(webhook_allow_private=True)
    with httpx.Client(base_url=live.url, timeout=30) as http:
        assert http.post("/workflows", json=COUNT).status_code == 201
        hand_worker(url=live.url).start()
        yield http


def submit(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = http.post("/jobs", json={"workflow": "count", "params": TEXT, **body})
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()
    return job


def subscribe(http: httpx.Client, receiver: Receiver, **body: Any) -> dict[str, Any]:
    answer = http.post("/webhooks", json={"url": f"{receiver.url}/hook", **body})
    assert answer.status_code == 201, answer.text
    webhook: dict[str, Any] = answer.json()
    return webhook


def deliveries(http: httpx.Client, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http.get("/webhooks/deliveries", params=query).json()["items"]
    return found


def settled(http: httpx.Client, count: int = 1, **query: str) -> list[dict[str, Any]]:
    until = time.monotonic() + 20
    while True:
        found = [each for each in deliveries(http, **query) if each["state"] != "pending"]
        if len(found) >= count:
            return found
        assert time.monotonic() < until, deliveries(http, **query)
        time.sleep(0.02)


def test_a_job_tells_its_own_url_of_its_end(server: httpx.Client, receiver: Receiver) -> None:
    """Signed with the server's secret, with the job, its result and where it came from."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    job = server.post(
        "/jobs",
        json={"workflow": "count", "params": TEXT, "webhook_url": f"{receiver.url}/done?token=s3cret"},
        headers={"x-correlation-id": "order-66", "traceparent": trace},
    ).json()
    [got] = receiver.wait()
    assert got.path == "/done?token=s3cret"
    secret = server.get("/webhooks/secret").json()
    assert secret["source"] == "generated"
    told = Webhook(secret["secret"]).verify(got.raw, got.headers)
    assert told["type"] == "job.completed"
    assert told["data"]["job_id"] == job["job_id"]
    assert told["data"]["state"] == "completed"
    assert told["data"]["params"] == TEXT
    assert told["data"]["result"] == {"words": 3}
    assert told["seq"] == 7
    assert told["timestamp"].endswith("Z")
    assert got.headers["x-correlation-id"] == "order-66"
    assert got.headers["traceparent"].split("-")[1] == trace.split("-")[1]
    assert got.headers["content-type"] == "application/json"
    [shown] = settled(server, job=job["job_id"])
    assert (shown["delivery_id"], shown["state"], shown["attempts"]) == (got.id, "delivered", 1)
    assert (shown["last_status"], shown["last_error"], shown["seq"]) == (204, None, 7)
    assert "s3cret" not in shown["url"]


def test_a_subscription_hears_what_it_asked_for(server: httpx.Client, receiver: Receiver) -> None:
    """Types and patterns, workflow and labels; nothing of other jobs."""
    webhook = subscribe(server, receiver, events=["job.*"], workflow="count", labels={"for": "me"})
    assert webhook["secret"].startswith("whsec_")
    submit(server)
    job = submit(server, labels={"for": "me", "and": "more"})
    settled(server, 4, webhook=webhook["webhook_id"])
    types = [got.body["type"] for got in sorted(receiver.wait(4), key=lambda got: got.body["seq"])]
    assert types == ["job.created", "job.queued", "job.started", "job.completed"]
    assert {got.body["data"]["job_id"] for got in receiver.got} == {job["job_id"]}
    for got in receiver.got:
        Webhook(webhook["secret"]).verify(got.raw, got.headers)
    assert len({got.id for got in receiver.got}) == len(receiver.got)


def test_events_of_tasks_name_the_task(server: httpx.Client, receiver: Receiver) -> None:
    subscribe(server, receiver, events=["task.completed"])
    submit(server)
    [got] = receiver.wait()
    assert (got.body["type"], got.body["task"]) == ("task.completed", "count")
    assert got.body["run_id"]


@pytest.mark.usefixtures("quick")
def test_a_call_that_fails_is_made_again_under_the_same_id(server: httpx.Client, receiver: Receiver) -> None:
    answers = iter([500, (302, {"location": f"{receiver.url}/elsewhere"}, b"moved"), 200])
    receiver.answer = lambda got: next(answers)
    submit(server, webhook_url=f"{receiver.url}/a")
    [shown] = settled(server)
    assert (shown["state"], shown["attempts"], shown["last_status"]) == ("delivered", 3, 200)
    assert len({got.id for got in receiver.got}) == 1
    assert {got.path for got in receiver.got} == {"/a"}, "redirects are not followed"
    assert len({got.raw for got in receiver.got}) == 1


@pytest.mark.usefixtures("quick")
def test_in_the_end_it_is_dead_and_can_be_sent_again_by_hand(server: httpx.Client, receiver: Receiver) -> None:
    receiver.answer = lambda got: (503, {}, b"<h1>sorry</h1>\x00")
    submit(server, webhook_url=f"{receiver.url}/a")
    [shown] = settled(server)
    assert (shown["state"], shown["attempts"], shown["next_at"]) == ("dead", 3, None)
    assert shown["last_error"] == "HTTP 503: <h1>sorry</h1>"
    receiver.answer = lambda got: 200
    again = server.post(f"/webhooks/deliveries/{shown['delivery_id']}/redeliver")
    assert again.status_code == 202, again.text
    until = time.monotonic() + 20
    while (shown := deliveries(server)[0])["state"] != "delivered":
        assert time.monotonic() < until
        time.sleep(0.02)
    assert shown["attempts"] == 4
    assert len({got.id for got in receiver.got}) == 1


def test_retry_after_is_kept(server: httpx.Client, receiver: Receiver) -> None:
    receiver.answer = lambda got: (429, {"retry-after": "3600"}, b"")
    submit(server, webhook_url=receiver.url)
    receiver.wait()
    until = time.monotonic() + 20
    while not (shown := deliveries(server)[0])["attempts"]:
        assert time.monotonic() < until
        time.sleep(0.02)
    waits_s = _at(shown["next_at"]) - _at(shown["last_at"])
    assert shown["state"] == "pending"
    assert waits_s == pytest.approx(3600, abs=2)


def test_gone_disables_the_subscription(server: httpx.Client, receiver: Receiver) -> None:
    webhook = subscribe(server, receiver)
    receiver.answer = lambda got: 410
    submit(server)
    [shown] = settled(server, webhook=webhook["webhook_id"])
    assert (shown["state"], shown["attempts"]) == ("dead", 1)
    now = server.get(f"/webhooks/{webhook['webhook_id']}").json()
    assert (now["enabled"], now["disabled_reason"]) == (False, "the receiver answered 410 Gone")
    assert server.post(f"/webhooks/deliveries/{shown['delivery_id']}/redeliver").status_code == 422
    assert server.post(f"/webhooks/{webhook['webhook_id']}/test").status_code == 422
    enabled = server.patch(f"/webhooks/{webhook['webhook_id']}", json={"enabled": True}).json()
    assert (enabled["enabled"], enabled["disabled_reason"]) == (True, "")


def test_a_dead_receiver_delays_nobody(
    server: httpx.Client, receiver: Receiver, more_receivers: Callable[[], Receiver]
) -> None:
    """Its calls hang; all others are told meanwhile."""
    stuck = more_receivers()
    stuck.answer = lambda got: (time.sleep(8), 200)[1]
    subscribe(server, stuck, events=["*"])
    subscribe(server, receiver)
    began = time.monotonic()
    for _ in range(10):
        submit(server)
    receiver.wait(10)
    assert time.monotonic() - began < 7


def test_a_secret_is_changed_without_a_gap(server: httpx.Client, receiver: Receiver) -> None:
    webhook = subscribe(server, receiver)
    path = f"/webhooks/{webhook['webhook_id']}"
    rotated = server.post(f"{path}/rotate", json={"keep_old_s": 3600}).json()
    assert rotated["secret"] != webhook["secret"]
    server.post(f"{path}/test")
    [got] = receiver.wait()
    assert got.body["type"] == "webhook.test"
    for secret in (webhook["secret"], rotated["secret"]):
        Webhook(secret).verify(got.raw, got.headers)
    mine = "whsec_" + base64.b64encode(b"x" * 32).decode()
    assert server.post(f"{path}/rotate", json={"secret": mine, "keep_old_s": 0}).json()["secret"] == mine
    server.post(f"{path}/test")
    got = receiver.wait(2)[1]
    Webhook(mine).verify(got.raw, got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(rotated["secret"]).verify(got.raw, got.headers)
    assert "secret" not in server.get(path).json()
    assert all("secret" not in each for each in server.get("/webhooks").json()["items"])


def test_what_is_deleted_is_told_nothing_more(server: httpx.Client, receiver: Receiver) -> None:
    receiver.answer = lambda got: 500
    webhook = subscribe(server, receiver)
    submit(server)
    receiver.wait()
    assert server.delete(f"/webhooks/{webhook['webhook_id']}").status_code == 204
    assert server.delete(f"/webhooks/{webhook['webhook_id']}").json()["code"] == "unknown_webhook"
    [shown] = settled(server)
    assert (shown["state"], shown["last_error"]) == ("dead", "the webhook was deleted")
    submit(server)
    assert len(deliveries(server)) == 1


def test_a_retry_tells_of_its_new_end_under_a_new_id(server: httpx.Client, receiver: Receiver) -> None:
    """What was told stays told (R20)."""
    job = submit(server, webhook_url=receiver.url)
    receiver.wait()
    server.post(f"/jobs/{job['job_id']}/retry", json={"from_task": "count"})
    first, second = receiver.wait(2)
    assert first.id != second.id
    assert [got.body["data"]["generation"] for got in (first, second)] == [1, 2]


def test_lists_are_paged(server: httpx.Client, receiver: Receiver) -> None:
    webhook = subscribe(server, receiver, events=["job.created"])
    for _ in range(3):
        submit(server)
    settled(server, 3)
    page = server.get("/webhooks/deliveries", params={"limit": 2, "webhook": webhook["webhook_id"]}).json()
    rest = server.get("/webhooks/deliveries", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    ids = [each["delivery_id"] for each in page["items"] + rest["items"]]
    assert len(set(ids)) == 3
    assert ids == sorted(ids, reverse=True)
    assert deliveries(server, state="dead") == []
    assert server.get(f"/webhooks/deliveries/{ids[0]}").json()["delivery_id"] == ids[0]
    assert server.get("/webhooks/deliveries/nothing").json()["code"] == "unknown_delivery"


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        ({"url": "ftp://example.com"}, "invalid_request", "/url"),
        ({"url": "https://user:pass@example.com/"}, "invalid_request", "/url"),
        ({"url": "https://example.com", "events": ["job.complete"]}, "invalid_request", "/events/0"),
        ({"url": "https://example.com", "events": []}, "invalid_request", "/events"),
        ({"url": "https://example.com", "secret": "whsec_c2hvcnQ="}, "invalid_request", "/secret"),
        ({"url": "http://127.0.0.1/hook"}, "private_address", "/url"),
        ({"url": "http://[::ffff:10.0.0.1]/hook"}, "private_address", "/url"),
        ({"url": "http://localhost:9/hook"}, "private_address", "/url"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "private_address", "/url"),
        ({"url": "http://2130706433/"}, "private_address", "/url"),
    ],
)
def test_what_is_refused(client: httpx.Client, body: dict[str, Any], code: str, path: str) -> None:
    answer = client.post("/webhooks", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == code
    assert answer.json()["details"][0]["path"] == path


def test_a_job_with_a_private_url_is_refused(client: httpx.Client) -> None:
    answer = client.post("/jobs", json={"workflow": "count", "params": TEXT, "webhook_url": "http://10.1.2.3/x"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "private_address"
    assert answer.json()["details"][0]["path"] == "/webhook_url"


def _at(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
