"""The workflow `storyboard`: pictures in, a video out."""

from __future__ import annotations

from typing import Annotated

import msgspec

from orpheus import workflow
from orpheus.media.storyboard.scenes import Renderer, Storyboard
from orpheus.media.storyboard.tasks import Film, plan_shots, render_scene, stitch_scenes

AtATime = Annotated[int, msgspec.Meta(ge=1, le=100)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=600_000)]


@workflow
def storyboard(
    storyboard: Storyboard,
    renderer: Renderer = "local",
    max_concurrency: AtATime = 4,
    start_delay_ms: Milliseconds = 1000,
) -> Film:
    """Render the scenes of a storyboard side by side, and stitch them in order.

    At most `max_concurrency` scenes are rendered at a time, their starts `start_delay_ms` apart.
    """
    planned = plan_shots(storyboard)
    clips = render_scene.using(max_concurrency=4, stagger_s=1.0).map(planned, renderer=renderer)
    return stitch_scenes(storyboard, clips)
