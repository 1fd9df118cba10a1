"""One HTTP call to a service: JSON in and out, and what its failures mean for a retry.

    429, 503 with Retry-After        wait that long, then try again
    408, 409, 425, 429, 5xx          try again by the task's policy
    other 4xx, redirects             final: the same request would fail again
    no connection, silence           try again by the task's policy
    an answer that breaks off, is not JSON or too large   try again by the task's policy

Keys never enter a message, a log or an event.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import urllib3

from orpheus import Permanent, RetryAfter

_AGAIN: Final = frozenset({408, 409, 425, 429})
_LONGEST_WAIT_S: Final = 600.0
_MOST_JSON: Final = 64 * 1024 * 1024
_MOST_FILE: Final = 2 * 1024 * 1024 * 1024


class ServiceFailed(Exception):
    """A service did not do what was asked; another attempt may find it better."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service is, and the key it wants.

    Args:
        name: for messages, e.g. `the transcription service`.
        base_url: without a slash at the end.
        key: sent as a bearer token; empty sends none.
        timeout_s: to connect, and how long it may be silent; a whole answer may take twice as long.
        settings: the settings that name it, for hints: its address and its key.
    """

    name: str
    base_url: str
    key: str = field(default="", repr=False)
    timeout_s: float = 120.0
    settings: tuple[str, str] = ("its address", "its key")

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request and return the decoded JSON answer.

        Args:
            method: HTTP method.
            path: below `base_url`.
            body: sent as JSON.
            fields: sent as multipart form instead; values as urllib3 takes them.
            headers: added.

        Raises:
            RetryAfter: the service asks for patience.
            ServiceFailed: it failed, or cannot be reached.
            Permanent: it refuses this request for good.
        """
        with self._asked(method, path, body=body, fields=fields, headers=headers) as response:
            answer = b"".join(self._pieces(response, most=_MOST_JSON))
            try:
                return json.loads(answer)
            except ValueError:
                kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
                raise ServiceFailed(
                    f"{self.name} answered {kind or 'something'} that is no JSON", hint=self._look_at_address()
                ) from None

    def download(self, url: str, target: Path) -> None:
        """Fetch a file that the service made into `target`. Raises as `call` does.

        Args:
            url: as the service gave it; only one of its own is given the key.
        """
        with self._asked("GET", url) as response, target.open("wb") as file:
            for piece in self._pieces(response, most=_MOST_FILE):
                file.write(piece)

    @contextlib.contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Send a request, and give its answer while it is being read, when it is one of success."""
        url = path if path.startswith(("http://", "https://")) else f"{self.base_url}/{path.lstrip('/')}"
        sent = dict(headers or {})
        if self.key and url.startswith(f"{self.base_url}/"):  # a file's address elsewhere is not given the key
            sent["Authorization"] = f"Bearer {self.key}"
        data: dict[str, Any] = {}
        if fields is not None:
            data["fields"] = dict(fields)
        elif body is not None:
            data["body"] = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        timeout = urllib3.Timeout(connect=min(30.0, self.timeout_s), read=self.timeout_s)
        with urllib3.PoolManager() as pool:
            try:
                response = pool.request(
                    method, url, headers=sent, timeout=timeout, retries=False, preload_content=False, **data
                )
            except urllib3.exceptions.HTTPError as error:
                raise self._unanswered(error) from None
            if response.status >= 300:
                raise self._refusal(response)
            yield response

    def _pieces(self, response: urllib3.BaseHTTPResponse, *, most: int) -> Iterator[bytes]:
        """Read an answer as it comes, within its time and size."""
        until, size = time.monotonic() + 2 * self.timeout_s, 0
        while True:
            try:
                piece = response.read1(65_536)
            except urllib3.exceptions.HTTPError as error:
                if isinstance(error, urllib3.exceptions.TimeoutError):
                    raise self._unanswered(error) from None
                raise ServiceFailed(f"{self.name} broke off in the middle of its answer") from None
            if not piece:
                return
            size += len(piece)
            if size > most:
                raise ServiceFailed(f"{self.name} answered more than {most // 1_048_576} MiB")
            if time.monotonic() > until:
                raise ServiceFailed(f"{self.name} did not end its answer in {2 * self.timeout_s:g} s")
            yield piece

    def _unanswered(self, error: urllib3.exceptions.HTTPError) -> ServiceFailed:
        if isinstance(error, urllib3.exceptions.ConnectTimeoutError | urllib3.exceptions.NewConnectionError):
            return ServiceFailed(f"{self.name} cannot be reached", hint=self._look_at_address())
        if isinstance(error, urllib3.exceptions.TimeoutError):
            return ServiceFailed(
                f"{self.name} said nothing for {self.timeout_s:g} s",
                hint="Where it needs longer, raise ORPHEUS_SERVICE_TIMEOUT_S.",
            )
        if isinstance(error, urllib3.exceptions.ProtocolError):
            return ServiceFailed(f"{self.name} closed the connection without an answer", hint=self._look_at_address())
        return ServiceFailed(f"{self.name} cannot be reached: {type(error).__name__}", hint=self._look_at_address())

    def _look_at_address(self) -> str:
        return f"Where this stays so, look at {self.settings[0]}."

    def _refusal(self, response: urllib3.BaseHTTPResponse) -> Exception:
        try:
            told = _reason(response.read1(65_536))
        except urllib3.exceptions.HTTPError:
            told = "nothing more"
        said = f"{self.name} answered {response.status}: {told}"
        wait_s = _retry_after_s(response.headers.get("Retry-After"))
        if response.status in (429, 503) and wait_s is not None:
            return RetryAfter(min(wait_s, _LONGEST_WAIT_S), said)
        if response.status in _AGAIN or response.status >= 500:
            return ServiceFailed(said)
        if response.status in (401, 403):
            return Permanent(said, hint=f"Look at {self.settings[1]}: the service does not take it.")
        return Permanent(
            said, hint=self._look_at_address() if response.status in (301, 302, 307, 308, 404, 405) else ""
        )


def _reason(data: bytes) -> str:
    """Return what the service said, in one line."""
    try:
        value = json.loads(data)
    except ValueError:
        return " ".join(data[:200].decode("utf-8", "replace").split()) or "nothing more"
    for key in ("error", "detail", "title", "message"):
        found = value.get(key) if isinstance(value, dict) else None
        if isinstance(found, dict):
            found = found.get("message")
        if isinstance(found, str) and found:
            return " ".join(found.split())[:300]
    return "nothing more"


def _retry_after_s(value: str | None) -> float | None:
    """Read `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    parsed = email.utils.parsedate_to_datetime(value) if any(letter.isalpha() for letter in value) else None
    return None if parsed is None else max(0.0, parsed.timestamp() - time.time())
