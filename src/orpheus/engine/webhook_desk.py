"""The embedded engine's side of `webhook_contract.py`: asks the machine, reads beside the writer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orpheus.core.errors import InvalidRequest
from orpheus.core.suggest import quoted
from orpheus.core.webhooks import Called, Delivery, Subscription
from orpheus.engine.orders import Call
from orpheus.engine.webhook_contract import DeliveryFilter, UnknownDelivery, UnknownWebhook
from orpheus.engine.webhooks import Settle
from orpheus.engine.work import Operation, Work

if TYPE_CHECKING:
    from orpheus.engine.machine import Machine
    from orpheus.store.reader import Reader

SECRET = "webhook_secret"  # noqa: S105 (the key it is kept under)


class EmbeddedWebhooks:
    """Keeps `webhook_contract.WebhookDesk`.

    Args:
        do: has an operation run in the next transaction, and waits for its commit.
    """

    def __init__(self, machine: Machine, reads: Reader, do: Callable[[Operation], Awaitable[Any]]) -> None:
        self._machine = machine
        self._hooks = machine.webhooks
        self._reads = reads
        self._do = do

    # Subscriptions

    def subscriptions(self, tenant: str | None) -> list[Subscription]:
        found = [each for each in self._hooks.subscriptions.values() if tenant is None or each.tenant == tenant]
        return sorted(found, key=lambda each: each.webhook_id)

    def subscription(self, webhook_id: str, tenant: str | None) -> Subscription:
        found = self._hooks.subscriptions.get(webhook_id)
        if found is None or (tenant is not None and found.tenant != tenant):
            raise UnknownWebhook(f"there is no webhook {quoted(webhook_id)}", hint="GET /webhooks lists them.")
        return found

    async def create(self, webhook: Subscription, *, actor: str) -> Subscription:
        def create(work: Work) -> Subscription:
            made = self._hooks.create(work, webhook)
            work.audit("webhook.created", made.webhook_id, actor=actor, tenant=made.tenant, events=list(made.events))
            return made

        made: Subscription = await self._call("create_webhook", create)
        return made

    async def change(
        self, webhook_id: str, changes: Mapping[str, Any], *, tenant: str | None, actor: str
    ) -> Subscription:
        def change(work: Work) -> Subscription:
            changed = self._hooks.change(work, replace(self.subscription(webhook_id, tenant), **changes))
            # Which fields, not what they hold: a URL or a secret has no place in the trail.
            work.audit("webhook.updated", webhook_id, actor=actor, tenant=changed.tenant, fields=sorted(changes))
            return changed

        changed: Subscription = await self._call("change_webhook", change)
        return changed

    async def delete(self, webhook_id: str, *, tenant: str | None, actor: str) -> None:
        def delete(work: Work) -> None:
            deleted = self.subscription(webhook_id, tenant)
            self._hooks.delete(work, webhook_id)
            work.audit("webhook.deleted", webhook_id, actor=actor, tenant=deleted.tenant)

        await self._call("delete_webhook", delete)

    # Deliveries

    async def test(self, webhook_id: str, *, tenant: str | None) -> Delivery:
        def test(work: Work) -> str:
            webhook = self.subscription(webhook_id, tenant)
            _check_enabled(webhook)
            return self._hooks.test(work, webhook, webhook.tenant or tenant or "default")

        return await self.delivery(await self._call("test_webhook", test), tenant=tenant)

    async def deliveries(
        self, filters: DeliveryFilter, *, tenant: str | None, before: int | None, limit: int
    ) -> list[Delivery]:
        return await self._reads.deliveries(
            tenant=tenant,
            webhook_id=filters.webhook_id,
            job_id=filters.job_id,
            state=filters.state,
            before=before,
            limit=limit,
        )

    async def delivery(self, delivery_id: str, *, tenant: str | None) -> Delivery:
        return _visible(await self._reads.delivery(delivery_id), delivery_id, tenant)

    async def redeliver(self, delivery_id: str, *, tenant: str | None) -> Delivery:
        def redeliver(work: Work) -> None:
            delivery = _visible(work.tx.webhooks.delivery(delivery_id), delivery_id, tenant)
            if delivery.webhook_id is not None:
                _check_enabled(self.subscription(delivery.webhook_id, None))
            self._hooks.redeliver(work, delivery)

        await self._call("redeliver", redeliver)
        return await self.delivery(delivery_id, tenant=tenant)

    async def own_secret(self, new_secret: Callable[[], str]) -> str:
        def keep(work: Work) -> str:
            known = work.tx.meta(SECRET)
            if known is None:
                known = new_secret()
                work.tx.put_meta(SECRET, known)
            return known

        secret: str = await self._call("webhook_secret", keep)
        return secret

    # The sender

    def on_due(self, heard: Callable[[], None]) -> None:
        self._hooks.on_due = heard

    def due_now(self, *, skip: Collection[str]) -> list[str]:
        return [each for each in self._hooks.due_now(self._machine.clock.now()) if each not in skip]

    def next_due_in(self, *, skip: Collection[str]) -> float | None:
        at = self._hooks.next_due(skip)
        return None if at is None else max(0.0, at - self._machine.clock.now())

    async def take(self, destination: str, limit: int, *, skip: frozenset[int]) -> list[Delivery]:
        change = self._hooks.changes.get(destination, 0)
        now = self._machine.clock.now()
        found, next_at = await self._reads.due_deliveries(destination, now, limit + len(skip))
        fresh = [each for each in found if each.delivery_no not in skip][:limit]
        if not fresh:
            self._hooks.looked(destination, change, next_at)
        return fresh

    async def settle(self, called: Sequence[Called]) -> None:
        await self._do(Settle(self._hooks, called))

    async def forget(self, before_s: float) -> int:
        def forget(work: Work) -> int:
            return self._hooks.forget(work, work.now - before_s)

        count: int = await self._call("forget_deliveries", forget)
        return count

    async def _call(self, name: str, do: Callable[[Work], Any]) -> Any:
        return await self._do(Call(name, do))


def _check_enabled(webhook: Subscription) -> None:
    if not webhook.enabled:
        raise InvalidRequest(
            f"webhook {webhook.webhook_id} is disabled: {webhook.disabled_reason or 'somebody disabled it'}",
            hint='PATCH /webhooks/{id} with {"enabled": true} first.',
        )


def _visible(delivery: Delivery | None, delivery_id: str, tenant: str | None) -> Delivery:
    if delivery is None or (tenant is not None and delivery.tenant != tenant):
        raise UnknownDelivery(
            f"there is no delivery {quoted(delivery_id)}", hint="GET /webhooks/deliveries lists them."
        )
    return delivery
