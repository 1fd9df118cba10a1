"""R22: signals and callbacks, from outside into a running job."""

from __future__ import annotations

import hashlib
import hmac

import pytest


def token_of(run):
    """Derive the token of a callback as docs/worker-protocol.md tells a worker to."""
    proof = hmac.new(run["run_token"].encode(), b"callback", hashlib.sha256).hexdigest()
    return f"{run['run_id']}.{proof}"


def waiting(hand, run, timeout_s=60, **item):
    return hand.report({"run_id": run["run_id"], "kind": "waiting", "timeout_s": timeout_s, **item})[0]


def gate(name="gate", signal="go", **node):
    return {"name": name, "kind": "wait_for", "signal": signal, **node}


# Signals


def test_signals_early_late_twice_and_unknown(server, worker, kit):
    """Buffered before the node asks, first in first out, once per `signal_id`; other names are `unknown_signal`."""
    name = kit.unique()
    hand = worker(name)
    whole = kit.graph(
        kit.node("a", name),
        gate("one", after=["a"]),
        gate("two", after=["one"]),
        output=[{"$ref": "one"}, {"$ref": "two"}],
    )
    job = server.submit(whole)["job_id"]
    path = f"/jobs/{job}/signals/go"
    run = hand.take_one()
    server.post(path, {"payload": {"n": 1}, "signal_id": "s-1"})
    server.post(path, {"payload": {"n": 9}, "signal_id": "s-1"})
    hand.complete(run)
    assert server.reason(job, "event")["since"]
    assert server.task(job, "one")["result"] == {"n": 1}
    unknown = server.post(f"/jobs/{job}/signals/og", {}, status=404)
    assert unknown["code"] == "unknown_signal" and "go" in unknown["hint"]
    server.post(path, {"payload": 2})
    assert server.ended(job, "completed")["result"] == [{"n": 1}, 2]
    assert server.types(job).count("signal.received") == 2
    server.post(path, {"payload": {"n": 1}, "signal_id": "s-1"})
    assert server.post(path, {"payload": 3}, status=409)["code"] == "invalid_transition"


def test_a_payload_is_checked(server, kit):
    """Against the type the node waits for; what only we may say is refused."""
    whole = kit.graph(gate(type_schema={"type": "object", "properties": {"n": {"type": "integer"}}}))
    job = server.submit(whole)["job_id"]
    for payload, place in ({"n": "x"}, "/payload/n"), ({"m": {"$spill": {"key": "k"}}}, "/payload/m"):
        refused = server.post(f"/jobs/{job}/signals/go", {"payload": payload}, status=422)
        assert (refused["code"], refused["details"][0]["path"]) == ("invalid_params", place)
    server.post(f"/jobs/{job}/signals/go", {"payload": {"n": 1}})
    server.ended(job, "completed")


def test_a_wait_for_has_an_end(server, kit):
    job = server.submit(kit.graph(gate(timeout_s=0.2)))["job_id"]
    assert server.ended(job, "failed")["error"]["code"] == "timeout_signal"


def test_a_signal_survives_a_crash(kit, tmp_path):
    """An acknowledged signal that nobody has taken is in the file."""
    server = kit.make_server(tmp_path).start()
    try:
        name = kit.unique()
        job = server.submit(kit.graph(kit.node("a", name), gate(after=["a"]), output={"$ref": "gate"}))["job_id"]
        server.post(f"/jobs/{job}/signals/go", {"payload": "kept", "signal_id": "s"})
        server.kill()
        server.start()
        server.post(f"/jobs/{job}/signals/go", {"payload": "again", "signal_id": "s"})
        hand = kit.RawWorker(server, name)
        hand.complete(hand.take_one())
        assert server.ended(job, "completed")["result"] == "kept"
    finally:
        server.stop()


# Callbacks


@pytest.fixture
def handed(server, worker, kit):
    """Submit a one-task job and claim it; return the job's id, the worker and the run."""

    def submit(**node):
        name = kit.unique()
        hand = worker(name)
        job = server.submit(kit.graph(kit.node("ask", name, **node), output={"$ref": "ask"}))["job_id"]
        return job, hand, hand.take_one()

    return submit


def test_a_callback_brings_the_result_and_a_repeat_gets_the_first_answer(server, handed):
    """`waiting` gives the slot back; the same token again gets the same answer, whatever it brings."""
    job, hand, run = handed(type_schema={"type": "object"})
    assert waiting(hand, run)["ok"]
    task = server.task(job, "ask")
    assert (task["state"], task["waiting_for"][0]["reason"]) == ("waiting", "callback")
    assert server.reason(job, "callback")
    path = f"/callbacks/{token_of(run)}"
    refused = server.post(path, {"result": 1}, status=422)
    assert (refused["code"], refused["details"][0]["path"]) == ("invalid_params", "/result")
    first = server.post(path, {"result": {"n": 1}})
    assert (first["job_id"], first["task"], first["run_id"]) == (job, "ask", run["run_id"])
    assert server.post(path, {"result": {"n": 2}}) == first
    assert server.post(path, {"error": {"message": "no"}}) == first
    assert server.ended(job, "completed")["result"] == {"n": 1}
    assert server.post(path, {"result": {"n": 3}}) == first


