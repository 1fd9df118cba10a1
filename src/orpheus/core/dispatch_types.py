"""What goes into the dispatcher and what comes out of it: sources, needs, refs, offers, reasons (R25)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from orpheus.core.dispatch_fair import Resources
from orpheus.core.dispatch_limits import Rate

Key = tuple[str, str, int, int]
"""`Task.key`: (job_id, node, index, generation)."""


class Source(NamedTuple):
    """Where ready rows come from: the columns of the store's index of ready tasks before `ready_seq`."""

    queue: str
    priority: int
    tenant: str
    handler: str
    concurrency_key: str | None = None


class Needs(NamedTuple):
    """What a node asks for beside a slot; from its definition. Share one per node."""

    resources: Resources = ()
    """`((name, amount), …)` sorted by name, amounts above 0."""
    concurrency_limit: int = 1
    """Runs that may share the source's `concurrency_key`, if it has one."""
    rate: Rate | None = None
    """`(limit, period_s)` by task name."""


NO_NEEDS = Needs()


class ReadyRef(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A ready task, as much of it as the order needs."""

    key: Key
    ready_seq: int
    source: Source
    needs: Needs = NO_NEEDS


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker can take now.

    Args:
        handlers: `name@version` of every task it offers.
        queues: those it serves; empty is all.
        free: tasks it can take.
        resources_free: amounts by name.
    """

    handlers: tuple[str, ...]
    queues: tuple[str, ...] = ()
    free: int = 1
    resources_free: Mapping[str, int] = field(default_factory=dict)


class Refill(NamedTuple):
    """Wanted: rows of `source` with `ready_seq > after_seq`, in that order, at most `limit`."""

    source: Source
    after_seq: int
    limit: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """A live worker, for `why`: its offer as last heard, and all it has."""

    offer: Offer
    resources: Mapping[str, int] = field(default_factory=dict)


class Reason(NamedTuple):
    """Why a ready task waits: `pause`, `slot`, `key`, `rate`, `resource` or `worker` (promise 6)."""

    reason: str
    detail: str
