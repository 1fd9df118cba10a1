"""What can be tuned about the HTTP side. `settings.py` fills it."""

from __future__ import annotations

from dataclasses import dataclass

from orpheus.telemetry import Tracing

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """Lengths in seconds, sizes in bytes."""

    env: str = "dev"
    """First part of every object's path (design.md, section 6). The engine must be told the same."""
    version: str = "0.1.0"
    allowed_hosts: tuple[str, ...] = ()
    """Names the server answers to beside the local ones; `*` allows any."""
    allowed_origins: tuple[str, ...] = ()
    """Origins (`https://studio.example`) whose pages may call the API, beside the server's own."""
    require_keys: bool | None = None
    """Whether requests need an API key; None: as soon as one was ever made."""
    open_metrics: bool = False
    """`/metrics` needs no key."""
    root_path: str = ""
    """Prefix that a proxy strips, e.g. `/orpheus`."""
    max_body_bytes: int = 8 * 1024 * 1024
    """Limit of a JSON body. Read in memory, so it bounds what one request can cost."""
    max_upload_bytes: int = 20 * 1024**3
    """Limit of one uploaded file. Streamed to disk."""
    max_batch_jobs: int = 10_000
    large_result_bytes: int = 65_536
    """Results beyond this are shown as a pointer to `/jobs/{id}/result`."""
    max_wait_s: float = 300.0
    """`wait_s` beyond this waits this long."""
    send_timeout_s: float = 20.0
    """A stream's reader that takes nothing for this long is disconnected."""
    lease_s: float = 30.0
    poll_wait_s: float = 20.0
    grace_s: float = 10.0
    """These three are told to workers; the engine acts on its own copies."""
    inline_bytes: int = 65_536
    webhook_secrets: tuple[str, ...] = ()
    """Sign deliveries to jobs' own `webhook_url`; none given, one is made and kept with the data."""
    webhook_allow_private: bool = False
    """Webhooks may reach addresses that are not of the public internet."""
    webhook_keep_s: float = 7 * 86_400.0
    """Deliveries that came to their end are kept for so long."""
    tracing: Tracing | None = None
    """Makes spans of requests; None makes none."""
    supervised_workers: int = 0
    """How many workers `orpheus up` started: `/readyz` waits until as many have said hello."""
