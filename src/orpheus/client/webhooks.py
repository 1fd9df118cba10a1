"""Webhooks: who is told of events by an HTTP call, and how the deliveries went (docs/webhooks.md).

The requests stand once, above; the two classes below are what `Client.webhooks` and `AsyncClient.webhooks` are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from orpheus.client.effects import Operation
from orpheus.client.paging import Pager
from orpheus.client.requests import Reply, Request, decoder, encode, get, post
from orpheus.client.retrying import Patience, send
from orpheus.protocol.webhooks import DeliveryInfo, OwnSecret, RotateSecret, WebhookInfo

T = TypeVar("T")

_WEBHOOK = decoder(WebhookInfo)
_DELIVERY = decoder(DeliveryInfo)
_SECRET = decoder(OwnSecret)


def _path(webhook_id: str, *rest: str) -> str:
    return "/".join(["/webhooks", quote(webhook_id, safe=""), *rest])


def _ask(request: Request, parse: Callable[[Reply], T], patience: Patience) -> Operation[T]:
    return parse((yield from send(request, patience)))


def _create(url: str, fields: Mapping[str, Any]) -> Request:
    # Twice would make two subscriptions, and their receiver hear everything twice.
    given = {name: value for name, value in fields.items() if value is not None}
    return post("/webhooks", {"url": url, **given}, repeatable=False)


def _change(webhook_id: str, changes: Mapping[str, Any]) -> Request:
    headers = {"content-type": "application/json"}
    return Request("PATCH", _path(webhook_id), headers=headers, body=encode(dict(changes)))


def _rotate(webhook_id: str, secret: str | None, keep_old_s: float) -> Request:
    return post(_path(webhook_id, "rotate"), RotateSecret(secret=secret, keep_old_s=keep_old_s), repeatable=False)


def _deliveries(
    webhook: str | None, job: str | None, state: str | None, limit: int | None, patience: Patience
) -> Pager[DeliveryInfo]:
    query = {"webhook": webhook, "job": job, "state": state}
    return Pager(DeliveryInfo, "/webhooks/deliveries", query, patience, limit=limit)


def _delivery_path(delivery_id: str, *rest: str) -> str:
    return _path("deliveries", quote(delivery_id, safe=""), *rest)


def _nothing(reply: Reply) -> None:
    del reply


class Webhooks:
    """Webhooks of a server; `Client.webhooks`."""

    def __init__(
        self, run: Callable[[Operation[Any]], Any], pages: Callable[[Pager[Any]], Iterator[Any]], patience: Patience
    ) -> None:
        self._run = run
        self._pages = pages
        self._patience = patience

    def _ask(self, request: Request, parse: Callable[[Reply], T]) -> T:
        answer: T = self._run(_ask(request, parse, self._patience))
        return answer

    def create(
        self,
        url: str,
        *,
        events: Sequence[str] | None = None,
        workflow: str | None = None,
        labels: Mapping[str, str] | None = None,
        tenant: str | None = None,
        secret: str | None = None,
        description: str | None = None,
    ) -> WebhookInfo:
        """Subscribe a URL; left out, `events` are the ends of jobs. The answer holds the secret, this once."""
        fields = {
            "events": events,
            "workflow": workflow,
            "labels": labels,
            "tenant": tenant,
            "secret": secret,
            "description": description,
        }
        return self._ask(_create(url, fields), _WEBHOOK)

    def list(self) -> Iterator[WebhookInfo]:
        """Iterate over the subscriptions."""
        return self._pages(Pager(WebhookInfo, "/webhooks", {}, self._patience, whole=True))

    def get(self, webhook_id: str) -> WebhookInfo:
        """Return one subscription."""
        return self._ask(get(_path(webhook_id)), _WEBHOOK)

    def change(self, webhook_id: str, **changes: Any) -> WebhookInfo:
        """Change `url`, `events`, `workflow`, `labels`, `description` or `enabled`."""
        return self._ask(_change(webhook_id, changes), _WEBHOOK)

    def delete(self, webhook_id: str) -> None:
        """Remove a subscription and give up what is pending for it."""
        self._ask(Request("DELETE", _path(webhook_id)), _nothing)

    def rotate(self, webhook_id: str, *, secret: str | None = None, keep_old_s: float = 86_400.0) -> WebhookInfo:
        """Give a subscription another secret; for `keep_old_s` both sign. The answer holds the new one, this once."""
        return self._ask(_rotate(webhook_id, secret, keep_old_s), _WEBHOOK)

    def test(self, webhook_id: str) -> DeliveryInfo:
        """Have a delivery of type `webhook.test` sent."""
        return self._ask(post(_path(webhook_id, "test")), _DELIVERY)

    def deliveries(
        self,
        *,
        webhook: str | None = None,
        job: str | None = None,
        state: str | None = None,
        limit: int | None = None,
    ) -> Iterator[DeliveryInfo]:
        """Iterate over deliveries, the newest first; `state` is pending, delivered or dead."""
        return self._pages(_deliveries(webhook, job, state, limit, self._patience))

    def delivery(self, delivery_id: str) -> DeliveryInfo:
        """Return one delivery."""
        return self._ask(get(_delivery_path(delivery_id)), _DELIVERY)

    def redeliver(self, delivery_id: str) -> DeliveryInfo:
        """Have a delivery sent again, under its id."""
        return self._ask(post(_delivery_path(delivery_id, "redeliver")), _DELIVERY)

    def own_secret(self) -> OwnSecret:
        """Return the secret that signs deliveries to jobs' own `webhook_url`, if the server made it."""
        return self._ask(get("/webhooks/secret"), _SECRET)