def test_a_callback_may_come_before_the_worker_says_waiting(server, handed):
    job, hand, run = handed()
    server.post(f"/callbacks/{token_of(run)}", {"result": "fast"})
    assert server.task(job, "ask")["state"] == "running"
    assert waiting(hand, run)["ok"]
    assert server.ended(job, "completed")["result"] == "fast"


def test_a_slot_is_free_while_a_task_waits(server, worker, kit):
    """R25: with a queue of one, the next task runs while the first waits."""
    name, queue = kit.unique(), kit.unique()
    hand = worker(name)
    whole = kit.graph(kit.node("a", name, queue=queue, concurrency_key="k", concurrency_limit=1))
    jobs = [server.submit(whole)["job_id"] for _ in range(2)]
    server.http.patch(f"/queues/{queue}", json={"concurrency": 1})
    first = hand.take_one()
    hand.nothing()
    waiting(hand, first)
    second = hand.take_one()
    hand.complete(second)
    server.post(f"/callbacks/{token_of(first)}", {"result": 1})
    for job in jobs:
        server.ended(job, "completed")


def test_errors_retry_with_another_token_or_are_final(server, handed, worker):
    job, hand, run = handed(retry={"initial_s": 0, "jitter": 0})
    waiting(hand, run)
    server.post(f"/callbacks/{token_of(run)}", {"error": {"message": "busy"}})
    second = hand.take_one()
    assert (second["attempt"], token_of(second) == token_of(run)) == (2, False)
    waiting(hand, second)
    server.post(f"/callbacks/{token_of(second)}", {"error": {"message": "never", "final": True}})
    ended = server.ended(job, "failed")
    assert (ended["error"]["code"], ended["error"]["message"]) == ("task_failed", "never")


def test_a_callback_that_never_comes(server, handed):
    job, hand, run = handed(retry={"max_retries": 0})
    waiting(hand, run, timeout_s=0.2)
    assert server.ended(job, "failed")["error"]["code"] == "timeout_callback"
    assert server.post(f"/callbacks/{token_of(run)}", {"result": 1}, status=409)["code"] == "stale_run"
    attempts = server.task(job, "ask")["attempts"]
    assert [each["outcome"] for each in attempts] == ["timed_out"]


def test_tokens_are_fenced_and_cannot_be_guessed(server, handed):
    """A cancelled run's token is stale; altered ones were never made; both keys or none is no callback."""
    job, hand, run = handed()
    waiting(hand, run)
    path = f"/callbacks/{token_of(run)}"
    assert server.post(path[:-1] + ("0" if path[-1] != "0" else "1"), {"result": 1}, status=404)["code"] == (
        "unknown_callback"
    )
    assert server.post(f"/callbacks/{run['run_id']}.{run['run_token']}", {"result": 1}, status=404)
    for body in ({}, {"result": 1, "error": {"message": "x"}}):
        assert server.post(path, body, status=422)["code"] == "invalid_request"
    server.http.delete(f"/jobs/{job}")
    server.ended(job, "cancelled")
    assert server.post(path, {"result": 1}, status=409)["code"] == "stale_run"
    assert not waiting(hand, run)["ok"]


def test_a_wait_without_an_end_is_refused(server, handed):
    job, hand, run = handed()
    for timeout_s in (None, 0, -1, 1e300):
        assert waiting(hand, run, timeout_s=timeout_s)["code"] == "invalid_request"
    server.http.delete(f"/jobs/{job}")


def test_files_saved_before_the_wait_are_the_jobs(server, handed):
    """R10: they belong to the result, and appear with it."""
    job, hand, run = handed()
    saved = hand.upload(run, "request.txt", b"please")
    waiting(hand, run, artifacts=[saved])
    assert server.get(f"/jobs/{job}/artifacts")["items"] == []
    server.post(f"/callbacks/{token_of(run)}", {"result": 1})
    server.ended(job, "completed")
    assert server.http.get(f"/jobs/{job}/artifacts/request.txt").content == b"please"


def test_a_lost_worker_and_a_crash_change_nothing(kit, tmp_path):
    """Once `waiting` is acknowledged nobody needs the worker; the token is good after a restart, and no copy of the
    database holds what it is made from."""
    server = kit.make_server(tmp_path, lease_s=1).start()
    try:
        name = kit.unique()
        hand = kit.RawWorker(server, name)
        job = server.submit(kit.graph(kit.node("ask", name), output={"$ref": "ask"}))["job_id"]
        run = hand.take_one()
        waiting(hand, run)
        server.kill()
        server.start()
        kit.RawWorker(server, name).nothing(1.5)
        assert server.task(job, "ask")["state"] == "waiting"
        key = (tmp_path / "data" / "run.key").read_text().strip()
        for part in (tmp_path / "data").glob("*.db*"):
            assert key.encode() not in part.read_bytes() and token_of(run).encode() not in part.read_bytes()
        server.post(f"/callbacks/{token_of(run)}", {"result": "late"})
        assert server.ended(job, "completed")["result"] == "late"
    finally:
        server.stop()
