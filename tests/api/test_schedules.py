"""Schedules over HTTP, client and command line, against a real server (R27)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid

import pytest

from orpheus.client import Client

JOB = {"workflow": "count", "params": {"text": "a b"}}


@pytest.fixture
def name():
    return f"s-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def create(client, name):
    made = []

    def make(status=201, **body):
        body = {"name": name, "job": JOB, **body}
        if "every_s" not in body:
            body.setdefault("cron", "0 3 * * *")
        answer = client.post("/schedules", json=body)
        assert answer.status_code == status, answer.text
        made.append(body["name"])
        return answer

    yield make
    for each in made:
        client.delete(f"/schedules/{each}")


def fired(client, name, count=1):
    """Wait for a schedule's firings."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        firings = client.get(f"/schedules/{name}").json()["firings"]
        if len(firings) >= count:
            return firings
        time.sleep(0.05)
    raise AssertionError(f"{name} did not fire {count} times")


def test_a_schedule_is_made_shown_and_deleted(client, create, name):
    """With its next runs in the time zone; the same again is the same one."""
    answer = create(timezone="Europe/Berlin", description="at night")
    shown = answer.json()
    assert answer.headers["location"] == f"/schedules/{name}"
    assert shown["created_by"] and shown["job"]["workflow"] == "count" and shown["next_run_at"] == shown["next_runs"][0]
    assert len(shown["next_runs"]) == 5 and {at[11:16] for at in shown["next_runs"]} <= {"01:00", "02:00"}
    assert (
        create(status=200, timezone="Europe/Berlin", description="at night").json()["created_at"] == shown["created_at"]
    )
    assert create(status=409).json()["code"] == "schedule_conflict"
    assert len(client.get(f"/schedules/{name}?next=100").json()["next_runs"]) == 100
    assert name in [each["name"] for each in client.get("/schedules").json()["items"]]
    assert client.delete(f"/schedules/{name}").status_code == 204
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/run"),
        ("POST", "/pause"),
        ("GET", "/firings"),
    ):
        answer = client.request(method, f"/schedules/{name}{path}", json={} if method == "PATCH" else None)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_schedule"), (method, path)


def test_lists_come_in_pages(client, create, name):
    """By name, each once."""
    names = [f"{name}-{n}" for n in range(5)]
    for each in names:
        create(name=each)
    found, cursor = [], None
    while True:
        query = {"limit": 2, "tenant": "default", **({"cursor": cursor} if cursor else {})}
        page = client.get("/schedules", params=query).json()
        found += [each["name"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [each for each in found if each in names] == names


def test_time_makes_jobs(client, create, name, hand_worker):
    """Which show their schedule and the time they stand for."""
    hand_worker().start()
    create(every_s=1.0, overlap="allow")
    firing = fired(client, name, 2)[-1]
    assert (firing["trigger"], firing["outcome"]) == ("time", "submitted")
    job = client.get(f"/jobs/{firing['job_id']}", params={"wait_s": 20}).json()
    assert job["state"] == "completed" and job["schedule"] == name and job["labels"] == {"schedule": name}
    assert job["scheduled_for"] == firing["scheduled_for"]
    assert client.get(f"/jobs/{job['job_id']}/events").json()["items"][0]["actor"] == f"schedule:{name}"
    page = client.get(f"/schedules/{name}/firings", params={"limit": 1}).json()
    older = client.get(f"/schedules/{name}/firings", params={"limit": 1, "cursor": page["next_cursor"]}).json()
    assert page["items"][0]["scheduled_for"] > older["items"][0]["scheduled_for"]


def test_run_now_and_pause(client, create, name):
    """A manual run makes a job now; the overlap rule holds for it too."""
    create(paused=True)
    assert client.get(f"/schedules/{name}").json()["next_runs"] == []
    answer = client.post(f"/schedules/{name}/run")
    assert answer.status_code == 201 and answer.json()["trigger"] == "manual"
    again = client.post(f"/schedules/{name}/run")
    assert again.status_code == 200 and answer.json()["job_id"] in again.json()["reason"]
    resumed = client.post(f"/schedules/{name}/resume").json()
    assert not resumed["paused"] and resumed["next_run_at"]
    assert client.post(f"/schedules/{name}/pause").json()["next_run_at"] is None


def test_changes(client, create, name):
    """What is left out stays; cron and every_s take each other's place."""
    create(overlap="queue")
    changed = client.patch(f"/schedules/{name}", json={"every_s": 600, "description": "often"}).json()
    assert (changed["cron"], changed["every_s"], changed["overlap"]) == (None, 600, "queue")
    changed = client.patch(f"/schedules/{name}", json={"job": {"workflow": "count", "params": {"text": "x"}}}).json()
    assert changed["job"]["params"] == {"text": "x"} and changed["every_s"] == 600
    changed = client.patch(f"/schedules/{name}", json={"end_at": "2001-01-01T00:00:00Z"}).json()
    assert changed["next_run_at"] is None and not changed["paused"]
    assert client.patch(f"/schedules/{name}", json={"end_at": None}).json()["next_run_at"]


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"cron": "0 25 * * *"}, "invalid_params", "/cron"),
        ({"timezone": "Mars/Olympus"}, "invalid_params", "/timezone"),
        ({"job": {"workflow": "count", "params": {}}}, "invalid_params", "/job/params/text"),
        ({"job": {"workflow": "cuont"}}, "unknown_workflow", "/job/workflow"),
        ({"job": {**JOB, "delay_s": 5}}, "invalid_params", "/job/delay_s"),
        ({"job": {**JOB, "idempotency_key": "k"}}, "invalid_request", "/job/idempotency_key"),
        ({"overlap": "never"}, "invalid_request", "/overlap"),
        ({"every_s": 0.1}, "invalid_request", "/every_s"),
        ({"evry_s": 5}, "invalid_request", "/evry_s"),
        ({"start_at": "tomorrow"}, "invalid_request", "/start_at"),
    ],
)
def test_what_is_wrong_is_named(client, name, change, code, path):
    """With code and JSON Pointer, and nothing is made."""
    body = {
        "name": name,
        "job": JOB,
        **({} if "every_s" in change or "cron" in change else {"cron": "@daily"}),
        **change,
    }
    answer = client.post("/schedules", json=body)
    assert answer.status_code in (404, 422), answer.text
    assert (answer.json()["code"], answer.json()["details"][0]["path"]) == (code, path)
    assert client.get(f"/schedules/{name}").status_code == 404


