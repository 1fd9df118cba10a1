"""R28: webhooks are told at least once, under a stable id, however the server ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from standardwebhooks import Webhook

from orpheus.testing.receiver import Got, Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = {"webhook_allow_private": "true", "webhook_secret": SECRET}


@pytest.fixture
def flow(server: Any, kit: Any) -> str:
    definition = kit.graph(kit.node("work"), output={"$ref": "work"})
    server.post("/workflows", definition, status=201)
    name: str = definition["name"]
    return name


def test_a_server_that_is_killed_between_commit_and_answer_tells_again(
    server: Any, worker: Any, kit: Any, flow: str
) -> None:
    """The call hangs, the server dies, the next one calls again: same id, same body, and it is delivered once at last."""
    release = threading.Event()

    def answer(got: Got) -> int:
        if len(receiver.got) == 1:
            release.wait(30)
        return 204

    with Receiver(answer) as receiver:
        job = server.submit(flow, webhook_url=f"{receiver.url}/end")
        by_hand = worker("work")
        by_hand.complete(by_hand.take_one(), {"n": 1})
        receiver.wait(1)
        server.kill()
        release.set()
        server.start()
        first, second = receiver.wait(2)[:2]
        assert first.id == second.id
        assert first.body["data"]["job_id"] == job["job_id"]
        told = Webhook(SECRET).verify(second.raw, dict(second.headers))
        assert told["type"] == "job.completed"
        assert told["data"]["result"] == {"n": 1}

        def shown() -> Any:
            found = server.get("/webhooks/deliveries", job=job["job_id"])["items"]
            return found if [each["state"] for each in found] == ["delivered"] else None

        [delivery] = kit.until(shown)
        assert delivery["delivery_id"] == first.id
    assert server.get("/webhooks/secret") == {"source": "setting", "secret": None}
    assert SECRET not in server.log


def test_a_job_that_was_never_committed_is_never_told_of(server: Any, flow: str) -> None:
    """A batch that is refused creates no job, and so no delivery."""
    before = len(server.get("/webhooks/deliveries")["items"])
    answer = server.http.post(
        "/jobs/batch",
        json={
            "jobs": [
                {"workflow": flow, "webhook_url": "http://127.0.0.1:9/x"},
                {"workflow": "nobody knows", "webhook_url": "http://127.0.0.1:9/x"},
            ]
        },
    )
    assert answer.status_code == 404
    assert len(server.get("/webhooks/deliveries")["items"]) == before


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_bad_ends_are_told_too(server: Any, worker: Any, flow: str, end: str) -> None:
    with Receiver() as receiver:
        job = server.submit(flow, webhook_url=receiver.url)
        if end == "cancelled":
            server.post(f"/jobs/{job['job_id']}/cancel", {"reason": "enough"}, status=200)
        else:
            by_hand = worker("work")
            by_hand.fail(by_hand.take_one(), final=True)
        [got] = receiver.wait(1)
    assert (got.body["type"], got.body["data"]["state"]) == (f"job.{end}", end)
    assert got.body["data"]["error"]["code"]
    assert got.body["data"]["result"] is None
