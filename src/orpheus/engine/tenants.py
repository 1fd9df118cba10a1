"""Whose turn weighs how much, and how much may a tenant have? Weights and quotas as people set them (R25).

Set in the file, kept in memory beside the dispatcher. A tenant without settings has weight 1 and no quota, and costs
nothing. What bounds what:

    weight           the share of claims among tenants that all have something ready
    max_running      runs at a time, over all queues; more are ready and wait (`quota`)
    max_open_jobs    jobs that have not ended; one more is refused at submission (`quota_exceeded`)
    max_priority     the highest priority its tasks get; a higher one that is asked for is lowered to it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orpheus.core.errors import InvalidRequest, QuotaExceeded
from orpheus.core.suggest import did_you_mean, quoted
from orpheus.engine.work import Work

if TYPE_CHECKING:
    from orpheus.engine.limits import Feed

FIELDS = ("weight", "max_running", "max_open_jobs", "max_priority")
LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000.0
MOST = 1_000_000_000
RETRY_AFTER_S = 5.0
"""When to try again a submission over the quota: nobody knows when a job of the tenant will end."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What a tenant may have; None is no limit."""

    max_open_jobs: int | None = None
    max_priority: int = 1


class Tenants:
    """The settings of every tenant that has any."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.settings: dict[str, dict[str, Any]] = {}

    def set(self, name: str, settings: Mapping[str, Any]) -> None:
        """After the commit, and at the start: have them in force."""
        self.settings[name] = dict(settings)
        weight = float(settings.get("weight") or 1.0)
        self._feed.dispatcher.set_tenant(name, weight=weight, max_running=settings.get("max_running"))
        self._feed.stirred = True

    def quota(self, name: str) -> Quota | None:
        """Return a tenant's quota on submission, None for one without."""
        settings = self.settings.get(name)
        if settings is None:
            return None
        return Quota(settings.get("max_open_jobs"), settings.get("max_priority") or 1)


def check_open_jobs(work: Work, tenant: str, quota: Quota, new: dict[str, int]) -> None:
    """Refuse a job that would be one too many.

    Args:
        new: jobs by tenant that this request creates before it; counted up here.

    Raises:
        QuotaExceeded: the tenant has as many open jobs as it may.
    """
    if quota.max_open_jobs is None:
        return
    created = new.get(tenant, 0)
    open_jobs = work.tx.limits.open_jobs(tenant)
    if open_jobs + created >= quota.max_open_jobs:
        asked = f", and this request would add {created + 1}" if created else ""
        raise QuotaExceeded(
            f"tenant {tenant!r} has {open_jobs} open jobs of the {quota.max_open_jobs} it may have{asked}",
            hint="Try again when some have ended, cancel what is not needed, or have max_open_jobs of the tenant raised.",
            retry_after_s=RETRY_AFTER_S,
        )
    new[tenant] = created + 1


def tenant_changes(tenants: Tenants, name: str, changes: Mapping[str, Any]) -> Callable[[Work], None]:
    """Return the transaction's function that changes a tenant's settings.

    Raises:
        InvalidRequest: a field or value that cannot be. The name was checked by whoever asks.
    """
    for field, value in changes.items():
        _check(field, value)

    def change(work: Work) -> None:
        before = work.tx.limits.tenants().get(name, {})
        settings = {field: value for field, value in {**before, **changes}.items() if value is not None}
        work.tx.limits.put_tenant(name, settings, work.now)
        work.after_commit(lambda: tenants.set(name, settings))

    return change


def _check(field: str, value: Any) -> None:
    if field not in FIELDS:
        raise InvalidRequest(
            f"a tenant has no setting {quoted(field)}",
            hint=did_you_mean(field, FIELDS),
            details=[{"path": f"/{field[:80]}", "message": "unknown setting"}],
        )
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is None:
        return
    if field == "weight":
        fits = (whole or isinstance(value, float)) and LEAST_WEIGHT <= value <= MOST_WEIGHT
        fault = f"is a number from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}, or null for 1"
    elif field == "max_priority":
        fits, fault = whole and 1 <= value <= 5, "is a priority from 1 (no cap) to 5, or null for no cap"
    else:
        fits, fault = whole and 0 <= value <= MOST, f"is a whole number from 0 to {MOST}, or null for no limit"
    if not fits:
        raise InvalidRequest(f"{field} {fault}", details=[{"path": f"/{field}", "message": f"{field} {fault}"}])
