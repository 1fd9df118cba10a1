"""Which server, and as whom? What both drivers need to know of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from orpheus.client.errors import InvalidInput

DEFAULT_URL = "http://127.0.0.1:8700"
DEFAULT_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0


def user_agent() -> str:
    try:
        return f"orpheus-client/{version('orpheus-jobs')}"
    except PackageNotFoundError:
        return "orpheus-client"


@dataclass(frozen=True, slots=True)
class Address:
    """A server's base URL and the key to send, if any. The key never shows in a repr."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    correlation_id: str | None = None

    @classmethod
    def of(cls, url: str | None, api_key: str | None, correlation_id: str | None) -> Address:
        """Fill in what was not said from ORPHEUS_URL and ORPHEUS_API_KEY (or ORPHEUS_API_KEY_FILE).

        Raises:
            InvalidInput: the URL is not http or https.
        """
        found = (url or os.environ.get("ORPHEUS_URL") or DEFAULT_URL).rstrip("/")
        parts = urlsplit(found)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(f"{found!r} is not a server's address; write it like {DEFAULT_URL}")
        return cls(found, api_key or _key_from_environment(), correlation_id)

    @property
    def headers(self) -> dict[str, str]:
        headers = {"user-agent": user_agent(), "accept": "application/json"}
        if self.api_key:
            headers["authorization"] = f"Bearer {self.api_key}"
        if self.correlation_id:
            headers["x-correlation-id"] = self.correlation_id
        return headers


def _key_from_environment() -> str | None:
    path = os.environ.get("ORPHEUS_API_KEY_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip() or None
        except OSError as error:
            raise InvalidInput(f"ORPHEUS_API_KEY_FILE: {error}") from None
    return os.environ.get("ORPHEUS_API_KEY") or None
