"""Estimates on the wire."""

from __future__ import annotations

import msgspec


class PriceRange(msgspec.Struct, kw_only=True):
    least: float
    """What runs for certain and is not cached."""
    most: float | None
    """Whatever may run, once each; null where that is known only when it begins, or has run."""
    expected: float | None = None
    """As `most`, with what tasks usually said they cost where they say so themselves."""


class Expected(msgspec.Struct, kw_only=True):
    """Seconds; null is not known."""

    p50: float | None
    p95: float | None


class Unknown(msgspec.Struct, kw_only=True):
    node: str
    reason: str


class NodeExpected(msgspec.Struct, kw_only=True):
    node: str
    task: str
    """`name@version`, a child's workflow, or the kind of a node without either."""
    runs: str
    """yes, maybe or no, as far as the params say."""
    count: int | None
    """Runs of it: 1, or the items of a map."""
    price: PriceRange
    duration_s: Expected
    samples: int
    """Recorded runs that the durations stand on."""


class EstimateInfo(msgspec.Struct, kw_only=True):
    """What a job is expected to cost and to take, from when it may begin."""

    price: PriceRange
    duration_s: Expected
    unknown: list[Unknown]
    """Why something is null, or left out."""
    nodes: list[NodeExpected]
