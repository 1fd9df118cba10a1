"""A service that errs, stalls, breaks off or talks nonsense: each ends as a retry or as the end, soon, and says what was wrong."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orpheus import Permanent, RetryAfter
from orpheus.media.pictures import vision
from orpheus.media.providers import openai, replicate
from orpheus.media.providers.configured import Configured
from orpheus.media.providers.http import Service, ServiceFailed

SILENCE_S = 0.4


def answer(status: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


JSON = "Content-Type: application/json"
GOOD = json.dumps(
    {"choices": [{"message": {"content": "fine"}}], "text": "fine", "id": "p", "status": "starting"}
).encode()
TROUBLES: dict[str, tuple[bytes | str, type[Exception], str]] = {
    "500": (answer("500 Oops", b"it broke"), ServiceFailed, "answered 500: it broke"),
    "429 with a time": (answer("429 Slow", b"{}", "Retry-After: 7"), RetryAfter, "answered 429"),
    "429 without": (answer("429 Slow", b'{"error": {"message": "slow down"}}'), ServiceFailed, "slow down"),
    "503 with a date": (
        answer("503 Away", b"", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
        RetryAfter,
        "answered 503",
    ),
    "no HTTP": (b"\x00\x01 what is this\r\n\r\n", ServiceFailed, "without an answer"),
    "broken JSON": (answer("200 OK", b'{"choices": [', JSON), ServiceFailed, "application/json that is no JSON"),
    "another form": (answer("200 OK", b'{"unheard": "of"}', JSON), ServiceFailed, "unknown form"),
    "a list": (answer("200 OK", b"[]", JSON), ServiceFailed, "unknown form"),
    "a page": (answer("200 OK", b"<html>hi", "Content-Type: text/html"), ServiceFailed, "text/html that is no JSON"),
    "cut off": (answer("200 OK", GOOD[:-9], JSON, length=len(GOOD)), ServiceFailed, "in the middle of its answer"),
    "silence": ("hang", ServiceFailed, "said nothing for 0.4 s"),
    "silence in the middle": (answer("200 OK", GOOD[:9], JSON, length=len(GOOD)) + b"", ServiceFailed, "answer"),
    "one byte at a time": ("drip", ServiceFailed, "did not end its answer in 0.8 s"),
    "a closed door": (b"", ServiceFailed, "without an answer"),
    "a wrong key": (answer("401 No", b'{"error": {"message": "bad key"}}'), Permanent, "bad key"),
    "forbidden": (answer("403 No", b""), Permanent, "answered 403"),
    "not there": (answer("404 No", b"nothing here"), Permanent, "nothing here"),
    "elsewhere": (answer("302 Found", b"", "Location: http://169.254.169.254/"), Permanent, "answered 302"),
}


class Rude:
    """Answers every connection in the one way it was told."""

    def __init__(self) -> None:
        self.says: bytes | str = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            self._read(connection)
            try:
                if self.says == "hang":
                    self._over.wait(10)
                elif self.says == "drip":
                    connection.sendall(answer("200 OK", b"", JSON, length=1000))
                    while not self._over.wait(0.05):
                        connection.sendall(b" ")
                else:
                    assert isinstance(self.says, bytes)
                    connection.sendall(self.says)
            except OSError:
                return  # nobody listens any more

    def _read(self, connection: socket.socket) -> None:
        """Read a whole request: a connection that is closed with unread bytes is reset, and the answer with it."""
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += connection.recv(65_536)
        head, _, body = heard.partition(b"\r\n\r\n")
        lengths = [
            line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        ]
        left = int(lengths[0]) - len(body) if lengths else 0
        while left > 0:
            left -= len(connection.recv(65_536))

    def close(self) -> None:
        self._over.set()
        self._socket.close()


@pytest.fixture
def rude() -> Iterator[Rude]:
    server = Rude()
    yield server
    server.close()


def sound(folder: Path) -> Path:
    path = folder / "a.mp3"
    path.write_bytes(b"\xff\xfb" * 100)
    return path


CALLS: dict[str, Callable[[Configured, Path], Any]] = {
    "transcription": lambda one, folder: openai.transcribe(one, sound(folder), language=None, duration_s=1.0),
    "text": lambda one, _: openai.chat(one, "hello"),
    "picture": lambda one, _: vision.look(one, Image.new("RGB", (8, 8)), (8, 8), least_score=0.2),
    "replicate": lambda one, _: replicate.create(one, {"prompt": "x"}),
    "replicate's upload": lambda one, _: replicate.upload(one, "a.png", b"png", "image/png"),
    "replicate's state": lambda one, _: replicate.get(one, "p1"),
}


@pytest.mark.parametrize("trouble", list(TROUBLES))
@pytest.mark.parametrize("call", list(CALLS))
def test_each_trouble_has_its_end(rude: Rude, tmp_path: Path, call: str, trouble: str) -> None:
    rude.says, kind, words = TROUBLES[trouble]
    service = Service("the service", rude.url, "sk-secret", SILENCE_S, ("THE_URL", "THE_KEY"))
    began = time.monotonic()
    with pytest.raises(kind, match=r"the service|Replicate") as raised:
        CALLS[call](Configured(service, "m"), tmp_path)
    assert time.monotonic() - began < 10
    assert words in str(raised.value), str(raised.value)
    assert "sk-secret" not in f"{raised.value!r} {raised.value}"
    if trouble in ("a wrong key", "forbidden"):
        assert "THE_KEY" in getattr(raised.value, "hint", "")


@pytest.mark.parametrize(
    "trouble", ["500", "429 with a time", "cut off", "silence", "one byte at a time", "a closed door", "not there"]
)
def test_a_download_has_its_end(rude: Rude, tmp_path: Path, trouble: str) -> None:
    rude.says, kind, _ = TROUBLES[trouble]
    service = Service("the service", rude.url, timeout_s=SILENCE_S)
    with pytest.raises(kind):
        service.download(f"{rude.url}/made.mp4", tmp_path / "made.mp4")


def test_nobody_there_is_told_with_a_hint() -> None:
    with pytest.raises(ServiceFailed, match="cannot be reached") as raised:
        Service("the service", "http://127.0.0.1:9/v1", settings=("THE_URL", "THE_KEY")).call("GET", "x")
    assert "THE_URL" in raised.value.hint
