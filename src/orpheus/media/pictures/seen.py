"""What is on a picture: values, and their files `analysis/labels.json` and `analysis/objects.json`."""

from __future__ import annotations

from dataclasses import dataclass, field

from orpheus import File


@dataclass(frozen=True, slots=True)
class Label:
    """What a picture shows, and how sure that is: 0 to 1."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Thing:
    """An object and where it is: `[x, y, width, height]` in pixels of the upright picture."""

    label: str
    score: float
    box: list[int]


@dataclass(frozen=True, slots=True)
class Seen:
    """What somebody saw; only what passed the threshold, the surest first."""

    labels: list[Label] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)
    caption: str | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """The result of `analyse_image`."""

    seen: Seen
    by: str
    """The model that looked; empty when none did."""
    files: list[File]
    notes: list[str] = field(default_factory=list)
