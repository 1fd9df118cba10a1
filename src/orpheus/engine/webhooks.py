"""Who is told of what happened, outside? The outbox of webhook deliveries (R28).

    event decided ─► `note` writes a row per destination, in the event's own transaction ─► COMMIT ─► `_due` knows the time
    sender: `take` what is due of one destination ─► HTTP ─► `Settle` writes how it went, and when to call again

Subscriptions stand in memory, and of the deliveries only one number per destination: when its next one is due. So a job
that nobody asked about pays for one comparison, and a receiver that is dead for days costs rows, not memory. What is being
sent is not marked anywhere: a crash in between sends it again, under the same id (at least once).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from orpheus.core.ids import RANDOM_BITS, uuid7
from orpheus.core.webhooks import ENDS, TEST, Called, Delivery, Subscription, due, next_try
from orpheus.engine.work import Operation, Work

if TYPE_CHECKING:
    from orpheus.core.decision import Event
    from orpheus.core.job import Job
    from orpheus.store.transaction import Transaction

GONE = 410
FORGET_AT_ONCE = 1_000


class Webhooks:
    """Subscriptions, and when each destination is due.

    Args:
        rng: ids and jitter.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.subscriptions: dict[str, Subscription] = {}
        self._by_tenant: dict[str | None, tuple[Subscription, ...]] = {}
        self._due: dict[str, float] = {}
        self.changes: dict[str, int] = {}
        """Of a destination: how often something came for it, so that a look at the rows can tell that it is stale."""
        self.pending = 0
        self.delivered = 0
        self.failed = 0
        """Calls that did not go well."""
        self.dead = 0
        self.on_due: Callable[[], None] = lambda: None
        """Told after a commit that brought something to send."""

    # In the transaction of the events

    def note(self, work: Work, job: Job, events: Sequence[Event]) -> None:
        """Write what is to be told of a job's events. Called for every decision: nothing here may cost."""
        if job.webhook_url is None and not self._by_tenant:
            return
        asked = (*self._by_tenant.get(None, ()), *self._by_tenant.get(job.tenant, ()))
        if not asked and job.webhook_url is None:
            return
        noted: list[tuple[str, float]] = []
        for event in events:
            if not asked and event.type not in ENDS:
                continue
            for each in due(job, event.type, asked):
                work.tx.webhooks.add(self._new_id(work.now), each, job, event)
                noted.append((each.destination, event.at))
        if noted:
            work.after_commit(lambda: self._noted(noted))

    def _noted(self, noted: Iterable[tuple[str, float]]) -> None:
        for destination, at in noted:
            self.pending += 1
            self.wake(destination, at)
        self.on_due()

    def wake(self, destination: str, at: float) -> None:
        """Something of the destination is due then."""
        self._due[destination] = min(at, self._due.get(destination, at))
        self.changes[destination] = self.changes.get(destination, 0) + 1

    def _new_id(self, now: float) -> str:
        return f"msg_{uuid7(now, self._rng.getrandbits(RANDOM_BITS))}"

    # At the start

    def recover(self, tx: Transaction) -> None:
        """Make the memory from the rows."""
        for webhook in tx.webhooks.all():
            self.subscriptions[webhook.webhook_id] = webhook
        self._index()
        for destination, count, at in tx.webhooks.pending():
            self.pending += count
            self.wake(destination, at)

    def _index(self) -> None:
        found: dict[str | None, list[Subscription]] = {}
        for each in self.subscriptions.values():
            if each.enabled:
                found.setdefault(each.tenant, []).append(each)
        self._by_tenant = {tenant: tuple(some) for tenant, some in found.items()}

    # For the sender

    def due_now(self, now: float) -> list[str]:
        """Return the destinations that there is something to send to."""
        return [destination for destination, at in self._due.items() if at <= now]

    def next_due(self, skip: Collection[str] = ()) -> float | None:
        return min((at for destination, at in self._due.items() if destination not in skip), default=None)

    def looked(self, destination: str, change: int, at: float | None) -> None:
        """A look at the rows, begun at `change`, found that the destination's next delivery is due then, or that there is
        none."""
        if self.changes.get(destination, 0) != change:
            return  # something came meanwhile, which the look may not have seen
        if at is None:
            self._due.pop(destination, None)
            self.changes.pop(destination, None)
        else:
            self._due[destination] = at

    # Changes of subscriptions

    def put(self, work: Work, webhook: Subscription) -> Subscription:
        work.tx.webhooks.put(webhook)

        def known() -> None:
            self.subscriptions[webhook.webhook_id] = webhook
            self._index()

        work.after_commit(known)
        return webhook

    def drop(self, work: Work, destination: str, reason: str) -> None:
        """Give up what is pending for a destination."""
        dropped = work.tx.webhooks.drop(destination, work.now, reason)

        def count() -> None:
            self.pending -= dropped
            self.dead += dropped

        work.after_commit(count)

    def create(self, work: Work, webhook: Subscription) -> Subscription:
        made = replace(
            webhook,
            webhook_id=f"wh_{uuid7(work.now, self._rng.getrandbits(RANDOM_BITS))}",
            created_at=work.now,
            updated_at=work.now,
        )
        return self.put(work, made)

    def change(self, work: Work, webhook: Subscription) -> Subscription:
        """Write a changed subscription; one that is disabled by this gives up what is pending."""
        if not webhook.enabled:
            self.drop(work, webhook.webhook_id, webhook.disabled_reason or "the webhook was disabled")
        return self.put(work, replace(webhook, updated_at=work.now))

    def delete(self, work: Work, webhook_id: str) -> None:
        work.tx.webhooks.delete(webhook_id)
        self.drop(work, webhook_id, "the webhook was deleted")

        def known() -> None:
            self.subscriptions.pop(webhook_id, None)
            self._index()

        work.after_commit(known)

    def test(self, work: Work, webhook: Subscription, tenant: str) -> str:
        """Queue a delivery that tells of nothing; return its id."""
        delivery_id = self._new_id(work.now)
        work.tx.webhooks.add_test(delivery_id, webhook, TEST, tenant, work.now)
        at = work.now
        work.after_commit(lambda: self._noted([(webhook.webhook_id, at)]))
        return delivery_id

    def redeliver(self, work: Work, delivery: Delivery) -> None:
        """Send it again, under its old id, and with all its tries before it."""
        work.tx.webhooks.redeliver(delivery, work.now)
        was_pending = delivery.state == "pending"
        at = work.now

        def known() -> None:
            self.pending -= was_pending
            self._noted([(delivery.destination, at)])

        work.after_commit(known)

    def forget(self, work: Work, before: float) -> int:
        return work.tx.webhooks.forget(before, FORGET_AT_ONCE)

    def stats(self) -> Mapping[str, int]:
        return {
            "subscriptions": len(self.subscriptions),
            "pending": self.pending,
            "destinations": len(self._due),
            "delivered": self.delivered,
            "failed": self.failed,
            "dead": self.dead,
        }


