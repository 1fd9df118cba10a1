"""What happened to a job, in order, and what a test may claim about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

from orpheus.core.decision import Event


def named(event: Event) -> str:
    """Return an event as assertions write it: `task.started:cut`, `task.started:cut[2]`, or `job.completed`."""
    if event.task is None:
        return event.type
    return f"{event.type}:{event.task}" + ("" if event.index is None else f"[{event.index}]")


class EventLog(Sequence[Event]):
    """A job's events. Patterns are `"task.started"` (of any task), `"task.started:cut"` (of one, items included) or
    `"task.started:cut[2]"` (of one item)."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = list(events)

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> EventLog: ...
    def __getitem__(self, place: int | slice) -> Event | EventLog:
        return EventLog(self._events[place]) if isinstance(place, slice) else self._events[place]

    def __len__(self) -> int:
        return len(self._events)

    def __repr__(self) -> str:
        return f"EventLog({self.names})"

    @property
    def types(self) -> list[str]:
        """`job.created`, `job.queued`, `task.ready` …"""
        return [event.type for event in self._events]

    @property
    def names(self) -> list[str]:
        """The same with the task: `task.ready:cut`."""
        return [named(event) for event in self._events]

    def of(self, *patterns: str) -> EventLog:
        """Return the events that fit any of the patterns."""
        return EventLog(event for event in self._events if any(_fits(event, pattern) for pattern in patterns))

    def count(self, pattern: str) -> int:
        return len(self.of(pattern))

    def assert_order(self, *patterns: str) -> None:
        """Claim that these events are there in this order; others may stand between them."""
        rest = iter(self._events)
        for place, pattern in enumerate(patterns):
            if not any(_fits(event, pattern) for event in rest):
                before = f" after {', '.join(patterns[:place])}" if place else ""
                raise AssertionError(f"no event {pattern!r}{before}; there are:\n{self._listed()}")

    def assert_none(self, *patterns: str) -> None:
        """Claim that none of these events is there."""
        for pattern in patterns:
            found = self.of(pattern)
            if found:
                raise AssertionError(f"{len(found)} × {pattern!r}, where none was expected:\n{self._listed()}")

    def assert_count(self, pattern: str, count: int) -> None:
        """Claim that there are exactly so many."""
        found = self.count(pattern)
        if found != count:
            raise AssertionError(f"{found} × {pattern!r}, not {count}:\n{self._listed()}")

    def _listed(self) -> str:
        return "\n".join(f"  {event.seq:>4} {named(event)}" for event in self._events)


def _fits(event: Event, pattern: str) -> bool:
    kind, colon, place = pattern.partition(":")
    if event.type != kind:
        return False
    return not colon or place in (event.task, named(event).partition(":")[2])
