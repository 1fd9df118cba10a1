"""Who did what, when? The shape of the answer: orders that belong to no job, and the orders in jobs' events, in one list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """All of what is given applies. Instants are seconds since the epoch."""

    actor: str | None = None
    type: str | None = None
    tenant: str | None = None
    """None: of all tenants, and what belongs to none."""
    after: float | None = None
    before: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that somebody did."""

    at: float
    type: str
    actor: str
    subject: str
    """What it was done to: a job's id, a key's id, a queue's or schedule's name."""
    tenant: str | None
    correlation_id: str
    job_id: str | None = None
    seq: int | None = None
    """Number of the job's event."""
    task: str | None = None
    index: int | None = None
    run_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