class AsyncWebhooks:
    """Webhooks of a server; `AsyncClient.webhooks`. What each method does is told in `Webhooks`."""

    def __init__(
        self,
        run: Callable[[Operation[Any]], Awaitable[Any]],
        pages: Callable[[Pager[Any]], AsyncIterator[Any]],
        patience: Patience,
    ) -> None:
        self._run = run
        self._pages = pages
        self._patience = patience

    async def _ask(self, request: Request, parse: Callable[[Reply], T]) -> T:
        answer: T = await self._run(_ask(request, parse, self._patience))
        return answer

    async def create(
        self,
        url: str,
        *,
        events: Sequence[str] | None = None,
        workflow: str | None = None,
        labels: Mapping[str, str] | None = None,
        tenant: str | None = None,
        secret: str | None = None,
        description: str | None = None,
    ) -> WebhookInfo:
        """Subscribe a URL."""
        fields = {
            "events": events,
            "workflow": workflow,
            "labels": labels,
            "tenant": tenant,
            "secret": secret,
            "description": description,
        }
        return await self._ask(_create(url, fields), _WEBHOOK)

    def list(self) -> AsyncIterator[WebhookInfo]:
        """Iterate over the subscriptions."""
        return self._pages(Pager(WebhookInfo, "/webhooks", {}, self._patience, whole=True))

    async def get(self, webhook_id: str) -> WebhookInfo:
        """Return one subscription."""
        return await self._ask(get(_path(webhook_id)), _WEBHOOK)

    async def change(self, webhook_id: str, **changes: Any) -> WebhookInfo:
        """Change a subscription."""
        return await self._ask(_change(webhook_id, changes), _WEBHOOK)

    async def delete(self, webhook_id: str) -> None:
        """Remove a subscription."""
        await self._ask(Request("DELETE", _path(webhook_id)), _nothing)

    async def rotate(self, webhook_id: str, *, secret: str | None = None, keep_old_s: float = 86_400.0) -> WebhookInfo:
        """Give a subscription another secret."""
        return await self._ask(_rotate(webhook_id, secret, keep_old_s), _WEBHOOK)

    async def test(self, webhook_id: str) -> DeliveryInfo:
        """Have a delivery of type `webhook.test` sent."""
        return await self._ask(post(_path(webhook_id, "test")), _DELIVERY)

    def deliveries(
        self,
        *,
        webhook: str | None = None,
        job: str | None = None,
        state: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[DeliveryInfo]:
        """Iterate over deliveries, the newest first."""
        return self._pages(_deliveries(webhook, job, state, limit, self._patience))

    async def delivery(self, delivery_id: str) -> DeliveryInfo:
        """Return one delivery."""
        return await self._ask(get(_delivery_path(delivery_id)), _DELIVERY)

    async def redeliver(self, delivery_id: str) -> DeliveryInfo:
        """Have a delivery sent again, under its id."""
        return await self._ask(post(_delivery_path(delivery_id, "redeliver")), _DELIVERY)

    async def own_secret(self) -> OwnSecret:
        """Return the secret that signs deliveries to jobs' own `webhook_url`, if the server made it."""
        return await self._ask(get("/webhooks/secret"), _SECRET)
