"""A storyboard, as a job's params hold it (formats.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from orpheus import File
from orpheus.media.errors import InvalidInput

Seconds = Annotated[float, msgspec.Meta(ge=0.2, le=120)]
Side = Annotated[int, msgspec.Meta(ge=16, le=4096)]
SceneId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Motion = Literal["none", "zoom_in", "zoom_out", "pan_left", "pan_right"]
Renderer = Literal["local", "replicate"]

MOST_SCENES = 500


@dataclass(frozen=True, slots=True)
class Transition:
    """How a scene goes over into the next: at once, through black (`fade`), or into one another (`dissolve`).

    Both of the slow ones overlap the two scenes by `duration_s`, so the video is shorter by it.
    """

    type: Literal["cut", "fade", "dissolve"] = "cut"
    duration_s: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0.5


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture set in motion, or two that fade into each other."""

    id: SceneId
    image: File
    duration_s: Seconds
    image_end: File | None = None
    prompt: str = ""
    """What a generating renderer should make of the picture."""
    motion: Motion = "none"
    caption: str = ""
    transition: Transition = field(default_factory=Transition)


@dataclass(frozen=True, slots=True)
class Storyboard:
    """Scenes in order, and what they share."""

    scenes: Annotated[list[Scene], msgspec.Meta(min_length=1, max_length=MOST_SCENES)]
    title: str = ""
    size: Annotated[list[Side], msgspec.Meta(min_length=2, max_length=2)] = field(default_factory=lambda: [1280, 720])
    fps: Annotated[int, msgspec.Meta(ge=1, le=60)] = 25
    audio: File | None = None

    @property
    def width(self) -> int:
        return self.size[0] // 2 * 2

    @property
    def height(self) -> int:
        return self.size[1] // 2 * 2


@dataclass(frozen=True, slots=True)
class Canvas:
    """What all scenes of a storyboard are rendered for."""

    width: int
    height: int
    fps: int


@dataclass(frozen=True, slots=True)
class Clip:
    """A rendered scene."""

    id: str
    video: File
    duration_s: float


def check(board: Storyboard) -> None:
    """Refuse a storyboard that makes no sense as a whole.

    Raises:
        InvalidInput: two scenes share an id, or a transition is longer than a scene it joins.
    """
    seen: set[str] = set()
    for place, scene in enumerate(board.scenes):
        if scene.id in seen:
            raise InvalidInput(f"two scenes have the id {scene.id!r}", hint="Give each scene an id of its own.")
        seen.add(scene.id)
        following = board.scenes[place + 1] if place + 1 < len(board.scenes) else None
        overlap_s = overlap(scene)
        if following is not None and overlap_s > min(scene.duration_s, following.duration_s) / 2:
            raise InvalidInput(
                f"the transition after scene {scene.id!r} takes {overlap_s:g} s, more than half of a scene it joins"
            )


def overlap(scene: Scene) -> float:
    """Return for how long a scene and the next are seen together."""
    return 0.0 if scene.transition.type == "cut" else scene.transition.duration_s


def frames(duration_s: float, fps: int) -> int:
    return max(1, round(duration_s * fps))
