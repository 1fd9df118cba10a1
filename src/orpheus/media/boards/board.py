"""The workflow `storyboard`: pictures in, a video out."""

from __future__ import annotations

from typing import Annotated

import msgspec

from orpheus import first_of, workflow
from orpheus.media.boards.scenes import Renderer, Storyboard
from orpheus.media.boards.tasks import Film, generate_scene, plan_shots, render_scene, stitch_scenes

AtATime = Annotated[int, msgspec.Meta(ge=1, le=100)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=600_000)]


@workflow(version=2, requires_approval=True)
def storyboard(
    storyboard: Storyboard,
    renderer: Renderer = "local",
    max_concurrency: AtATime | None = None,
    start_delay_ms: Milliseconds | None = None,
) -> Film:
    """Render the scenes of a storyboard side by side, and stitch them in order, once somebody has approved of its estimate.

    At most `max_concurrency` scenes are rendered at a time (else REPLICATE_MAX_CONCURRENCY of the worker, else 4), their
    starts `start_delay_ms` apart (else REPLICATE_START_DELAY_MS, else 1,000).
    """
    planned = plan_shots(storyboard, max_concurrency, start_delay_ms)
    cap, apart_s, canvas = planned.max_concurrency, planned.stagger_s, planned.canvas
    rendered = render_scene.using(when=renderer == "local", max_concurrency=cap, stagger_s=apart_s).map(
        storyboard.scenes, canvas
    )
    generated = generate_scene.using(when=renderer == "replicate", max_concurrency=cap, stagger_s=apart_s).map(
        storyboard.scenes, canvas
    )
    return stitch_scenes(storyboard, first_of(rendered, generated))
