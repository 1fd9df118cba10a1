"""Looking and waiting: pages, long polls, streams that break, downloads that are checked."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from random import Random
from typing import Any

import pytest

from orpheus.client import CorruptDownload, InvalidInput, JobFailed, NotFound, WaitTimeout
from orpheus.client.downloads import safe_path
from orpheus.client.sse import Message, SSEParser


def event(seq: int, kind: str, job_id: str = "j1") -> dict[str, Any]:
    return {"seq": seq, "type": kind, "at": "t", "job_id": job_id, "actor": "a", "correlation_id": "c"}


def test_wait_polls_until_the_end(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """A job that runs on is asked for again; the long poll names how long it waits."""
    scripted.on("GET", "/jobs/j1", answer(200, job(state="running")), answer(200, job(state="completed", result=7)))
    assert both("wait", "j1", timeout_s=60).state == "completed"
    assert all(float(dict(one.query)["wait_s"]) <= 20 for one in scripted.asked)


def test_wait_gives_up_in_time(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """The time-out is the caller's, and says how the job stood."""
    scripted.on("GET", "/jobs/j1", answer(200, job(state="running")))
    with pytest.raises(WaitTimeout, match="still running"):
        both("wait", "j1", timeout_s=0.05)


def test_result_returns_or_raises(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """A completed job gives its result, a failed one its error."""
    error = {"code": "task_failed", "message": "no speech", "hint": "louder"}
    scripted.on("GET", "/jobs/j1", answer(200, job(state="completed", result={"words": 3})))
    scripted.on("GET", "/jobs/j2", answer(200, job("j2", "failed", error=error)))
    assert both("result", "j1") == {"words": 3}
    with pytest.raises(JobFailed, match="no speech") as failed:
        both("result", "j2")
    assert (failed.value.code, failed.value.hint) == ("task_failed", "louder")


def test_pages_follow_their_cursor(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """Every page is read, filters are repeated, and a limit stops early."""

    def page(asked: Any) -> Any:
        at = dict(asked.query).get("cursor")
        return answer(200, {"items": [job("b")]} if at else {"items": [job("a")], "next_cursor": "x"})

    scripted.on("GET", "/jobs", page)
    found = both("list", state=["queued", "running"], label={"team": "x"})
    assert [one.job_id for one in found] == ["a", "b"]
    assert [value for name, value in scripted.asked[0].query if name == "state"] == ["queued", "running"]
    assert dict(scripted.asked[0].query)["label"] == "team:x"
    assert [one.job_id for one in both("list", limit=1)] == ["a"]


def test_events_follow_to_the_end_across_a_break(both: Any, scripted: Any, sse: Any) -> None:
    """The stream breaks after the second event; the next request names it, and nothing is told twice."""
    scripted.on(
        "GET",
        "/jobs/j1/events",
        sse(("1", "job.created", event(1, "job.created")), ("2", "job.started", event(2, "job.started"))),
        sse(("2", "job.started", event(2, "job.started")), ("3", "job.completed", event(3, "job.completed"))),
    )
    assert [one.seq for one in both("events", "j1", follow=True)] == [1, 2, 3]
    assert [dict(one.query).get("cursor") for one in scripted.asked] == [None, "2"]
    assert dict(scripted.asked[0].query)["follow"] == "true"


def test_an_unknown_job_ends_the_following(both: Any, scripted: Any, answer: Any) -> None:
    """Refusals that are final are raised, not retried."""
    scripted.on("GET", "/jobs/j1/events", answer(404, {"code": "unknown_job", "message": "no job j1"}))
    with pytest.raises(NotFound):
        both("events", "j1", follow=True)
    assert len(scripted.asked) == 1


def test_many_are_waited_for_by_one_stream(both: Any, scripted: Any, answer: Any, job: Any, sse: Any) -> None:
    """Some had ended before the stream began, some end on it, and a reset makes it look again."""
    ids = [f"j{n}" for n in range(6)]
    states = dict.fromkeys(ids, "queued") | {"j0": "completed"}
    for one in ids:
        scripted.on("GET", f"/jobs/{one}", lambda _asked, one=one: answer(200, job(one, states[one])))

    def second(_asked: Any) -> Any:
        states.update(dict.fromkeys(ids, "completed") | {"j3": "cancelled"})
        return sse((None, "reset", {}))

    states_after = sse(
        ("c1", "brief", [["job.failed", ["j1", "j7"]]]), ("c2", "brief", [["job.created", ["j9", "j4"]]])
    )
    scripted.on("GET", "/stream", states_after, second, sse())
    found = both("wait_states", ids, timeout_s=5)
    assert found == {"j0": "completed", "j1": "failed", "j2": "completed", "j3": "cancelled"} | dict.fromkeys(
        ["j4", "j5"], "completed"
    )
    assert scripted.of("GET", "/stream")[1].headers["last-event-id"] == "c2"


def test_of_two_ends_of_a_job_the_first_counts(both: Any, scripted: Any, answer: Any, job: Any, sse: Any) -> None:
    """They may come in one message, when the job was retried in between."""
    for one in ("j1", "j2"):
        scripted.on("GET", f"/jobs/{one}", answer(200, job(one)))
    told = [["job.failed", ["j1"]], ["job.retried", ["j1"]], ["job.completed", ["j2", "j1"]]]
    scripted.on("GET", "/stream", sse(("c1", "brief", told)))
    assert both("wait_states", ["j1", "j2"], timeout_s=5) == {"j1": "failed", "j2": "completed"}


def test_waiting_for_many_has_a_limit(both: Any, scripted: Any, answer: Any, job: Any) -> None:
    """A silent stream does not hold the caller beyond its time."""
    hold = threading.Event()
    scripted.on("GET", "/jobs/j1", answer(200, job()))
    scripted.on("GET", "/stream", answer(200, b"", {"content-type": "text/event-stream"}, wait=hold))
    with pytest.raises(WaitTimeout, match="1 of 1"):
        both("wait_states", ["j1"], timeout_s=0.2)
    hold.set()


def test_a_download_resumes_and_is_checked(both: Any, scripted: Any, answer: Any, tmp_path: Path) -> None:
    """The first answer breaks half-way; the rest is asked for by range, and only the whole file gets its name."""
    content = bytes(range(256)) * 4000
    info = {
        "name": "audio/j1.mp3",
        "task": "t",
        "index": None,
        "run_id": "r",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "content_type": "audio/mpeg",
        "metadata": {},
        "path": "/jobs/j1/artifacts/audio/j1.mp3",
    }

    def rest(asked: Any) -> Any:
        start = int(asked.headers["range"].removeprefix("bytes=").rstrip("-"))
        return answer(206, content[start:])

    scripted.on("GET", "/jobs/j1/artifacts", answer(200, {"items": [info]}))
    scripted.on("GET", "/jobs/j1/artifacts/audio/j1.mp3", answer(200, content, cut=600_000), rest)
    path = both("download", "j1", "audio/j1.mp3", tmp_path)
    assert path == tmp_path / "audio/j1.mp3"
    assert path.read_bytes() == content

    scripted.scripts = scripted.scripts[:1]
    scripted.on("GET", "/jobs/j1/artifacts/audio/j1.mp3", answer(200, b"something else"))
    with pytest.raises(CorruptDownload):
        both("download", "j1", "audio/j1.mp3", tmp_path / "other.mp3")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["audio"]
    with pytest.raises(InvalidInput, match=r"did you mean 'audio/j1\.mp3'"):
        both("download", "j1", "audio/j1.mp", tmp_path)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "a\\b", "C:x", "a/", "a\0b", ".."])
