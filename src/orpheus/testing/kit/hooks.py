"""Receivers of webhooks, in a test: no socket, but the real outbox, with its retries and its dead letters (R28)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orpheus.core.webhooks import Called, Delivery, Subscription

if TYPE_CHECKING:
    from orpheus.testing.kit.engine import KitEngine
    from orpheus.testing.kit.place import Place

AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class HookCall:
    """One call of a receiver."""

    delivery_id: str
    """The header `webhook-id`: the same when it comes again."""
    type: str
    """`job.completed` …"""
    url: str
    job_id: str | None
    status: int
    """What it was answered."""


class KitHooks:
    """Everybody who is told. `answer` decides the status of each call: `kit.hooks.answer = lambda delivery: 500`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.engine: KitEngine
        """Set by the kit; another one after a restart."""
        self.answer: Callable[[Delivery], int] = _accept
        self.calls: list[HookCall] = []

    def subscribe(self, url: str, events: Sequence[str] = ("job.*",), *, tenant: str | None = "default") -> str:
        """Have a URL told of events; return the webhook's id."""
        wanted = Subscription(webhook_id="", tenant=tenant, url=url, events=tuple(events))
        made = self._place.here(lambda: self._place.complete(self.engine.webhooks.create(wanted, actor="test")))
        return made.webhook_id

    def deliver(self) -> bool:
        """Make the calls that are due; tell whether there were any."""
        desk = self.engine.webhooks
        found = False
        for destination in desk.due_now(skip=()):
            for delivery in self._place.complete(desk.take(destination, AT_ONCE, skip=frozenset())):
                found = True
                self._place.complete(desk.settle([self._call(delivery)]))
        return found

    def next_due_in(self) -> float | None:
        return self.engine.webhooks.next_due_in(skip=())

    def _call(self, delivery: Delivery) -> Called:
        status = self.answer(delivery)
        known = self.engine.machine.webhooks.subscriptions.get(delivery.webhook_id or "")
        url = delivery.url or (known.url if known is not None else "")
        self.calls.append(HookCall(delivery.delivery_id, delivery.type, url, delivery.job_id, status))
        return Called(delivery, ok=200 <= status < 300, status=status)


def _accept(_delivery: Delivery) -> int:
    return 204
