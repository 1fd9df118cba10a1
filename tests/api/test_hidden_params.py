"""`***` is what a sensitive param looks like, never what it is: it cannot come back as a value."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

SECRET = {"type": "string", "x-orpheus": "sensitive"}


@pytest.fixture
def signed(client: httpx.Client) -> str:
    """Publish a workflow with sensitive params, at the top and further in, and return its name."""
    name = f"s{uuid.uuid4().hex[:12]}"
    params = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "key": SECRET,
            "login": {"type": "object", "properties": {"user": {"type": "string"}, "word": SECRET}},
            "spare": {"type": "array", "items": SECRET},
        },
        "required": ["text", "key"],
        "additionalProperties": False,
    }
    args = {each: {"$param": each} for each in ("text", "key", "login", "spare")}
    node = {"name": "sign", "kind": "task", "task": name, "version": 1, "args": args}
    definition = {
        "format": 1,
        "name": name,
        "version": 1,
        "params": params,
        "nodes": [node],
        "output": {"$ref": "sign"},
    }
    answer = client.post("/workflows", json=definition)
    assert answer.status_code == 201, answer.text
    return name


PARAMS = {"text": "a", "key": "hunter2", "login": {"user": "me", "word": "swordfish"}, "spare": ["one", "two"]}


def test_params_copied_from_a_shown_job_keep_what_was_hidden_in_them(
    client: httpx.Client, signed: str, hand_worker: Any, wait_end: Any
) -> None:
    """An approval with edited params: what reads `***` stays as it was stored, what was changed is changed."""
    job = client.post("/jobs", json={"workflow": signed, "params": PARAMS, "requires_approval": True}).json()
    edited = {**job["params"], "text": "b"}
    assert (edited["key"], edited["login"]["word"], edited["spare"]) == ("***", "***", ["***", "***"])
    edited["spare"][0] = "new"
    answer = client.post(f"/jobs/{job['job_id']}/approve", json={"params": edited})
    assert answer.status_code == 200, answer.text
    seen: list[dict[str, Any]] = []

    def sign(_worker: Any, _task: Any, **args: Any) -> tuple[Any, list[Any]]:
        seen.append(args)
        return None, []

    hand_worker({signed: sign}).start()
    assert wait_end(job["job_id"])["state"] == "completed"
    assert seen == [{**PARAMS, "text": "b", "spare": ["new", "two"]}]


def test_the_mark_is_refused_where_nothing_is_stored(client: httpx.Client, signed: str) -> None:
    """A new job has nothing to put in its place, nor has an approval that lengthens a list."""
    for params, path in (
        ({"text": "a", "key": "***"}, "/params/key"),
        ({"text": "a", "key": "k", "login": {"word": "***"}}, "/params/login/word"),
    ):
        answer = client.post("/jobs", json={"workflow": signed, "params": params})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_params"), answer.text
        assert answer.json()["details"][0]["path"] == path
    job = client.post("/jobs", json={"workflow": signed, "params": PARAMS, "requires_approval": True}).json()
    longer = {**PARAMS, "spare": ["***", "***", "***"]}
    answer = client.post(f"/jobs/{job['job_id']}/approve", json={"params": longer})
    assert (answer.status_code, answer.json()["details"][0]["path"]) == (422, "/params/spare/2"), answer.text


def test_the_mark_is_an_ordinary_text_elsewhere(client: httpx.Client, signed: str) -> None:
    """Three stars in a param that is not sensitive are three stars."""
    answer = client.post("/jobs", json={"workflow": signed, "params": {"text": "***", "key": "k"}})
    assert (answer.status_code, answer.json()["params"]["text"]) == (201, "***"), answer.text


def test_an_approval_may_keep_the_file_and_edit_the_rest(client: httpx.Client) -> None:
    """A file copied from the shown job stays; any other `$file` is refused, as it could be another tenant's."""
    name = f"f{uuid.uuid4().hex[:12]}"
    definition = {
        "format": 1,
        "name": name,
        "version": 1,
        "params": {
            "type": "object",
            "properties": {"source": {"type": "object", "x-orpheus": "file"}, "text": {"type": "string"}},
            "required": ["source", "text"],
            "additionalProperties": False,
        },
        "nodes": [
            {"name": "look", "kind": "task", "task": name, "version": 1, "args": {"source": {"$param": "source"}}}
        ],
        "output": None,
    }
    assert client.post("/workflows", json=definition).status_code == 201
    file_id = client.post("/files", content=b"abc", params={"name": "a.txt"}).json()["file_id"]
    params = {"source": {"file_id": file_id}, "text": "a"}
    job = client.post("/jobs", json={"workflow": name, "params": params, "requires_approval": True}).json()
    where = f"/jobs/{job['job_id']}"
    shown = client.get(where).json()["params"]
    foreign = {**shown, "source": {"$file": {**shown["source"]["$file"], "key": "dev/other/.files/x/content"}}}
    refused = client.post(f"{where}/approve", json={"params": foreign})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_params")
    answer = client.post(f"{where}/approve", json={"params": {**shown, "text": "b"}})
    assert answer.status_code == 200, answer.text
    assert client.get(where).json()["params"] == {**shown, "text": "b"}


def test_every_job_of_a_batch_is_shown_without_them(client: httpx.Client, signed: str) -> None:
    """The second and third too, which are shown like the first."""
    jobs = [{"workflow": signed, "params": {**PARAMS, "text": text}} for text in ("a", "b")]
    jobs.append({"workflow": signed, "params": {"text": "c", "key": "flat"}})
    shown = client.post("/jobs/batch", json={"jobs": jobs}).json()["items"]
    assert [job["params"]["text"] for job in shown] == ["a", "b", "c"]
    assert [job["params"]["key"] for job in shown] == ["***"] * 3
    assert [job["params"].get("login", {}).get("word") for job in shown] == ["***", "***", None]
    for job in shown:
        assert client.get(f"/jobs/{job['job_id']}").json()["params"] == job["params"]
