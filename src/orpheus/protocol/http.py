"""How is one HTTP/1.1 exchange written and read? Bytes only: the sockets belong to those who call (docs/adr/0021).

The worker and the client ask our own server small things thousands of times, over connections that stay open. There a
general client costs more than all else: it makes headers, timeouts and answers anew for each request. Uploads, downloads
and streams go through the general clients still.
"""

from __future__ import annotations

import base64
import contextlib
import ssl
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import unquote, urlsplit

import httptools

READ_BYTES = 256 * 1024
HEADS_KEPT = 64
"""Most requests begin like one before: a worker polls, a client submits."""


class Endpoint:
    """A server's address, and what every request to it begins with.

    Args:
        url: `http://…` or `https://…`, perhaps with `user:password@` and a path that all targets are below.
        headers: sent with every request.

    Raises:
        ValueError: the URL is not one.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not an http or https URL")
        self.url = url
        self.host = parts.hostname
        self.is_secure = parts.scheme == "https"
        self.port = parts.port or (443 if self.is_secure else 80)
        self._prefix = parts.path.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        own = {"host": host if parts.port is None else f"{host}:{parts.port}"}
        if parts.username is not None and "authorization" not in {name.lower() for name in headers}:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            own["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        self._fixed = header_lines(own.items()) + header_lines(headers.items())
        self._tls: ssl.SSLContext | None = None
        self._head = lru_cache(HEADS_KEPT)(self._make_head)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What to speak TLS with: the machine's authorities; None for plain http."""
        if self.is_secure and self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """Return a whole request.

        Args:
            target: path and query below the address, quoted already.
        """
        head = self._head(method, target, tuple(headers.items()))
        if body is None:
            if method == "GET":
                return head + b"\r\n"
            body = b""
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)

    def _make_head(self, method: str, target: str, headers: tuple[tuple[str, str], ...]) -> bytes:
        """Return all that a request begins with but the length of its body."""
        return f"{method} {self._prefix}{target} HTTP/1.1\r\n{self._fixed}{header_lines(headers)}".encode("latin-1")


def header_lines(pairs: Iterable[tuple[str, str]]) -> str:
    """Return headers as they travel.

    Raises:
        ValueError: one holds a line break, which would smuggle in another.
    """
    text = ""
    for name, value in pairs:
        if "\r" in value or "\n" in value or "\r" in name or "\n" in name:
            raise ValueError(f"the header {name!r} holds a line break")
        text += f"{name}: {value}\r\n"
    return text


class BadAnswer(Exception):
    """What came is not HTTP, or ended in the middle."""


class AnswerReader:
    """Reads answers one after the other, from bytes cut anywhere. llhttp (httptools) does the reading.

    Hardly anybody looks at the headers of an answer, and a call for each was more work than all the rest: whoever does has
    them read again (`headers`).
    """

    __slots__ = ("_begins_with", "_body", "_parser", "is_complete", "keeps_alive", "status")

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Make ready for the next answer."""
        self.status = 0
        """0 until the headers are there."""
        self.is_complete = False
        self.keeps_alive = False
        """Whether the connection may be used again."""
        self._begins_with = b""
        """What has come up to the end of the headers, and with it."""
        self._body: list[bytes] = []

    @property
    def has_begun(self) -> bool:
        return bool(self._begins_with)

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case."""
        return _Headers.read(self._begins_with)

    @property
    def body(self) -> bytes:
        return self._body[0] if len(self._body) == 1 else b"".join(self._body)

    def feed(self, data: bytes) -> bool:
        """Take bytes; tell whether the answer is complete.

        Raises:
            BadAnswer: they are not HTTP.
        """
        if not self.status:
            self._begins_with += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as wrong:
            raise BadAnswer(f"not an answer in HTTP: {wrong}") from None
        except httptools.HttpParserUpgrade:
            raise BadAnswer("an answer that changes the protocol") from None
        return self.is_complete

    def end(self) -> None:
        """The other side has hung up.

        Raises:
            BadAnswer: in the middle of an answer, or before one.
        """
        if self.is_complete:
            return
        if not self.status or self.headers.keys() & {"content-length", "transfer-encoding"}:
            raise BadAnswer("the server hung up" + (" in the middle of an answer" if self.has_begun else ""))
        self.is_complete = True  # an answer without a length ends with its connection

    # What the parser calls -------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.keeps_alive = False  # nor is it when this is a second answer, that nobody asked for

    def on_headers_complete(self) -> None:
        if not self.is_complete:
            self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self.status < 200:  # 100 Continue and 103 Early Hints announce the answer
            self.status = 0
            return
        if self.is_complete:
            return
        self.is_complete = True
        self.keeps_alive = self._parser.should_keep_alive()


class _Headers:
    """Reads the headers of the answer that some bytes begin with."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}
        self._parser = httptools.HttpResponseParser(self)
        self._are_whole = False

    @classmethod
    def read(cls, data: bytes) -> dict[str, str]:
        """Return them, names in lower case."""
        reader = cls()
        with contextlib.suppress(httptools.HttpParserError):  # after the headers: the first reading has told
            reader._parser.feed_data(data)
        return reader._found

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._are_whole:
            self._found[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() >= 200:
            self._are_whole = True
        else:
            self._found.clear()  # of an announcement
