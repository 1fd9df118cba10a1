"""How far is a run? Progress is held back so that a talkative handler costs one row write per quarter second.

What a run says is merged here; its row hears of it when enough time has passed since it last did, and always before
something that needs it: a failed attempt's heartbeat details reach the next one (R17).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from orpheus.core.facts import RunProgressed


@dataclass(slots=True)
class Said:
    """What a run has said and its row does not know yet."""

    fraction: float | None = None
    stage: str | None = None
    heartbeat: Any = None

    def merge(self, fraction: float | None, stage: str | None, heartbeat: Any) -> None:
        if fraction is not None:
            self.fraction = fraction
        if stage is not None:
            self.stage = stage
        if heartbeat is not None:
            self.heartbeat = heartbeat

    def fact(self, *, node: str, index: int, run_id: str, actor: str) -> RunProgressed:
        return RunProgressed(
            node=node,
            index=index,
            run_id=run_id,
            fraction=self.fraction,
            stage=self.stage,
            heartbeat=self.heartbeat,
            actor=actor,
        )


class ProgressBook:
    """What was said, by run, and when each row was last written. Instants are of the monotonic clock."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._said: dict[str, Said] = {}
        self._written: dict[str, float] = {}

    def say(self, run_id: str, fraction: float | None, stage: str | None, heartbeat: Any) -> None:
        self._said.setdefault(run_id, Said()).merge(fraction, stage, heartbeat)

    def due(self, now: float) -> list[str]:
        """Return the runs whose row may be written now."""
        return [run_id for run_id in self._said if self.is_due(run_id, now)]

    def is_due(self, run_id: str, now: float) -> bool:
        """Tell whether the row of this run, which has said something, may be written now."""
        return self._due_at(run_id) <= now

    def next_due(self) -> float | None:
        return min((self._due_at(run_id) for run_id in self._said), default=None)

    def look(self, run_id: str) -> Said | None:
        """Return a copy of what the row does not know yet; it stays here until `written`."""
        said = self._said.get(run_id)
        return None if said is None else replace(said)

    def written(self, run_id: str, said: Said, now: float) -> None:
        """The row knows `said`; anything said since stays."""
        if self._said.get(run_id) == said:
            del self._said[run_id]
        self._written[run_id] = now

    def hold(self, run_id: str, now: float) -> None:
        """A write is queued: the next may follow after the usual time."""
        self._written[run_id] = now

    def forget(self, run_ids: Iterable[str]) -> None:
        if self._said or self._written:
            for run_id in run_ids:
                self._said.pop(run_id, None)
                self._written.pop(run_id, None)

    def _due_at(self, run_id: str) -> float:
        return self._written.get(run_id, float("-inf")) + self._every_s