def test_names_cannot_lead_out(tmp_path: Path, name: str) -> None:
    """An artifact's name comes from somebody's task; it stays under the folder it is put in."""
    with pytest.raises(InvalidInput):
        safe_path(tmp_path, name)


def test_a_link_cannot_lead_out(tmp_path: Path) -> None:
    """Neither does a link that lies in the folder."""
    base = tmp_path / "out"
    base.mkdir()
    (base / "x").symlink_to(tmp_path)
    with pytest.raises(InvalidInput):
        safe_path(base, "x/file")
    assert safe_path(base, "a/b.json") == base / "a/b.json"


def test_streams_may_be_cut_anywhere() -> None:
    """Whatever the chunks, the messages are the same."""
    raw = ": hello\r\n\r\nid: 1\r\nevent: a\r\ndata: ü\r\ndata: 2\r\n\r\nretry: 5\ndata:x\n\nid: 9\n\n".encode()
    whole = SSEParser().feed(raw)
    assert [(one.event, one.data, one.id) for one in whole] == [
        ("a", "ü\n2", "1"),
        ("message", "x", None),
        ("message", "", "9"),
    ]
    parser = SSEParser()
    assert [one for byte in raw for one in parser.feed(bytes([byte]))] == whole


def test_messages_that_are_taken_whole_are_read_like_others() -> None:
    """Byte by byte, no message comes whole: each goes line by line. In chunks of any size the same must come out."""
    rng = Random(7)
    usual = [f'id: e.{n}\nevent: job.completed\ndata: {{"n": "ä{n}"}}\n\n' for n in range(5)]
    odd = [
        "id: \nevent: a\ndata: \n\n",
        "id: 1\nevent: \ndata: x\n\n",
        "id: 2\nevent: b\ndata: x\ndata: y\n\n",
        "event: c\nid: 3\ndata: x\n\n",
        ": tick\nid: 4\n\n",
        "data: first\nid: 5\nevent: d\ndata: second\n\n",
        "id: 6\nid: 7\nevent: e\ndata: id: 8\n\n",
    ]
    for _ in range(200):
        raw = "".join(rng.choices(usual * 2 + odd, k=12)).encode()
        singly, cut = SSEParser(), SSEParser()
        expected = [one for byte in raw for one in singly.feed(bytes([byte]))]
        found: list[Message] = []
        while raw:
            size = rng.choice((1, 7, 60, 500))
            found += cut.feed(raw[:size])
            raw = raw[size:]
        assert found == expected
