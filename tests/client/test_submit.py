"""Submitting: bodies, keys, uploads, batches, and what happens when the answer gets lost."""

from __future__ import annotations

import io
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orpheus.client import (
    Client,
    ConnectionLost,
    Invalid,
    InvalidInput,
    JobFailed,
    OrpheusHTTPError,
    Unavailable,
    WaitTimeout,
)
from orpheus.client.address import Address
from orpheus.client.jobs import new_key
from orpheus.client.requests import encode


def test_a_job_is_sent_with_a_key_and_comes_back_typed(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """`submit` sends what was given, adds a key, and returns a `JobInfo`."""
    scripted.on("POST", "/jobs", answer(201, job("j7")))
    done = both("submit", "wordcount", {"text": "a b"}, priority=1, labels={"team": "x"})
    body = scripted.asked[0].json()
    assert done.job_id == "j7"
    assert body["workflow"] == "wordcount"
    assert body["params"] == {"text": "a b"}
    assert body["priority"] == 1
    assert body["labels"] == {"team": "x"}
    assert body["idempotency_key"].startswith("auto-")


def test_keys_made_one_after_the_other_are_neighbours_and_differ() -> None:
    """They are entered in an index; random ones would each change another page of it."""
    begin = time.time_ns() // 1_000_000
    keys = [new_key() for _ in range(100)]
    end = time.time_ns() // 1_000_000
    assert len(set(keys)) == 100
    assert all(begin <= int(key.removeprefix("auto-")[:12], 16) <= end for key in keys)
    assert {len(key) for key in keys} == {len("auto-") + 32}


def test_a_lost_answer_is_asked_for_again_with_the_same_key(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """The server hangs up after the first try; the second carries the same key, so nothing is doubled."""
    scripted.on("POST", "/jobs", answer(hang_up=True), answer(200, job()))
    assert both("submit", "wordcount", {"text": "a"}).job_id == "j1"
    first, second = (one.json()["idempotency_key"] for one in scripted.asked)
    assert first == second


def test_run_submits_waits_and_returns_the_result(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """One request for a short job; a lost answer is asked for again with the same key; a long job is waited for further."""
    done = job("j1", "completed", result={"words": 2})
    scripted.on("POST", "/jobs", answer(hang_up=True), answer(200, done))
    assert both("run", "wordcount", {"text": "a b"}, wait_s=9, priority=1) == {"words": 2}
    first, second = scripted.asked
    assert first.json() == second.json() and first.json()["priority"] == 1
    assert 8 < float(dict(second.query)["wait_s"]) <= 9

    scripted.scripts.clear()
    scripted.on("POST", "/jobs", answer(201, job("j2", "running")))
    scripted.on("GET", "/jobs/j2", answer(200, job("j2", "running")), answer(200, job("j2", "completed", result=7)))
    assert both("run", "wordcount") == 7


def test_run_raises_what_became_of_the_job(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """Failed, or not ended in time: then the error says which job goes on."""
    error = {"code": "task_failed", "message": "no speech"}
    scripted.on("POST", "/jobs", answer(201, job("j1", "failed", error=error)))
    with pytest.raises(JobFailed, match="no speech"):
        both("run", "wordcount")
    scripted.scripts.clear()
    scripted.on("POST", "/jobs", answer(201, job("j2", "running")))
    scripted.on("GET", "/jobs/j2", answer(200, job("j2", "running")))
    with pytest.raises(WaitTimeout, match="still running") as late:
        both("run", "wordcount", wait_s=0.05)
    assert late.value.job_id == "j2"


def test_a_retryable_refusal_is_repeated_a_final_one_is_not(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """503 with `retryable` leads to another try, 422 raises at once with what the envelope says."""
    busy = answer(503, {"code": "unavailable", "message": "stopping", "retryable": True}, {"retry-after": "0"})
    scripted.on("POST", "/jobs", busy, answer(201, job()))
    assert both("submit", "wordcount").job_id == "j1"
    assert len(scripted.asked) == 2

    scripted.scripts.clear()
    wrong = {
        "code": "invalid_params",
        "message": "text is missing",
        "hint": "say text",
        "correlation_id": "c9",
        "details": [{"path": "/params/text"}],
    }
    scripted.on("POST", "/jobs", answer(422, wrong))
    with pytest.raises(Invalid) as refused:
        both("submit", "wordcount")
    error = refused.value
    assert (error.code, error.message, error.hint) == ("invalid_params", "text is missing", "say text")
    assert error.correlation_id == "c9"
    assert error.details == [{"path": "/params/text"}]
    assert len(scripted.asked) == 3


def test_an_answer_that_is_not_ours_is_named_so(both: Any, scripted: Any, answer: Any) -> None:
    """Another program on the port gives `unexpected_reply`, not a decoding traceback."""
    scripted.on("POST", "/jobs", answer(200, b"<html>hello</html>"))
    with pytest.raises(OrpheusHTTPError) as refused:
        both("submit", "wordcount")
    assert refused.value.code == "unexpected_reply"
    scripted.scripts.clear()
    scripted.on("POST", "/jobs", answer(500, b"<html>oops</html>"))
    with pytest.raises(Unavailable) as broken:
        both("submit", "wordcount")
    assert "oops" in broken.value.message


def test_files_are_uploaded_and_named_by_id(both: Any, scripted: Any, answer: Any, job: Any, tmp_path: Path) -> None:
    """Paths and open files, also nested ones, are streamed first; the params carry their ids."""
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"jpeg" * 200_000)
    made = iter(range(10))
    scripted.on(
        "POST",
        "/files",
        lambda asked: answer(
            201,
            {
                "file_id": f"f{next(made)}",
                "name": "n",
                "size_bytes": len(asked.body),
                "sha256": "",
                "content_type": "x",
                "created_at": "",
            },
        ),
    )
    scripted.on("POST", "/jobs", answer(201, job()))
    both("submit", "media", {"source": photo, "more": [{"other": io.BytesIO(b"hello")}]})
    uploads = scripted.of("POST", "/files")
    assert [len(one.body) for one in uploads] == [800_000, 5]
    assert dict(uploads[0].query)["name"] == "photo.jpg"
    assert scripted.of("POST", "/jobs")[0].json()["params"] == {
        "source": {"file_id": "f0"},
        "more": [{"other": {"file_id": "f1"}}],
    }


def test_what_cannot_be_sent_is_refused_before_anything_is(both: Any, scripted: Any, tmp_path: Path) -> None:
    """A missing file, text files, naive instants and unknown options are named; the server hears nothing."""
    with pytest.raises(InvalidInput, match=r"no file .*nowhere\.mp4"):
        both("submit", "media", {"source": tmp_path / "nowhere.mp4"})
    (tmp_path / "a.txt").write_text("x")
    with (tmp_path / "a.txt").open() as text, pytest.raises(InvalidInput, match="'rb'"):
        both("submit", "media", {"source": text})
    with pytest.raises(InvalidInput, match="time zone"):
        both("submit", "media", run_at=datetime(2030, 1, 1))
    with pytest.raises(InvalidInput, match="no such option"):
        both("submit", "media", prioritty=1)
    with pytest.raises(InvalidInput, match="workflow is a name"):
        both("submit", 3)
    assert scripted.asked == []


def test_options_reach_the_wire(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """Instants become RFC 3339 UTC, dependencies keep their condition, a graph goes inline."""
    scripted.on("POST", "/jobs", answer(201, job()))
    graph = {"format": 1, "name": "g", "version": 1}
    both("submit", graph, run_at=datetime(2030, 1, 1, tzinfo=UTC), depends_on=["a", {"job": "b", "on": "end"}])
    body = scripted.asked[0].json()
    assert body["workflow"] == graph
    assert body["run_at"] == "2030-01-01T00:00:00+00:00"
    assert body["depends_on"] == ["a", {"job": "b", "on": "end"}]


@pytest.mark.parametrize("wrong", [5, ["a"], {"job": 5}, {"on": "end"}, None])
def test_what_is_no_dependency_is_refused_in_words(both: Any, scripted: Any, wrong: Any) -> None:
    with pytest.raises(InvalidInput, match=r"depends_on: .*neither a job's id"):
        both("submit", "one", depends_on=[wrong])
    assert scripted.asked == []


@dataclass
class Cut:
    start_s: float
    files: list[Path]


def test_a_dataclass_with_a_path_becomes_an_object_with_a_file(
    both: Any, scripted: Any, answer: Any, job: Any, tmp_path: Path
) -> None:
    """Typed params may hold paths as well."""
    file = tmp_path / "x.bin"
    file.write_bytes(b"1")
    info = {"file_id": "f", "name": "x", "size_bytes": 1, "sha256": "", "content_type": "", "created_at": ""}
    scripted.on("POST", "/files", answer(201, info))
    scripted.on("POST", "/jobs", answer(201, job()))
    both("submit", "cut", {"plan": Cut(1.5, [file])})
    assert scripted.of("POST", "/jobs")[0].json()["params"] == {"plan": {"start_s": 1.5, "files": [{"file_id": "f"}]}}


def test_many_jobs_go_in_batches_and_keep_their_order(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """25 jobs in batches of 10, from a generator; one batch is lost once and sent again with the same keys."""
    seen: list[list[str]] = []
    lost = [True]

    def batch(asked: Any) -> Any:
        jobs = asked.json()["jobs"]
        seen.append([one["idempotency_key"] for one in jobs])
        if len(jobs) == 5 and lost.pop() if lost else False:
            return answer(hang_up=True)
        return answer(201, {"items": [job(f"j{one['params']['n']}") for one in jobs]})

    scripted.on("POST", "/jobs/batch", batch)
    made = both("submit_many", ({"workflow": "w", "params": {"n": n}} for n in range(25)), batch=10, in_flight=2)
    assert [one.job_id for one in made] == [f"j{n}" for n in range(25)]
    keys = [key for keys in seen for key in keys]
    assert len(set(keys)) == 25
    assert sorted(map(len, seen)) == [5, 5, 10, 10]
    # Those of a batch stand side by side, so the server sees by one look that they are new.
    assert sorted(set(keys)) == [key for batch in sorted(set(map(tuple, seen))) for key in batch]


def test_large_batches_are_sent_in_parts(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """Twelve jobs of a megabyte each: no request is larger than a server takes, and the order stays."""

    def batch(asked: Any) -> Any:
        assert len(asked.body) < 5_000_000
        return answer(201, {"items": [job(f"j{one['params']['n']}") for one in asked.json()["jobs"]]})

    scripted.on("POST", "/jobs/batch", batch)
    made = both("submit_many", [{"workflow": "w", "params": {"n": n, "x": "x" * 1_000_000}} for n in range(12)])
    assert [one.job_id for one in made] == [f"j{n}" for n in range(12)]


def test_nobody_there_is_said_plainly(both: Any) -> None:
    """A closed port gives `ConnectionLost` with a hint after the patience is over."""
    both.url = "http://127.0.0.1:9"
    both.options["patience"] = both.options["patience"].__class__(reconnect_s=0.05, first_s=0.01)
    with pytest.raises(ConnectionLost, match="connection refused") as lost:
        both("get", "j1")
    assert not lost.value.sent
    assert "orpheus up" in lost.value.hint


def test_the_key_goes_along_and_is_not_shown(scripted: Any, answer: Any, job: Any, monkeypatch: Any) -> None:
    """ORPHEUS_API_KEY becomes a bearer token; reprs keep it to themselves."""
    monkeypatch.setenv("ORPHEUS_API_KEY", "s3cret")
    scripted.on("GET", "/jobs/j1", answer(200, job()))
    with Client(scripted.url, correlation_id="corr") as client:
        client.get("j1")
    assert scripted.asked[0].headers["authorization"] == "Bearer s3cret"
    assert scripted.asked[0].headers["x-correlation-id"] == "corr"
    assert "s3cret" not in repr(Address.of(None, None, None))


def test_bodies_are_json(scripted: Any) -> None:
    """What JSON has no word for is refused with its reason."""
    assert json.loads(encode({"a": 1})) == {"a": 1}
    with pytest.raises(InvalidInput):
        encode({"a": object()})
