"""Webhooks: who is told of events, and how the deliveries went (R28)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from orpheus.api.calls import NO_CONTENT, Answer, Call, json_answer
from orpheus.api.errors import Forbidden, MalformedBody, TooLarge, UnsupportedBody
from orpheus.api.query import Limit, Place, whole_number
from orpheus.api.render import instant
from orpheus.api.route import Routes
from orpheus.api.webhook_sender import new_secret
from orpheus.core import webhook_signature as signature
from orpheus.core.errors import InvalidRequest
from orpheus.core.webhooks import Delivery, PrivateAddress, Subscription, check_events, check_url
from orpheus.engine.webhook_contract import DeliveryFilter, UnknownDelivery, UnknownWebhook
from orpheus.protocol.webhooks import (
    DeliveryInfo,
    DeliveryPage,
    DeliveryState,
    NewWebhook,
    OwnSecret,
    PatchWebhook,
    RotateSecret,
    WebhookInfo,
    WebhookPage,
)

routes = Routes("webhooks", "Who is told of events by an HTTP call, and how the deliveries went.")

_BODY_ERRORS = (MalformedBody, InvalidRequest, UnsupportedBody, TooLarge, PrivateAddress)


@routes.post(
    "/webhooks", role="operate", body=NewWebhook, answers={201: WebhookInfo}, errors=(*_BODY_ERRORS, Forbidden)
)
async def create_webhook(call: Call) -> Answer:
    """Subscribe a URL to events. The answer shows the secret that signs, and nothing shows it again."""
    asked: NewWebhook = call.body
    if call.identity.tenant is not None and asked.tenant not in (None, call.identity.tenant):
        raise Forbidden(f"the key is of tenant {call.identity.tenant!r}", hint="leave tenant out")
    secret = asked.secret or new_secret()
    _check_secret(secret)
    made = await call.services.engine.webhooks.create(
        Subscription(
            webhook_id="",
            tenant=call.identity.tenant or asked.tenant,
            url=_checked(call, asked.url),
            events=check_events(asked.events),
            workflow=asked.workflow,
            labels=asked.labels,
            description=asked.description,
            secrets=((secret, None),),
        ),
        actor=call.identity.actor,
    )
    return json_answer(_webhook(made, secret=secret), status=201)


@routes.get("/webhooks", role="operate", answers={200: WebhookPage})
async def list_webhooks(call: Call) -> Answer:
    """List the subscriptions."""
    found = call.services.engine.webhooks.subscriptions(call.identity.tenant)
    return json_answer(WebhookPage(items=[_webhook(each) for each in found]))


class DeliveriesQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    webhook: str | None = None
    """Only those of this subscription."""
    job: str | None = None
    """Only those that tell of this job."""
    state: DeliveryState | None = None
    limit: Limit = 50
    cursor: Place | None = None


@routes.get(
    "/webhooks/deliveries",
    role="read",
    query=DeliveriesQuery,
    answers={200: DeliveryPage},
    errors=(InvalidRequest,),
)
async def list_deliveries(call: Call) -> Answer:
    """List deliveries, the newest first: how often each was tried, and what came of it."""
    query: DeliveriesQuery = call.query
    desk = call.services.engine.webhooks
    found = await desk.deliveries(
        DeliveryFilter(webhook_id=query.webhook, job_id=query.job, state=query.state),
        tenant=call.identity.tenant,
        before=whole_number(query.cursor) if query.cursor else None,
        limit=query.limit,
    )
    more = str(found[-1].delivery_no) if len(found) == query.limit else None
    urls = {each.webhook_id: each.url for each in desk.subscriptions(None)}
    return json_answer(DeliveryPage(items=[_delivery(each, urls) for each in found], next_cursor=more))


@routes.get("/webhooks/deliveries/{delivery_id}", role="read", answers={200: DeliveryInfo}, errors=(UnknownDelivery,))
async def show_delivery(call: Call) -> Answer:
    """Show one delivery."""
    found = await call.services.engine.webhooks.delivery(call.path["delivery_id"], tenant=call.identity.tenant)
    return _one(call, found)


@routes.post(
    "/webhooks/deliveries/{delivery_id}/redeliver",
    role="operate",
    answers={202: DeliveryInfo},
    errors=(UnknownDelivery, InvalidRequest),
)
async def redeliver(call: Call) -> Answer:
    """Send a delivery again, whatever came of it before. It keeps its id."""
    queued = await call.services.engine.webhooks.redeliver(call.path["delivery_id"], tenant=call.identity.tenant)
    return _one(call, queued, status=202)


@routes.get("/webhooks/secret", role="admin", shared=True, answers={200: OwnSecret})
async def own_secret(call: Call) -> Answer:
    """Show the secret that signs deliveries to jobs' own `webhook_url`, if it was made here and not set."""
    if call.services.options.webhook_secrets:
        return json_answer(OwnSecret(source="setting", secret=None))
    return json_answer(OwnSecret(source="generated", secret=await call.services.engine.webhooks.own_secret(new_secret)))


