"""Limits in the simulator: what people set, and whether more ever began than a rate or a quota allows (R25).

A setting counts from when it was acknowledged and everything picked before it is committed; while a change is under way
neither the old nor the new one is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from orpheus.core import facts as f
from orpheus.core.errors import OrpheusError
from orpheus.engine.base import BulkOrder, JobFilter
from orpheus.engine.bulk import ACTIONS, DONE, TellMany
from orpheus.engine.tenants import tenant_changes
from orpheus.testing.simulation.inspector import Inspector
from orpheus.testing.simulation.server import Down, SimServer

RATES: tuple[tuple[int, float] | None, ...] = (None, None, (1, 4.0), (3, 15.0))


@dataclass(slots=True)
class LimitOrders:
    """Somebody who sets limits and gives orders to many."""

    server: SimServer
    inspector: Inspector
    rng: Random
    hear: Callable[[Callable[[Any], None]], Callable[[Any], None]]
    """Drops answers of a process that has ended."""
    faults: list[str] = field(default_factory=list)

    def step(self, queues: tuple[str, ...], tenants: tuple[str, ...]) -> None:
        """Do one of these things.

        Raises:
            Down: there is no server.
        """
        if not self.server.up:
            raise Down
        rng = self.rng
        what = rng.choice(("queue", "queue", "tenant", "bulk"))
        if what == "queue":
            rate = rng.choice(RATES)
            changes = {"paused": rng.random() < 0.3, "concurrency": rng.choice((None, 1, 2, 5)), "rate_limit": rate}
            self.set_queue(rng.choice(queues), changes)
        elif what == "tenant":
            quota = {"max_running": rng.choice((None, 0, 1, 3)), "max_priority": rng.choice((None, 2, 4))}
            self.set_tenant(rng.choice(tenants), {"weight": rng.choice((0.5, 1.0, 3.0)), **quota})
        else:
            self.bulk(rng.choice(("cancel", "retry", "approve", "pause", "resume", "resume")), rng.choice(tenants))

    def lift(self, queues: tuple[str, ...], tenants: tuple[str, ...]) -> None:
        """Take every limit away: what waited for one has to be woken."""
        for queue in queues:
            self.set_queue(queue, {"paused": False, "concurrency": None, "rate_limit": None})
        for tenant in tenants:
            self.set_tenant(tenant, {"max_running": None})

    def set_queue(self, queue: str, changes: dict[str, Any]) -> None:
        limits, rates = self.inspector.limits, self.inspector.rates
        limits.changing(queue)
        rate = changes["rate_limit"]
        rates.changing(f"queue:{queue}")

        def done(outcome: Any) -> None:
            if isinstance(outcome, OrpheusError):
                self.faults.append(f"queue {queue} could not be set: {outcome}")
                return
            limits.acknowledged[queue] = (changes["concurrency"], changes["paused"])
            rates.acknowledged[f"queue:{queue}"] = rate

        said = rate and {"limit": rate[0], "period_s": rate[1]}
        self.server.update_queue(queue, {**changes, "rate_limit": said}, self.hear(done))

    def set_tenant(self, tenant: str, changes: dict[str, Any]) -> None:
        quotas = self.inspector.quotas
        quotas.changing(tenant)

        def done(outcome: Any) -> None:
            if isinstance(outcome, OrpheusError):
                self.faults.append(f"tenant {tenant} could not be set: {outcome}")
            else:
                quotas.acknowledged[tenant] = (changes["max_running"], False)

        machine = self.server.machine
        if machine is not None:
            machine.call("tenant", tenant_changes(machine.tenants, tenant, changes), self.hear(done))

    def bulk(self, action: str, tenant: str) -> None:
        """Tell all of a tenant's jobs that the action is for, as `POST /jobs/bulk` does; a crash leaves some untold."""
        make, predict, _states = ACTIONS[action]
        order = BulkOrder(action=action, filters=JobFilter(tenant=tenant), reason="many", actor="bulk")
        for job in self.inspector.jobs()[-20:]:
            machine = self.server.machine
            if machine is not None and job.tenant == tenant and predict(job) == DONE:
                machine.queue(TellMany(job.job_id, make(order)), self.hear(self._told))

    def _told(self, outcome: Any) -> None:
        if isinstance(outcome, OrpheusError) and outcome.code != "invalid_transition":
            self.faults.append(f"one of many orders was refused: {outcome.code} {outcome}")


def random_update(rng: Random) -> f.JobUpdated:
    """Change a job's priority, or a label."""
    if rng.random() < 0.6:
        return f.JobUpdated(priority=rng.randint(1, 5), actor="ada")
    return f.JobUpdated(labels={rng.choice("ab"): rng.choice((None, "x", "y"))}, actor="ada")
