"""The workflow `image`: smaller pictures as asked for, a likeness to find duplicates by, and what is on it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from orpheus import File, optional, workflow
from orpheus.media.limits import THUMBNAIL_SIDES
from orpheus.media.pictures.tasks import LEAST_SCORE, analyse_image, make_thumbnails, settle_sight
from orpheus.media.pictures.thumbnails import Animated, Format
from orpheus.media.record import summarise
from orpheus.media.summary import Summary
from orpheus.media.tasks import extract_metadata, validate_file

Side = Annotated[int, msgspec.Meta(ge=16, le=4096)]
Sides = Annotated[
    list[Side], msgspec.Meta(min_length=1, max_length=8, description="Longest sides in pixels; never enlarged.")
]
Score = Annotated[float, msgspec.Meta(ge=0, le=1, description="Labels and objects that are less sure are left out.")]


@workflow(name="image", version=2)
def image_workflow(
    source: File,
    *,
    sides: Sides = list(THUMBNAIL_SIDES),  # noqa: B006 (becomes part of a schema, and is changed by nobody)
    format: Format = "webp",  # noqa: A002 (what its users call it)
    animated: Animated = "first",
    keep_gps: bool = False,
    caption: bool = False,
    least_score: Score = LEAST_SCORE,
) -> Summary:
    """Everything a page needs to show a picture: thumbnails, blurhash, perceptual hash, labels, objects, caption."""
    checked = validate_file(source)
    meta = extract_metadata(source, checked, keep_gps)
    thumbnails = make_thumbnails.using(when=meta.kind == "image")(
        source, checked, sides=sides, format=format, animated=animated
    )
    sight = analyse_image.using(when=meta.kind == "image", on_failure="skip")(source, checked, caption, least_score)
    return summarise(checked, meta, thumbnails=optional(thumbnails), sight=settle_sight(optional(sight)))