@routes.get("/webhooks/{webhook_id}", role="operate", answers={200: WebhookInfo}, errors=(UnknownWebhook,))
async def show_webhook(call: Call) -> Answer:
    """Show a subscription."""
    return json_answer(_webhook(_find(call)))


@routes.patch(
    "/webhooks/{webhook_id}",
    role="operate",
    body=PatchWebhook,
    answers={200: WebhookInfo},
    errors=(*_BODY_ERRORS, UnknownWebhook),
)
async def change_webhook(call: Call) -> Answer:
    """Change a subscription. Disabling it gives up what is pending; enabling it begins with the next event."""
    changes: dict[str, Any] = msgspec.to_builtins(call.body)
    if "url" in changes:
        _checked(call, changes["url"])
    if "events" in changes:
        changes["events"] = check_events(changes["events"])
    if "enabled" in changes:
        changes["disabled_reason"] = "" if changes["enabled"] else f"disabled by {call.identity.actor}"
    changed = await call.services.engine.webhooks.change(
        call.path["webhook_id"], changes, tenant=call.identity.tenant, actor=call.identity.actor
    )
    return json_answer(_webhook(changed))


@routes.delete("/webhooks/{webhook_id}", role="operate", answers={204: None}, errors=(UnknownWebhook,))
async def delete_webhook(call: Call) -> Answer:
    """Remove a subscription and give up what is pending for it."""
    await call.services.engine.webhooks.delete(
        call.path["webhook_id"], tenant=call.identity.tenant, actor=call.identity.actor
    )
    return NO_CONTENT


@routes.post(
    "/webhooks/{webhook_id}/rotate",
    role="operate",
    body=RotateSecret,
    body_optional=True,
    answers={200: WebhookInfo},
    errors=(*_BODY_ERRORS, UnknownWebhook),
)
async def rotate_secret(call: Call) -> Answer:
    """Give a subscription another secret. For a while deliveries carry both signatures."""
    asked: RotateSecret = call.body or RotateSecret()
    secret = asked.secret or new_secret()
    _check_secret(secret)
    webhook = _find(call)
    now = call.services.now()
    kept = tuple((old, now + asked.keep_old_s) for old in webhook.signing(now)[:1] if old != secret)
    changed = await call.services.engine.webhooks.change(
        webhook.webhook_id, {"secrets": ((secret, None), *kept)}, tenant=call.identity.tenant, actor=call.identity.actor
    )
    return json_answer(_webhook(changed, secret=secret))


@routes.post(
    "/webhooks/{webhook_id}/test",
    role="operate",
    answers={202: DeliveryInfo},
    errors=(UnknownWebhook, InvalidRequest),
)
async def test_webhook(call: Call) -> Answer:
    """Send a delivery of type `webhook.test`; look at it to see what came of it."""
    queued = await call.services.engine.webhooks.test(call.path["webhook_id"], tenant=call.identity.tenant)
    return _one(call, queued, status=202)


def _find(call: Call) -> Subscription:
    return call.services.engine.webhooks.subscription(call.path["webhook_id"], call.identity.tenant)


def _checked(call: Call, url: str) -> str:
    return check_url(url, allow_private=call.services.options.webhook_allow_private)


def _check_secret(secret: str) -> None:
    try:
        signature.key_of(secret)
    except ValueError as error:
        raise InvalidRequest(
            f"secret: {error}",
            hint="Leave it out and one is made.",
            details=[{"path": "/secret", "message": str(error)}],
        ) from None


def _one(call: Call, delivery: Delivery, *, status: int = 200) -> Answer:
    urls = {each.webhook_id: each.url for each in call.services.engine.webhooks.subscriptions(None)}
    return json_answer(_delivery(delivery, urls), status=status)


def _webhook(webhook: Subscription, *, secret: str | None = None) -> WebhookInfo:
    return WebhookInfo(
        webhook_id=webhook.webhook_id,
        url=webhook.url,
        events=list(webhook.events),
        workflow=webhook.workflow,
        labels=dict(webhook.labels),
        tenant=webhook.tenant,
        description=webhook.description,
        enabled=webhook.enabled,
        disabled_reason=webhook.disabled_reason,
        created_at=instant(webhook.created_at) or "",
        updated_at=instant(webhook.updated_at) or "",
        secret=msgspec.UNSET if secret is None else secret,
    )


def _delivery(delivery: Delivery, urls: dict[str, str]) -> DeliveryInfo:
    url = delivery.url or urls.get(delivery.webhook_id or "", "")
    return DeliveryInfo(
        delivery_id=delivery.delivery_id,
        webhook_id=delivery.webhook_id,
        url=_without_query(url),
        job_id=delivery.job_id,
        seq=delivery.seq,
        type=delivery.type,
        at=instant(delivery.at) or "",
        state=delivery.state,  # type: ignore[arg-type]  # the table checks that it is one of them
        attempts=delivery.attempts,
        next_at=instant(delivery.next_at),
        last_at=instant(delivery.last_at),
        last_status=delivery.last_status,
        last_error=delivery.last_error,
    )


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
