"""What can be asked of an engine about what it keeps: part of the contract (`base.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOrder:
    """What is to go: ended jobs, known results, or both. Lengths in seconds."""

    jobs_older_than_s: float | None = None
    """Jobs that ended so long ago; None leaves jobs alone."""
    states: Sequence[str] = ()
    """Of the ends; none is all."""
    workflow: str | None = None
    tenant: str | None = None
    """Whose jobs and results."""
    cache_older_than_s: float | None = None
    """Known results that were not used for so long; None leaves the cache alone."""
    cache_task: str | None = None
    """Of this task only: `name` or `name@version`."""
    dry_run: bool = False


@dataclass(slots=True)
class Pruned:
    """What went, or would go."""

    jobs: dict[str, int] = field(default_factory=dict)
    """By state."""
    results: int = 0


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup holds."""

    target: str
    objects: int
    size_bytes: int
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureFilter:
    """Which failed jobs are grouped."""

    workflow: str | None = None
    tenant: str | None = None
    code: str | None = None
    after: float | None = None
    before: float | None = None
    """Instants of the failure."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Jobs that are failed now and failed alike."""

    failure: str
    workflow: str
    task: str
    code: str
    type: str
    message: str
    jobs: int
    first_at: float
    last_at: float
    sample: tuple[str, ...]


class UpkeepOrders(Protocol):
    """What is asked for."""

    async def prune(self, order: PruneOrder) -> Pruned:
        """Remove; returns when rows and files are gone."""

    async def sweep(self) -> None:
        """Do what is done once in a while: retention, unused uploads, leftovers of attempts."""

    async def backup(self, target: str) -> BackedUp:
        """Copy database and objects to a new folder of the server's machine, while everything goes on.

        Raises:
            InvalidRequest: the folder exists and is not empty, or cannot be made.
        """

    async def known_results(self, *, tenant: str | None) -> list[Mapping[str, Any]]:
        """Return what the cache holds, by task and tenant: `task`, `tenant`, `results`, `uses`, `size_bytes`,
        `oldest_at`, `used_at`."""

    async def failures(self, wanted: FailureFilter, *, limit: int) -> list[Failures]:
        """Group failed jobs by fingerprint, the largest groups first."""
