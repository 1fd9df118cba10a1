"""How does a handler run, and how is it stopped? What every executor offers to the attempt that drives it.

An attempt starts a `Work` and awaits what `start` returns: it is there when the handler has really ended. To stop it, the
attempt climbs a ladder: `stop` asks (the flag, SIGTERM, a cancelled task), `press` insists half-way through the grace,
`kill` ends it. A handler in the loop or in a thread may outlive even that (`dies` is False): it is abandoned then, reported
as such, and holds its slot until it has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from orpheus.authoring.context import WaitForCallback
from orpheus.protocol.worker import ReportedArtifact, ReportedError


class Completed(msgspec.Struct):
    """The handler returned; `result` is JSON."""

    result: bytes
    artifacts: list[ReportedArtifact] | None = None
    """What a child process saved; None where the handler ran in this process."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The handler returned `wait_for_callback(…)`: another system brings the result (R22)."""

    timeout_s: float
    artifacts: list[ReportedArtifact] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    error: ReportedError


@dataclass(frozen=True, slots=True)
class Stopped:
    """The handler ended because it was told to."""


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The handler goes on although its grace is over; nothing it still does counts."""


Outcome = Completed | HandedOver | Failed | Stopped | Abandoned


class Work(Protocol):
    """One handler at work."""

    dies: bool
    """Whether `kill` surely ends it."""

    def start(self) -> Awaitable[Outcome]: ...
    def stop(self) -> None: ...
    def press(self) -> None: ...
    def kill(self) -> None: ...


def returned(value: bytes | WaitForCallback, artifacts: list[ReportedArtifact] | None = None) -> Outcome:
    """Return the outcome of a handler that has returned; `value` is what `Handler.encode` made of it."""
    if isinstance(value, WaitForCallback):
        return HandedOver(value.timeout_s, artifacts)
    return Completed(value, artifacts)
