"""Downloads a URL that somebody sent, without reaching what only this machine can reach.

    parse ─► resolve ─► check every address ─► connect to one of exactly these ─► ask ─► redirect? from the beginning
                                                                                    └─► stream to disk, counted and timed

The name is resolved once and the connection goes to a checked address, so a name that changes its mind in between
(rebinding) changes nothing. Numbers that mean addresses (`http://2130706433/`) are resolved like names, and so are checked.
Proxies of the environment are not used: they would resolve names again.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from orpheus.artifacts.sniff import HEAD_BYTES, sniff
from orpheus.core.addresses import why_private
from orpheus.core.fetching import why_no_url

MOST_REDIRECTS: Final = 5
SILENCE_S: Final = 30.0
"""No byte for so long ends the attempt."""
CHUNK_BYTES: Final = 256 * 1024
RETRY_LATER: Final = (408, 425, 429)
"""4xx that say nothing about the file."""
LONGEST_WAIT_S: Final = 600.0
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a download may cost, and where it may go."""

    max_bytes: int = 2 * 1024**3
    timeout_s: float = 3600.0
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Download:
    """A file that was fetched."""

    name: str
    content_type: str
    size_bytes: int
    shown_url: str
    """Where it came from in the end, without its query: that may hold a signature."""


class Failed(Exception):
    """The file could not be fetched."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "fetch_failed",
        hint: str = "",
        final: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.hint = message, code, hint
        self.final = final
        self.retry_after_s = retry_after_s


def download(
    url: str, target: Path, limits: Limits, *, heard: Callable[[int, int | None], None] = lambda _done, _size: None
) -> Download:
    """Fetch a URL to a file.

    Args:
        heard: called with bytes so far and the whole where it is known; may raise to end it.

    Raises:
        Failed: it could not be; `final` says whether another try is useless.
    """
    until = time.monotonic() + limits.timeout_s
    before: SplitResult | None = None
    for _ in range(MOST_REDIRECTS + 1):
        parts = _parsed(url)
        if before is not None and before.scheme == "https" and parts.scheme == "http":
            raise Failed(f"{_shown(before)} redirects from https to http", final=True)
        try:
            with closing(_Pinned(parts, limits, until)) as connection:
                response = _asked(connection, parts)
                if response.status in _REDIRECTS and (location := response.headers.get("location")):
                    before, url = parts, urljoin(url, location)
                    continue
                _check_status(response, parts)
                return _received(response, parts, target, limits, until=until, heard=heard)
        except Failed:
            raise
        except ssl.SSLCertVerificationError as error:
            raise Failed(f"{_shown(parts)}: {error.verify_message}", final=True) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Failed(f"{_shown(parts)}: {_words(error)}") from None
    raise Failed(
        f"{_shown(parts)}: more than {MOST_REDIRECTS} redirects", final=True, hint="Name the address that it leads to."
    )


def _parsed(url: str) -> SplitResult:
    why = why_no_url(url)
    if why is not None:
        raise Failed(why, final=True)
    return urlsplit(url)


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was checked, whatever its name means a moment later."""

    def __init__(self, parts: SplitResult, limits: Limits, until: float) -> None:
        assert parts.hostname is not None
        super().__init__(parts.hostname, parts.port or _PORTS[parts.scheme], timeout=SILENCE_S)
        self._secure = parts.scheme == "https"
        self._limits = limits
        self._until = until

    def connect(self) -> None:
        """Resolve, check, connect."""
        last: OSError | None = None
        for family, address in self._addresses():
            left = self._until - time.monotonic()
            if left <= 0:
                raise Failed("the time for the fetch is over")
            raw = socket.socket(family, socket.SOCK_STREAM)
            raw.settimeout(min(SILENCE_S, left))
            try:
                raw.connect(address)
                if self._secure:
                    raw = ssl.create_default_context().wrap_socket(raw, server_hostname=self.host)
            except OSError as error:
                raw.close()
                last = error
                continue
            self.sock = raw
            return
        assert last is not None, "a name has an address, or does not resolve"
        raise last

    def _addresses(self) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
        """Return where the name leads.

        Raises:
            Failed: to an address that is not of the public internet: then to none of them.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            unknown = isinstance(error, UnicodeError) or error.errno in (socket.EAI_NONAME, socket.EAI_FAIL)
            raise Failed(f"the host {self.host[:100]!r} is not known: {error}", final=unknown) from None
        for _family, _type, _protocol, _name, address in found:
            why = None if self._limits.allow_private else why_private(str(address[0]))
            if why is not None:
                raise Failed(
                    f"the host {self.host[:100]!r} may not be reached: {why}",
                    code="address_refused",
                    hint="Only addresses of the public internet are fetched from, unless ORPHEUS_FETCH_ALLOW_PRIVATE=1.",
                    final=True,
                )
        return [(family, address) for family, _type, _protocol, _name, address in found]


def _asked(connection: _Pinned, parts: SplitResult) -> http.client.HTTPResponse:
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (
        f"?{quote(parts.query, safe=_QUERY)}" if parts.query else ""
    )
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "orpheus", "Connection": "close"}
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


_QUERY = "/?%:@!$&'()*+,;=~-._[]"


def _check_status(response: http.client.HTTPResponse, parts: SplitResult) -> None:
    status = response.status
    if status == http.HTTPStatus.OK:
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            raise Failed(
                f"{_shown(parts)} sends the file as {encoding[:20]!r} although it was asked not to", final=True
            )
        return
    told = f"{_shown(parts)} answers {status} {response.reason[:80]}".rstrip()
    if status in RETRY_LATER or status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        wait = response.headers.get("retry-after", "")
        raise Failed(
            told, retry_after_s=min(float(wait), LONGEST_WAIT_S) if wait.isascii() and wait.isdigit() else None
        )
    raise Failed(told, final=status < 500, hint="The address has to give the file itself." if status < 500 else "")


def _received(
    response: http.client.HTTPResponse,
    parts: SplitResult,
    target: Path,
    limits: Limits,
    *,
    until: float,
    heard: Callable[[int, int | None], None],
) -> Download:
    length = response.length
    if length is not None and length > limits.max_bytes:
        raise _too_large(parts, limits)
    done, head = 0, b""
    with target.open("wb") as file:
        while chunk := response.read1(CHUNK_BYTES):
            done += len(chunk)
            if done > limits.max_bytes:
                raise _too_large(parts, limits)
            if time.monotonic() > until:
                raise Failed(f"{_shown(parts)}: not done after {limits.timeout_s:g} s")
            if len(head) < HEAD_BYTES:
                head += chunk[: HEAD_BYTES - len(head)]
            file.write(chunk)
            heard(done, length)
    if length is not None and done != length:
        raise Failed(f"{_shown(parts)}: the connection was cut after {done} of {length} bytes")
    declared = response.headers.get("content-type", "").partition(";")[0].strip().lower() or None
    return Download(_name(response, parts), sniff(head, declared), done, _shown(parts))


def _too_large(parts: SplitResult, limits: Limits) -> Failed:
    return Failed(
        f"{_shown(parts)} is larger than {limits.max_bytes} bytes",
        code="too_large",
        hint="ORPHEUS_FETCH_MAX_BYTES raises the limit.",
        final=True,
    )


def _name(response: http.client.HTTPResponse, parts: SplitResult) -> str:
    """Return a name for people: as the server says, else the last part of the path."""
    message = Message()
    message["content-disposition"] = response.headers.get("content-disposition", "")
    name = message.get_filename() or unquote(parts.path).rstrip("/")
    name = re.sub(r"[\x00-\x1f\x7f<>:\"|?*]", "_", name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    stem, dot, suffix = name.rpartition(".")
    return f"{stem[:100]}{dot}{suffix[:16]}" if dot else (name[:100] or "file")


def _shown(parts: SplitResult) -> str:
    """Return a URL for messages: its query may hold a signature."""
    return f"{parts.scheme}://{parts.netloc}{parts.path}"[:300]


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {SILENCE_S:g} s"
    return str(error) or type(error).__name__
