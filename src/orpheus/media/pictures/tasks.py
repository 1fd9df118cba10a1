"""The tasks for pictures: `make_thumbnails`, `analyse_image`, `settle_sight`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from orpheus import Context, File, task
from orpheus.media import made_with
from orpheus.media.checked import Checked
from orpheus.media.errors import InvalidInput
from orpheus.media.image import upright
from orpheus.media.limits import THUMBNAIL_SIDES
from orpheus.media.opening import named
from orpheus.media.pictures import thumbnails
from orpheus.media.pictures.looking import Looker, looker
from orpheus.media.pictures.seen import Label, Seen, Sight, Thing
from orpheus.media.pictures.vision import SHOWN_SIDE
from orpheus.media.running import PATIENT, RETRY, each, interruptibly, verdicts

LEAST_SCORE: Final = 0.2
UNSEEN: Final = "Nothing looked at the picture: the task analyse_image says why."


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Pictures of a picture, smallest first, its blurhash, and its perceptual hash of 16 hexadecimal digits."""

    files: list[File]
    blurhash: str
    phash: str = ""


@task(name="orpheus.make_thumbnails", retry=RETRY, executor="process", start_to_close_s=300, weight=2, cache=True)
def make_thumbnails(
    ctx: Context,
    source: File,
    checked: Checked,
    *,
    sides: list[int] | None = None,
    format: thumbnails.Format = "webp",  # noqa: A002 (the workflow's word for it)
    animated: thumbnails.Animated = "first",
) -> Thumbnails:
    """Make a picture per side (160, 320 and 1280 pixels unless told otherwise), a blurhash and a perceptual hash."""
    wanted = tuple(sides or THUMBNAIL_SIDES)
    files: list[File] = []
    with verdicts(source.name):
        if animated == "keep" and format != "webp":
            raise InvalidInput(
                f"animated=keep makes animated WebP, and format is {format}",
                hint="Leave format out, or let animated be first.",
            )
        found = named(checked.sniffed, checked.opener)
        made = interruptibly(lambda: thumbnails.decode(ctx.path(source), found, wanted, animated=animated))
        ctx.progress(0.3, "decoded")
        phash = made.phash()
        for one in each(thumbnails.thumbnails(made, wanted, format)):
            facts: dict[str, object] = {
                "width": one.width,
                "height": one.height,
                **({"frames": one.frames} if one.frames > 1 else {}),
            }
            facts |= {"phash": phash} if not files else {}  # where the search for duplicates finds it: once a job
            name = f"thumbnails/{one.side}.{thumbnails.SUFFIX[format]}"
            files.append(ctx.save(name, one.data, thumbnails.CONTENT_TYPE[format], facts))
            ctx.progress(0.3 + 0.7 * len(files) / len(wanted), f"{one.side} px")
        return Thumbnails(files[::-1], made.blurhash(), phash)


@task(
    name="orpheus.analyse_image",
    retry=PATIENT,
    executor="process",
    start_to_close_s=600,
    weight=2,
    cache=True,
    made_with=made_with.looking_at_pictures,
)
def analyse_image(
    ctx: Context, source: File, checked: Checked, caption: bool = False, least_score: float = LEAST_SCORE
) -> Sight:
    """Say what a picture shows: `analysis/labels.json` and `analysis/objects.json`, and a caption if asked.

    Fails with `extra_missing` where nothing that could look is configured.
    """
    with verdicts(source.name):
        eyes: Looker = looker()
        picture, full = upright(ctx.path(source), named(checked.sniffed, checked.opener), at_least=SHOWN_SIDE)
        ctx.progress(0.3, f"shown to {eyes.name}")
        seen = eyes.look(picture, full, least_score=least_score, caption=caption, spend=ctx.spend)
    notes = [eyes.no_caption] if caption and seen.caption is None else []
    return _saved(ctx, seen, eyes.name, notes)


@task(name="orpheus.settle_sight", retry=RETRY, cache=True)
def settle_sight(ctx: Context, sight: Sight | None) -> Sight:
    """Leave empty lists where nothing looked, so that their readers need not ask."""
    if sight is not None:
        return sight
    return _saved(ctx, Seen(), "", [UNSEEN])


def _saved(ctx: Context, seen: Seen, by: str, notes: list[str]) -> Sight:
    files = [
        ctx.save_json("analysis/labels.json", _plain(seen.labels)),
        ctx.save_json("analysis/objects.json", _plain(seen.things)),
    ]
    return Sight(seen, by, files, notes)


def _plain(values: Sequence[Label] | Sequence[Thing]) -> list[dict[str, object]]:
    return [asdict(value) for value in values]
