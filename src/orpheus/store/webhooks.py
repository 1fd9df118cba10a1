"""Webhooks and the outbox of deliveries: rows, read and written (R28)."""

from __future__ import annotations

import msgspec

from orpheus.core.decision import Event
from orpheus.core.job import Job
from orpheus.core.webhooks import Delivery, Due, Subscription
from orpheus.store import rows
from orpheus.store.unit import Unit


class About(msgspec.Struct, omit_defaults=True):
    """What a delivery tells: the event, and the job as it stood when the event was committed."""

    event: Event | None = None
    job: Job | None = None


_about = msgspec.json.Decoder(About).decode


def delivery_from_row(row: rows.Row) -> Delivery:
    """Read a row with the columns of the statement `delivery`."""
    about = _about(row[10])
    fields: rows.Row = (*row[:10], about.event, about.job, *row[11:])
    return Delivery(*fields)


class WebhookRows:
    """Writes of one transaction."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def all(self) -> list[Subscription]:
        return [_subscription(row) for row in self._unit.execute("all_webhooks")]

    def put(self, webhook: Subscription) -> None:
        """Write a webhook, new or changed."""
        self._unit.wrote = True
        self._unit.execute(
            "put_webhook",
            (
                *(webhook.webhook_id, webhook.tenant, webhook.url, rows.to_json(webhook.events), webhook.workflow),
                *(rows.to_json(dict(webhook.labels)), webhook.description, rows.to_json(webhook.secrets)),
                *(int(webhook.enabled), webhook.disabled_reason, webhook.created_at, webhook.updated_at),
            ),
        )

    def delete(self, webhook_id: str) -> None:
        self._unit.wrote = True
        self._unit.execute("delete_webhook", (webhook_id,))

    def add(self, delivery_id: str, due: Due, job: Job, event: Event) -> None:
        """Note that somebody is to be told of an event; part of the transaction that writes the event."""
        about = rows.to_json(About(event, job))
        self._unit.insert(
            "insert_delivery",
            (
                *(delivery_id, due.destination, due.webhook_id, due.url, job.tenant, job.job_id, event.seq),
                *(event.type, event.at, about, event.at),
            ),
        )

    def add_test(self, delivery_id: str, webhook: Subscription, kind: str, tenant: str, now: float) -> None:
        self._unit.insert(
            "insert_delivery",
            (delivery_id, webhook.webhook_id, webhook.webhook_id, None, tenant, None, None, kind, now, "{}", now),
        )

    def delivery(self, delivery_id: str) -> Delivery | None:
        row = self._unit.execute("delivery", (delivery_id,)).fetchone()
        return None if row is None else delivery_from_row(row)

    def pending(self) -> list[tuple[str, int, float]]:
        """Return `(destination, how many, earliest time)`."""
        return [(row[0], row[1], row[2]) for row in self._unit.execute("pending_destinations")]

    def settle(
        self,
        delivery: Delivery,
        *,
        state: str,
        next_at: float | None,
        now: float,
        status: int | None,
        error: str | None,
    ) -> bool:
        """Write how a call went; False when the delivery was queued anew, dropped or forgotten meanwhile."""
        self._unit.wrote = True
        met = self._unit.execute(
            "settle_delivery", (state, next_at, now, status, error, delivery.delivery_no, delivery.tries)
        )
        return met.rowcount == 1

    def redeliver(self, delivery: Delivery, now: float) -> None:
        self._unit.wrote = True
        self._unit.execute("redeliver", (now, delivery.delivery_no))

    def drop(self, destination: str, now: float, reason: str) -> int:
        """Give up what is pending for a destination; return how many there were."""
        self._unit.wrote = True
        return self._unit.execute("drop_deliveries", (now, reason, destination)).rowcount

    def forget(self, before: float, limit: int) -> int:
        """Delete deliveries that came to their end before the instant; return how many."""
        self._unit.wrote = True
        return self._unit.execute("forget_deliveries", (before, limit)).rowcount


def _subscription(row: rows.Row) -> Subscription:
    webhook_id, tenant, url, events, workflow, labels, description, secrets, enabled, reason, created_at, updated_at = (
        row
    )
    return Subscription(
        webhook_id=webhook_id,
        tenant=tenant,
        url=url,
        events=tuple(rows.from_json(events)),
        workflow=workflow,
        labels=rows.read_mapping(labels),
        description=description,
        secrets=tuple((secret, until) for secret, until in rows.from_json(secrets)),
        enabled=bool(enabled),
        disabled_reason=reason,
        created_at=created_at,
        updated_at=updated_at,
    )
