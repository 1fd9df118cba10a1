"""What can be asked about webhooks: the part of the engine's contract that R28 is about."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orpheus.core.errors import OrpheusError
from orpheus.core.webhooks import Called, Delivery, Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    webhook_id: str | None = None
    job_id: str | None = None
    state: str | None = None


class WebhookDesk(Protocol):
    """Subscriptions and the outbox. `tenant` None sees all; what belongs to another tenant is unknown."""

    # For people

    def subscriptions(self, tenant: str | None) -> list[Subscription]:
        """Return the subscriptions, the oldest first; those of all tenants are seen by who sees all."""

    def subscription(self, webhook_id: str, tenant: str | None) -> Subscription:
        """Raises UnknownWebhook."""

    async def create(self, webhook: Subscription, *, actor: str) -> Subscription:
        """Add a subscription; id and times are given to it."""

    async def change(
        self, webhook_id: str, changes: Mapping[str, Any], *, tenant: str | None, actor: str
    ) -> Subscription:
        """Change fields of `Subscription`. Disabling gives up what is pending for it."""

    async def delete(self, webhook_id: str, *, tenant: str | None, actor: str) -> None: ...
    async def test(self, webhook_id: str, *, tenant: str | None) -> Delivery:
        """Queue a delivery of type `webhook.test`."""

    async def deliveries(
        self, filters: DeliveryFilter, *, tenant: str | None, before: int | None, limit: int
    ) -> list[Delivery]:
        """Return deliveries, the newest first, those before `delivery_no`."""

    async def delivery(self, delivery_id: str, *, tenant: str | None) -> Delivery:
        """Raises UnknownDelivery."""

    async def redeliver(self, delivery_id: str, *, tenant: str | None) -> Delivery:
        """Send it again now, under its id."""

    async def own_secret(self, new_secret: Callable[[], str]) -> str:
        """Return the secret for jobs' own URLs that is kept with the data; made at the first call."""

    # For the sender

    def on_due(self, heard: Callable[[], None]) -> None:
        """Have `heard` called after each commit that brought something to send."""

    def due_now(self, *, skip: Collection[str]) -> list[str]:
        """Return the destinations that there is something to send to, but for some."""

    def next_due_in(self, *, skip: Collection[str]) -> float | None:
        """Return the seconds until some destination is due, but for some; None when there is none."""

    async def take(self, destination: str, limit: int, *, skip: frozenset[int]) -> list[Delivery]:
        """Return what is due of a destination, leaving out those with these numbers."""

    async def settle(self, called: Sequence[Called]) -> None:
        """Write how calls went."""

    async def forget(self, before_s: float) -> int:
        """Delete deliveries that came to their end so long ago; return how many."""


class UnknownWebhook(OrpheusError):
    """There is no webhook of this id, or it is another tenant's."""

    code = "unknown_webhook"
    status = 404


class UnknownDelivery(OrpheusError):
    """There is no delivery of this id, or it was deleted by its age, or it is another tenant's."""

    code = "unknown_delivery"
    status = 404
