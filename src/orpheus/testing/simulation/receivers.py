"""Receivers of webhooks, flaky ones, and the sender that calls them: what they heard is held against the events (R28).

every event that was due is heard of at least once    nobody hears of an event that is not committed
an id means one event of one destination, for ever    a delivery that is dead was really refused every time
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from orpheus.core.webhooks import ENDS, Called, Delivery, Subscription, matches
from orpheus.engine.webhooks import Settle
from orpheus.store.database import connect_reader
from orpheus.store.queries import with_events
from orpheus.store.webhook_reads import due_deliveries, next_delivery
from orpheus.testing.simulation.clock import ManualClock
from orpheus.testing.simulation.invariants import Broken

if TYPE_CHECKING:
    from orpheus.engine.machine import Machine
    from orpheus.testing.simulation.server import SimServer

URLS = ("https://a.example/hook", "https://a.example/other", "https://b.example/")
FINAL_ROUNDS = 400
"""Enough for many thousands of deliveries to one receiver; it ends when none is left."""
_SECRET = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"  # noqa: S105 (signs nothing)

Place = tuple[str, str, int]
"""Destination, job, seq."""


class Receivers:
    """Every receiver there is.

    Args:
        rng: of their own, so that a run without webhooks is the run it was.
    """

    def __init__(self, server: SimServer, clock: ManualClock, rng: Random, path: Path) -> None:
        self._server = server
        self._clock = clock
        self._rng = rng
        self._path = path
        self._chance = rng.choice((0.0, 0.0, 0.3, 1.0))
        """That a job has a URL of its own."""
        self._faults = rng.choice((0.0, 0.3, 0.8))
        self._patterns = rng.choice(((), (), ("job.*",), ("job.created", "task.completed")))
        self.webhook_id: str | None = None
        self._asked = False
        self._since = 0
        """Events of a higher cursor came after the subscription. Their times do not tell: the clock may be set back."""
        self.heard: dict[str, list[str]] = {}
        """By id of the delivery: how each call went."""
        self.ids: dict[Place, str] = {}

    def url(self) -> str | None:
        """Return the URL that the next job is given."""
        return self._rng.choice(URLS) if self._rng.random() < self._chance else None

    @property
    def uses(self) -> bool:
        return self._chance > 0 or bool(self._patterns)

    def step(self) -> None:
        """Subscribe once, then make a few of the calls that are due."""
        machine = self._server.machine
        if machine is None or not self.uses:
            return
        self._subscribe(machine)
        hooks = machine.webhooks
        for destination in hooks.due_now(self._clock.now()):
            if self._rng.random() < 0.5:
                continue
            change = hooks.changes.get(destination, 0)
            found = due_deliveries(machine.store.connection, destination, self._clock.now(), 5)
            if found:
                machine.queue(Settle(hooks, [self._call(each) for each in found]))
            else:
                hooks.looked(destination, change, next_delivery(machine.store.connection, destination))

    def _subscribe(self, machine: Machine) -> None:
        if not self._patterns or self._asked or self.webhook_id is not None:
            return
        self._asked = True
        starts = self._server.starts

        def made(outcome: Any) -> None:
            if self._server.starts == starts and self._server.up:
                self.webhook_id = outcome.webhook_id
                self._since = machine.store.last_cursor()

        wanted = Subscription(
            webhook_id="", tenant=None, url=URLS[0], events=self._patterns, secrets=((_SECRET, None),)
        )
        machine.call("create_webhook", lambda work: machine.webhooks.create(work, wanted), made)

    def _call(self, delivery: Delivery) -> Called:
        """One call. That its outcome is lost in a crash is what makes it come again."""
        self._check(delivery)
        ok = self._rng.random() >= self._faults
        self.heard.setdefault(delivery.delivery_id, []).append("ok" if ok else "no")
        return Called(delivery, ok=ok, status=200 if ok else self._rng.choice((500, None)), error=None if ok else "no")

    def _check(self, delivery: Delivery) -> None:
        assert delivery.job_id is not None and delivery.seq is not None, "there are no tests of webhooks in here"
        place = (delivery.destination, delivery.job_id, delivery.seq)
        if self.ids.setdefault(place, delivery.delivery_id) != delivery.delivery_id:
            raise Broken(f"{place} came under two ids (R28)")
        told = self._rows(
            with_events(
                "SELECT type FROM events WHERE job_no = (SELECT job_no FROM jobs WHERE job_id = ?) AND seq = ?"
            ),
            delivery.job_id,
            delivery.seq,
        )
        if told != [(delivery.type,)]:
            raise Broken(f"{delivery.type} of {place} was told, and the events have {told} there (R28)")

    def settle(self) -> None:
        """Peace: everybody answers, and time passes until nothing is pending; then look back.

        Raises:
            Broken: something was never told, or not as often as it is said to have been.
        """
        if not self.uses:
            return
        self._faults = 0.0
        for _ in range(FINAL_ROUNDS):
            for _ in range(20):
                self.step()
                while self._server.step():
                    pass
            if not self._rows("SELECT 1 FROM deliveries WHERE state = 'pending' LIMIT 1"):
                break
            self._clock.advance(86_400.0)
        machine = self._server.machine
        assert machine is not None, "it runs in peace"
        if machine.webhooks.pending:
            raise Broken(f"the outbox counts {machine.webhooks.pending} pending deliveries, and there are none")
        self._check_all()

    def _check_all(self) -> None:
        rows = {
            (destination, job_id, seq): (delivery_id, state, attempts)
            for destination, job_id, seq, delivery_id, state, attempts in self._rows(
                "SELECT destination, job_id, seq, delivery_id, state, attempts FROM deliveries"
            )
        }
        for place, (delivery_id, state, attempts) in rows.items():
            heard = self.heard.get(delivery_id, [])
            if state == "pending" or not heard or len(heard) < attempts:
                raise Broken(f"{place} is {state} after {attempts} calls, of which {len(heard)} came (R28)")
            if state == "delivered" and "ok" not in heard:
                raise Broken(f"{place} is said to be delivered, and was refused each time (R28)")
        self._check_due(rows)

    def _check_due(self, rows: dict[Place, Any]) -> None:
        own = with_events("SELECT job_id, seq, type, webhook_url, cursor FROM events JOIN jobs USING (job_no)")
        for job_id, seq, kind, url, cursor in self._rows(own):
            if url is not None and kind in ENDS:
                origin = "/".join(url.split("/")[:3])
                if (origin, job_id, seq) not in rows:
                    raise Broken(f"{kind} of {job_id} was never told to {url} (R28)")
            if self.webhook_id is None or cursor <= self._since:
                continue
            if any(matches(each, kind) for each in self._patterns) and (self.webhook_id, job_id, seq) not in rows:
                raise Broken(f"{kind} of {job_id} was never told to the subscription (R28)")

    def _rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        connection: sqlite3.Connection = connect_reader(self._path)
        try:
            return connection.execute(statement, parameters).fetchall()
        finally:
            connection.close()
