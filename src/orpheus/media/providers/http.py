"""One HTTP call to a service: JSON in and out, and what its failures mean for a retry.

    429, 503 with Retry-After        wait that long, then try again
    408, 409, 425, 429, 5xx          try again by the task's policy
    other 4xx                        final: the same request would fail again
    no connection, time-out          try again by the task's policy
    an answer that is not JSON       try again by the task's policy

Keys never enter a message, a log or an event.
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import urllib3

from orpheus import Permanent, RetryAfter

_AGAIN: Final = frozenset({408, 409, 425, 429})
_LONGEST_WAIT_S: Final = 600.0
_LONGEST_ANSWER: Final = 64 * 1024 * 1024


class ServiceFailed(Exception):
    """A service did not do what was asked; another attempt may find it better."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service is, and the key it wants.

    Args:
        name: for messages, e.g. `the transcription service`.
        base_url: without a slash at the end.
        key: sent as a bearer token; empty sends none.
        timeout_s: to connect, and between two pieces of an answer.
    """

    name: str
    base_url: str
    key: str = field(default="", repr=False)
    timeout_s: float = 120.0

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
            path: below `base_url`, or a whole URL that the service itself gave.
            body: sent as JSON.
            fields: sent as multipart form instead; values as urllib3 takes them.
            headers: added.

        Raises:
            RetryAfter: the service asks for patience.
            ServiceFailed: it failed, or cannot be reached.
            Permanent: it refuses this request for good.
        """
        answer = self.fetch(method, path, body=body, fields=fields, headers=headers)
        try:
            return json.loads(answer)
        except ValueError:
            raise ServiceFailed(f"{self.name} answered something that is not JSON") from None

    def fetch(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Send a request and return the bytes of the answer. Raises as `call` does."""
        url = path if path.startswith(("http://", "https://")) else f"{self.base_url}/{path.lstrip('/')}"
        sent = dict(headers or {})
        if self.key and url.startswith(self.base_url):  # a file's address elsewhere is not given the key
            sent["Authorization"] = f"Bearer {self.key}"
        data: dict[str, Any] = {}
        if fields is not None:
            data["fields"] = dict(fields)
        elif body is not None:
            data["body"] = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        try:
            response = urllib3.request(
                method, url, headers=sent, timeout=urllib3.Timeout(self.timeout_s), retries=False, **data
            )
        except urllib3.exceptions.HTTPError as error:
            raise ServiceFailed(f"{self.name} cannot be reached: {type(error).__name__}") from None
        if response.status < 300:
            return response.data[:_LONGEST_ANSWER]
        raise self._failure(response)

    def _failure(self, response: urllib3.BaseHTTPResponse) -> Exception:
        said = f"{self.name} answered {response.status}: {_reason(response.data)}"
        wait_s = _retry_after_s(response.headers.get("Retry-After"))
        if response.status in (429, 503) and wait_s is not None:
            return RetryAfter(min(wait_s, _LONGEST_WAIT_S), said)
        if response.status in _AGAIN or response.status >= 500:
            return ServiceFailed(said)
        hint = "Check the key that is configured for it." if response.status in (401, 403) else ""
        return Permanent(said, hint=hint)


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
