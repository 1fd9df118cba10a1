"""Which lines of a job's logs does somebody want to see?"""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = ("debug", "info", "warning", "error", "critical")
"""The least first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """All of what is given applies."""

    node: str | None = None
    index: int | None = None
    attempt: int | None = None
    level: str | None = None
    """This level and those above it."""
    q: str | None = None
    """Text in the message; case does not matter for ASCII letters."""

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels that are wanted; none means all."""
        return () if self.level is None or self.level == LEVELS[0] else LEVELS[LEVELS.index(self.level) :]


EVERY_LINE = LogFilter()
