"""`GET /jobs/{id}/duplicates`: over HTTP, by the Python client and on the command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from orpheus.cli import duplicates
from orpheus.client import Client

HASHES = {"a": "00000000000000ff", "b": "00000000000000fe", "c": "ffffffffffffffff"}


@pytest.fixture(scope="module")
def jobs(client, live):
    """Jobs of the workflow `media` whose worker declares what their pictures look like."""
    from tests.api.conftest import HandWorker

    def look(worker, task, source, **_):
        letter = source["$file"]["name"][0]
        saved = worker.save(task, "thumbnails/160.webp", b"x", "image/webp")
        return {}, [{**saved, "metadata": {"phash": HASHES[letter]}}]

    worker = HandWorker(live.url, {"look": look}).start()
    found = {}
    for letter in HASHES:
        answer = client.post("/jobs", files={"file": (f"{letter}.png", b"x")})
        found[letter] = answer.json()["job_id"]
        job = client.get(f"/jobs/{found[letter]}?wait_s=20").json()
        assert job["state"] == "completed", job
    worker.stop()
    return found


def test_a_picture_that_looks_alike_is_found(client, jobs):
    answer = client.get(f"/jobs/{jobs['a']}/duplicates")
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["items"]
    assert item.pop("created_at").endswith("Z")
    assert item == {
        "job_id": jobs["b"],
        "workflow": "media",
        "artifact": "thumbnails/160.webp",
        "of": "thumbnails/160.webp",
        "phash": HASHES["b"],
        "distance": 1,
    }
    assert client.get(f"/jobs/{jobs['a']}/duplicates?distance=0").json()["items"] == []
    assert client.get(f"/jobs/{jobs['c']}/duplicates").json()["items"] == []


@pytest.mark.parametrize(("query", "code"), [("distance=12", 422), ("distance=-1", 422), ("limit=0", 422)])
def test_nonsense_is_refused(client, jobs, query, code):
    assert client.get(f"/jobs/{jobs['a']}/duplicates?{query}").status_code == code


def test_an_unknown_job_is_unknown(client):
    answer = client.get("/jobs/nobody/duplicates")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_job")


def test_the_client_and_the_command_line_tell_the_same(live, jobs):
    with Client(live.url) as client:
        (one,) = client.duplicates(jobs["a"])
    assert (one.job_id, one.distance) == (jobs["b"], 1)
    told = CliRunner().invoke(duplicates.app, [jobs["a"], "--server", live.url, "--json"])
    assert told.exit_code == 0, told.output
    assert [item["job_id"] for item in json.loads(told.stdout)["items"]] == [jobs["b"]]
    none = CliRunner().invoke(duplicates.app, [jobs["c"], "--server", live.url])
    assert none.exit_code == 0
