"""Services in place of this machine: what is sent, what comes back, and what their troubles mean for the attempt."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orpheus import File, Permanent, RetryAfter
from orpheus.media import media
from orpheus.media.providers import configured, openai
from orpheus.media.providers.http import Service, ServiceFailed
from orpheus.media.speech.elsewhere import joined, pieces
from orpheus.media.speech.transcript import Segment, Span, Word, build
from orpheus.testing.inline import InlineRun, run_job

SAID = {
    "language": "english",
    "text": "Hello there. Goodbye.",
    "segments": [{"start": 0.1, "end": 0.9, "text": " Hello there."}, {"start": 1.0, "end": 1.5, "text": " Goodbye."}],
    "words": [
        {"word": "Hello", "start": 0.1, "end": 0.4},
        {"word": "there.", "start": 0.5, "end": 0.9},
        {"word": "Goodbye.", "start": 1.0, "end": 1.5},
    ],
}


class Endpoint(ThreadingHTTPServer):
    """An OpenAI-compatible endpoint; `troubles` are answered first."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.troubles: list[tuple[int, dict[str, str], bytes]] = []
        self.seen: list[tuple[str, str, bytes]] = []
        self.transcript: Any = SAID
        self.told: Any = {"choices": [{"message": {"content": "Somebody greets. Somebody leaves."}}]}


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def log_message(self, *_: object) -> None: ...

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.path, self.headers.get("Authorization", ""), body))
        good = self.server.transcript if self.path.endswith("transcriptions") else self.server.told
        status, headers, said = 200, {}, json.dumps(good).encode()
        if self.server.troubles:
            status, headers, said = self.server.troubles.pop(0)
        self.send_response(status)
        for name, text in {"Content-Length": str(len(said)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(said)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Endpoint]:
    server = Endpoint()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}/v1"
    key = tmp_path / "key"
    key.write_text("sk-secret\n")
    for name in ("TRANSCRIBE", "CHAT"):
        monkeypatch.setenv(f"ORPHEUS_{name}_URL", base)
        monkeypatch.setenv(f"ORPHEUS_{name}_KEY_FILE", str(key))
        monkeypatch.setenv(f"ORPHEUS_{name}_MODEL", "test-1")
    yield server
    server.shutdown()
    server.server_close()


def recording(folder: Path) -> File:
    path = folder / "a.wav"
    size = 32_000
    header = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + bytes([16, 0, 0, 0, 1, 0, 1, 0])
    rate = (16_000).to_bytes(4, "little") * 2
    path.write_bytes(
        header + rate + bytes([1, 0, 8, 0]) + b"data" + size.to_bytes(4, "little") + b"\x80\x81" * (size // 2)
    )
    return File.from_path(path)


def send(folder: Path) -> InlineRun:
    return run_job(media, {"source": recording(folder), "language": "en"}, folder=folder / "out")


def test_a_configured_service_listens_and_sums_up(endpoint: Endpoint, tmp_path: Path) -> None:
    done = send(tmp_path)
    name = f"transcripts/{done.job.job_id}"
    told = json.loads(done.artifacts[f"{name}.json"].read_text())
    assert (told["language"], told["text"]) == ("en", "Hello there. Goodbye.")
    assert [word["word"] for word in told["segments"][0]["words"]] == ["Hello", "there."]
    # "Goodbye." begins at 1.0 s by the service; captions go with the sound, which is one murmur here, so within a tenth of it.
    _first, second = re.findall(r"00:00:0(\d),(\d{3}) --> ", done.artifacts[f"{name}.srt"].read_text())
    assert abs(int(second[0]) + int(second[1]) / 1000 - 1.0) <= 0.1
    assert done.result.digest == "Somebody greets. Somebody leaves."
    assert json.loads(done.artifacts["summary.json"].read_text())["method"] == "chat/test-1"
    (first, key, body), (second, _, asked) = endpoint.seen
    assert (first, second, key) == ("/v1/audio/transcriptions", "/v1/chat/completions", "Bearer sk-secret")
    assert b"verbose_json" in body and b'name="language"' in body and b"audio/mpeg" in body
    assert "Hello there." in json.loads(asked)["messages"][0]["content"]


@pytest.mark.parametrize(
    "trouble",
    [(500, {}, b"oops"), (429, {"Retry-After": "1"}, b"{}"), (200, {}, b"<html>"), (200, {}, b'{"choices": []}')],
)
def test_trouble_is_tried_again(endpoint: Endpoint, tmp_path: Path, trouble: tuple[int, dict[str, str], bytes]) -> None:
    endpoint.troubles = [trouble]
    done = send(tmp_path)
    (task,) = [task for task in done.tasks if task.node == "transcribe"]
    assert (str(task.state), task.attempt) == ("completed", 2)


def test_a_refusal_is_noted_and_tells_no_key(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.troubles = [(401, {}, b'{"error": {"message": "bad key"}}')]
    done = send(tmp_path)
    (task,) = [task for task in done.tasks if task.node == "transcribe"]
    assert (str(task.state), task.attempt) == ("skipped", 1)
    assert task.error is not None
    assert "bad key" in task.error.message and "sk-secret" not in str(task.error)
    assert done.result.notes == ["There is no transcript: the task transcribe says why."]


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (429, {"Retry-After": "7"}, RetryAfter),
        (503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, RetryAfter),
        (429, {}, ServiceFailed),
        (408, {}, ServiceFailed),
        (502, {}, ServiceFailed),
        (400, {}, Permanent),
        (302, {"Location": "http://169.254.169.254/"}, Permanent),
    ],
)
def test_what_a_status_means(endpoint: Endpoint, status: int, headers: dict[str, str], kind: type[Exception]) -> None:
    endpoint.troubles = [(status, headers, b"no")]
    service = configured.chat()
    assert service is not None
    with pytest.raises(kind) as raised:
        openai.chat(service, "hello")
    if isinstance(raised.value, RetryAfter):
        assert raised.value.delay_s in (7.0, 0.0)


def test_nobody_there_is_tried_again() -> None:
    with pytest.raises(ServiceFailed, match="cannot be reached"):
        Service("the service", "http://127.0.0.1:9").call("GET", "x")


def test_a_key_is_not_shown_nor_sent_elsewhere(endpoint: Endpoint) -> None:
    service = Service("it", "http://127.0.0.1:1/v1", "sk-secret")
    assert "sk-secret" not in repr(service)
    service.call("POST", f"http://127.0.0.1:{endpoint.server_address[1]}/file")
    assert endpoint.seen[-1][1] == ""


def test_long_recordings_go_in_pieces_that_end_in_silence() -> None:
    cut = pieces(6000.0, [Span(100.0, 101.0), Span(2200.0, 2204.0), Span(2300.0, 2301.0), Span(4500.0, 4501.0)])
    assert cut == [Span(0.0, 2202.0), Span(2202.0, 4500.5), Span(4500.5, 6000.0)]
    assert pieces(5000.0, []) == [Span(0.0, 2400.0), Span(2400.0, 4800.0), Span(4800.0, 5000.0)]
    said = build([Segment(1.0, 2.0, "hi", [Word("hi", 1.0, 2.0)])], language="en", duration_s=10.0)
    whole = joined([(Span(0.0, 10.0), said), (Span(10.0, 20.0), said)], duration_s=20.0)
    assert [(one.start_s, one.words[0].start_s) for one in whole.segments] == [(1.0, 1.0), (11.0, 11.0)]
    assert whole.text == "hi hi"