def test_tenants_have_names_of_their_own(client, create, name):
    """The job says whose schedule it is."""
    create()
    create(job={**JOB, "tenant": "acme"}, every_s=60)
    assert client.get(f"/schedules/{name}", params={"tenant": "acme"}).json()["every_s"] == 60
    assert client.get(f"/schedules/{name}").json()["cron"] == "0 3 * * *"
    assert client.patch(f"/schedules/{name}", json={"job": {**JOB, "tenant": "acme"}}).status_code == 422
    assert client.delete(f"/schedules/{name}", params={"tenant": "acme"}).status_code == 204


def test_the_client_has_a_method_for_each(live, name):
    """Sync here; the asynchronous one runs the same operations."""
    with Client(live.url) as orpheus:
        made = orpheus.create_schedule(name, {"workflow": "count", "params": {"text": "x"}}, cron="@hourly")
        assert (
            orpheus.create_schedule(name, JOB | {"params": {"text": "x"}}, cron="@hourly").created_at == made.created_at
        )
        assert orpheus.change_schedule(name, timezone="Asia/Tokyo").timezone == "Asia/Tokyo"
        assert orpheus.pause_schedule(name).paused and not orpheus.resume_schedule(name).paused
        firing = orpheus.run_schedule(name)
        assert firing.job_id and orpheus.get(firing.job_id).schedule == name
        assert [each.job_id for each in orpheus.firings(name)] == [firing.job_id]
        assert len(orpheus.schedule(name, upcoming=3).next_runs) == 3
        assert name in [each.name for each in orpheus.schedules()]
        orpheus.delete_schedule(name)


def test_the_command_line_has_a_command_for_each(live, name):
    """Made, listed, shown, run, paused, resumed, deleted."""

    def orpheus(*argv, status=0):
        command = [sys.executable, "-m", "orpheus.cli", "schedules", *argv, "--server", live.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, done.stderr
        return done.stdout

    made = orpheus("create", name, "count", "-p", "text=hi", "--cron", "0 3 * * 1-5", "--overlap", "queue", "--json")
    assert json.loads(made)["overlap"] == "queue"
    assert f"{name}\t0 3 * * 1-5 (UTC)\tcount" in orpheus("list")
    job_id = orpheus("run", name).strip()
    shown = orpheus("show", name, "--next", "2")
    assert job_id in shown and "manual" in shown
    assert "paused" in orpheus("pause", name) and "next runs" in orpheus("resume", name)
    orpheus("delete", name)
    orpheus("show", name, status=4)
    orpheus("create", name, "count", status=2)


def test_who_did_what_is_kept(client, create, name):
    """In the audit trail, in the order in which it was done."""
    create()
    client.patch(f"/schedules/{name}", json={"overlap": "queue"})
    client.post(f"/schedules/{name}/pause")
    client.post(f"/schedules/{name}/run")
    client.delete(f"/schedules/{name}")
    kinds = [each["type"] for each in client.get("/audit?limit=1000").json()["items"] if each["subject"] == name]
    told = ["schedule.created", "schedule.updated", "schedule.updated", "schedule.run", "schedule.deleted"]
    assert kinds in (told, told[::-1])