class Settle(Operation):
    """Write how calls went, and when to call again."""

    name = "webhook"

    def __init__(self, webhooks: Webhooks, called: Iterable[Called]) -> None:
        self._webhooks = webhooks
        self._called = list(called)

    def run(self, work: Work) -> None:
        for call in self._called:
            self._settle(work, call)

    def _settle(self, work: Work, call: Called) -> None:
        hooks, delivery = self._webhooks, call.delivery
        next_at: float | None = None
        state = "delivered" if call.ok else "dead"
        if not call.ok and call.status != GONE:
            wait_s = next_try(delivery.tries + 1, work.draws.uniform(), call.retry_after_s)
            if wait_s is not None:
                state, next_at = "pending", work.now + wait_s
        met = work.tx.webhooks.settle(
            delivery, state=state, next_at=next_at, now=work.now, status=call.status, error=call.error
        )

        def count() -> None:
            hooks.delivered += call.ok
            hooks.failed += not call.ok
            if met and state != "pending":
                hooks.pending -= 1
                hooks.dead += state == "dead"
            if next_at is not None:
                hooks.wake(delivery.destination, next_at)

        work.after_commit(count)
        webhook = hooks.subscriptions.get(delivery.webhook_id or "")
        if call.status == GONE and webhook is not None and webhook.enabled:
            reason = "the receiver answered 410 Gone"
            hooks.change(work, replace(webhook, enabled=False, disabled_reason=reason))
