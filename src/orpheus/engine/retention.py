"""How long is an ended job kept? Rules by tenant, workflow and state (docs/retention.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orpheus.core.errors import InvalidRequest
from orpheus.core.job import TERMINAL
from orpheus.core.suggest import did_you_mean, quoted

EVERY = "all"
_SCOPES = ("workflow", "tenant")


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds by rule. The most specific rule counts: tenant, then workflow, then state, then `all`; `inf` keeps for ever."""

    rules: Mapping[str, float]

    def __post_init__(self) -> None:
        states = [str(state) for state in TERMINAL]
        for name, length_s in self.rules.items():
            scope, colon, which = name.partition(":")
            if not (name in (EVERY, *states) or (colon and scope in _SCOPES and which)):
                near = did_you_mean(scope, [EVERY, *states, *_SCOPES])
                raise InvalidRequest(
                    f"retention_s: {quoted(name)} is no rule",
                    hint=near or "Use all, completed, failed, cancelled, workflow:NAME or tenant:NAME.",
                )
            if not length_s >= 0:
                raise InvalidRequest(f"retention_s: {name} is {length_s}; it is a number of seconds, or inf")

    @property
    def shortest_s(self) -> float | None:
        """Return the shortest length, or None when everything is kept."""
        return min((length for length in self.rules.values() if length != float("inf")), default=None)

    def length_s(self, *, state: str, workflow: str, tenant: str) -> float | None:
        """Return how long a job is kept after its end; None is for ever."""
        for name in (f"tenant:{tenant}", f"workflow:{workflow}", state, EVERY):
            found = self.rules.get(name)
            if found is not None:
                return None if found == float("inf") else found
        return None
