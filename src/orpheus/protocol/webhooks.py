"""Webhooks on the wire: subscriptions, deliveries, and what a delivery says (docs/webhooks.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from orpheus.protocol.jobs import JobInfo, LabelKey, LabelValue, Tenant, Url

EventPattern = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Secret = Annotated[
    str,
    msgspec.Meta(
        max_length=400,
        pattern="^whsec_[A-Za-z0-9+/]+=*$",
        description="`whsec_` and base64; `orpheus webhooks new-secret` makes one.",
    ),
]
Events = Annotated[list[EventPattern], msgspec.Meta(min_length=1, max_length=64)]
Labels = Annotated[dict[LabelKey, LabelValue], msgspec.Meta(max_length=16)]
Description = Annotated[str, msgspec.Meta(max_length=500)]
Workflow = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class NewWebhook(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `POST /webhooks`."""

    url: Url
    events: Events = msgspec.field(default_factory=lambda: ["job.completed", "job.failed", "job.cancelled"])
    """Types of events, `job.*` for all of a job's own, or `*`; left out, the ends of jobs."""
    workflow: Workflow | None = None
    """Only jobs of this workflow."""
    labels: Labels = {}
    """Only jobs that have all of these."""
    tenant: Tenant | None = None
    """Whose jobs; left out, the caller's own, or everybody's for who sees all tenants."""
    secret: Secret | None = None
    """Made when left out; the answer shows it, and nothing shows it again."""
    description: Description = ""


class PatchWebhook(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `PATCH /webhooks/{webhook_id}`: only what is given changes."""

    url: Url | msgspec.UnsetType = msgspec.UNSET
    events: Events | msgspec.UnsetType = msgspec.UNSET
    workflow: Workflow | msgspec.UnsetType | None = msgspec.UNSET
    labels: Labels | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET


class RotateSecret(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of `POST /webhooks/{webhook_id}/rotate`."""

    secret: Secret | None = None
    """Made when left out."""
    keep_old_s: Annotated[float, msgspec.Meta(ge=0, le=2_592_000)] = 86_400.0
    """For so long deliveries are signed with the old secret too."""


class WebhookInfo(msgspec.Struct, kw_only=True):
    webhook_id: str
    url: str
    events: list[str]
    workflow: str | None
    labels: dict[str, str]
    tenant: str | None
    """None hears of every tenant's jobs."""
    description: str
    enabled: bool
    disabled_reason: str
    created_at: str
    updated_at: str
    secret: str | msgspec.UnsetType = msgspec.UNSET
    """Only in the answer that made it."""


class WebhookPage(msgspec.Struct, kw_only=True):
    items: list[WebhookInfo]
    next_cursor: str | None = None


DeliveryState = Literal["pending", "delivered", "dead"]


class DeliveryInfo(msgspec.Struct, kw_only=True):
    delivery_id: str
    """The header `webhook-id`."""
    webhook_id: str | None
    """None for a job's own `webhook_url`."""
    url: str
    """Where it goes, without the query."""
    job_id: str | None
    seq: int | None
    """Of the event, gapless per job: what arrives out of order can be put in order by it."""
    type: str
    at: str
    """Of the event."""
    state: DeliveryState
    attempts: int
    next_at: str | None
    last_at: str | None
    last_status: int | None
    """HTTP status of the latest answer; None when there was none."""
    last_error: str | None


class DeliveryPage(msgspec.Struct, kw_only=True):
    items: list[DeliveryInfo]
    next_cursor: str | None = None


class OwnSecret(msgspec.Struct, kw_only=True):
    """What signs deliveries to jobs' own `webhook_url`."""

    source: Literal["setting", "generated"]
    secret: str | None
    """None when it is a setting: whoever set it has it."""


class WebhookBody(msgspec.Struct, kw_only=True):
    """What a receiver gets."""

    type: str
    timestamp: str
    """When it happened."""
    data: JobInfo | dict[str, Any]
    """The job as it stood when the event was committed; empty for `webhook.test`."""
    seq: int | msgspec.UnsetType = msgspec.UNSET
    task: str | msgspec.UnsetType = msgspec.UNSET
    """For events of a task."""
    index: int | msgspec.UnsetType = msgspec.UNSET
    run_id: str | msgspec.UnsetType = msgspec.UNSET
    actor: str | msgspec.UnsetType = msgspec.UNSET
