"""Who is to be told of an event, and when is a call that failed tried again? (R28)

Pure: the store writes what `due` names in the transaction of the events, and the sender asks `next_try` after each call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from orpheus.core.addresses import why_private
from orpheus.core.decision import Event
from orpheus.core.errors import InvalidRequest, OrpheusError
from orpheus.core.job import Job
from orpheus.core.suggest import did_you_mean, quoted

ENDS = ("job.completed", "job.failed", "job.cancelled")
"""What a job's own `webhook_url` hears of."""
EVENT_TYPES = (
    *("job.created", "job.approved", "job.rejected", "job.queued", "job.started", "job.paused", "job.resumed"),
    *("job.cancel_requested", "job.completed", "job.failed", "job.cancelled", "job.retried", "job.updated"),
    *("task.ready", "task.started", "task.retrying", "task.waiting", "task.completed", "task.failed", "task.skipped"),
    *("task.cancelled", "task.cached", "task.rescued", "task.compensated", "artifact.published", "signal.received"),
)
"""Every type of event there is (formats.md)."""
PATTERNS = ("*", "job.*", "task.*", "artifact.*", "signal.*", *EVENT_TYPES)
TEST = "webhook.test"
"""The type of what `POST /webhooks/{id}/test` sends."""

WAITS_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 43200.0, 57600.0, 86400.0)
"""After the first call, the second … : 13 calls within three days, then the delivery is dead."""
JITTER = 0.1
RETRY_AFTER_MAX_S = 86_400.0
"""A receiver that asks for longer is asked again after this."""


class PrivateAddress(OrpheusError):
    """The URL leads to this machine, its network or another place that is not of the public internet. Whoever sends URLs
    could otherwise reach what only the server can."""

    code = "private_address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Somebody who wants to hear of events, whichever job they are of."""

    webhook_id: str
    tenant: str | None
    """Whose jobs; None is everybody's."""
    url: str
    events: tuple[str, ...]
    """Types, or `job.*`, or `*`."""
    workflow: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """All of these the job has to have."""
    description: str = ""
    secrets: tuple[tuple[str, float | None], ...] = ()
    """`(whsec_…, until when it signs too)`, the newest first; None is without an end."""
    enabled: bool = True
    disabled_reason: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0

    def wants(self, job: Job, kind: str) -> bool:
        """Tell whether an event of this type, of this job, is for it."""
        return (
            self.enabled
            and (self.tenant is None or self.tenant == job.tenant)
            and (self.workflow is None or self.workflow == job.workflow)
            and all(job.labels.get(key) == value for key, value in self.labels.items())
            and any(matches(pattern, kind) for pattern in self.events)
        )

    def signing(self, now: float) -> tuple[str, ...]:
        """Return the secrets that sign now."""
        return tuple(secret for secret, until in self.secrets if until is None or now < until)


@dataclass(frozen=True, slots=True)
class Due:
    """One event that somebody is to be told of."""

    destination: str
    """What deliveries queue up behind: the subscription's id, or the origin of a job's own URL."""
    webhook_id: str | None
    url: str | None
    """The job's own; a subscription's is looked up when it is called."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one destination."""

    delivery_no: int
    delivery_id: str
    """The header `webhook-id`: the same however often it is sent."""
    destination: str
    webhook_id: str | None
    url: str | None
    tenant: str
    job_id: str | None
    seq: int | None
    type: str
    at: float
    event: Event | None
    job: Job | None
    """As it stood when the event was committed."""
    state: str
    """`pending`, `delivered` or `dead`."""
    attempts: int
    """Calls made in all."""
    tries: int
    """Calls since it was last queued."""
    next_at: float | None
    last_at: float | None
    last_status: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Called:
    """How one call went."""

    delivery: Delivery
    ok: bool
    status: int | None = None
    error: str | None = None
    retry_after_s: float | None = None


def due(job: Job, kind: str, subscriptions: Iterable[Subscription]) -> list[Due]:
    """Return who is to be told of an event."""
    found = [Due(each.webhook_id, each.webhook_id, None) for each in subscriptions if each.wants(job, kind)]
    if job.webhook_url is not None and kind in ENDS:
        found.append(Due(origin_of(job.webhook_url), None, job.webhook_url))
    return found


def matches(pattern: str, kind: str) -> bool:
    """Tell whether a pattern of `PATTERNS` means this type."""
    return pattern in ("*", kind) or (pattern.endswith(".*") and kind.startswith(pattern[:-1]))


def next_try(tries: int, draw: float, retry_after_s: float | None = None) -> float | None:
    """Return after how many seconds to call again, or None when it is not worth it any more.

    Args:
        tries: calls made so far, at least 1.
        draw: in [0, 1).
        retry_after_s: what the receiver asked for; a longer wait than ours is kept, up to a day.
    """
    if tries > len(WAITS_S):
        return None
    wait_s = WAITS_S[tries - 1] * (1 + JITTER * (2 * draw - 1))
    return max(wait_s, min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}"


def check_events(events: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns, each once.

    Raises:
        InvalidRequest: there is no such type of event.
    """
    found = tuple(dict.fromkeys(events))
    for place, pattern in enumerate(found):
        if pattern not in PATTERNS:
            message = f"there is no event {quoted(pattern)}"
            raise InvalidRequest(
                message,
                hint=did_you_mean(pattern, PATTERNS, otherwise="`job.*` is all of a job's own events."),
                details=[{"path": f"/events/{place}", "message": message}],
            )
    return found


def check_url(url: str, *, allow_private: bool, field_name: str = "url") -> str:
    """Refuse a URL that could never be called. Names are looked up when they are called, not here.

    Raises:
        InvalidRequest: no usable http(s) URL, or one with a password in it.
        PrivateAddress: it names an address that is not public.
    """

    def refused(why: str, kind: type[OrpheusError] = InvalidRequest, hint: str = "") -> OrpheusError:
        message = f"{field_name}: {why}"
        return kind(message, hint=hint, details=[{"path": f"/{field_name}", "message": why}])

    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise refused(f"it is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise refused("it is no http:// or https:// URL with a host")
    if parts.username is not None or parts.password is not None:
        raise refused("it holds a user name or password", hint="Deliveries are signed: check the signature instead.")
    if not allow_private:
        is_address = ":" in host or host.replace(".", "").isdigit()
        why = why_private(host) if is_address else None
        if host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost"):
            why = "it is this machine (loopback)"
        if why is not None:
            raise refused(
                f"{host} may not be called: {why}",
                PrivateAddress,
                hint="ORPHEUS_WEBHOOK_ALLOW_PRIVATE=true lets webhooks reach private addresses.",
            )
    return url
