"""What is on a picture, by an OpenAI-compatible chat service whose model sees: one question, one strict answer.

The answer is JSON in the form that the question gives. Anything else is a failed attempt, not a guess at what was meant.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

from orpheus.media.pictures.seen import Label, Seen, Thing
from orpheus.media.pictures.thumbnails import encode
from orpheus.media.providers import openai
from orpheus.media.providers.configured import Configured
from orpheus.media.providers.http import ServiceFailed

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN_SIDE: Final = 1024
"""Longest side of what is sent, in pixels."""
_MOST: Final = 50

_QUESTION: Final = """\
Say what this picture of {width} x {height} pixels shows. Answer with one JSON object and nothing else, in this form:
{{"labels": [{{"label": "cat", "score": 0.97}}], "objects": [{{"label": "cup", "score": 0.9, "box": [x, y, width, height]}}]{caption}}}
labels: at most 5 short English nouns for the whole picture, the surest first, score from 0 to 1.
objects: at most 20 things with the box around each in pixels from the top left corner, score from 0 to 1.
Leave out what you are not sure of; an empty list is a good answer."""
_CAPTION: Final = ', "caption": "one sentence"'
_FENCE: Final = re.compile(r"^```(?:json)?\s*(.*?)\s*```$", re.DOTALL)


class _Strange(Exception):
    """An answer in another form than was asked for."""


def look(
    configured: Configured,
    picture: Image,
    full: tuple[int, int],
    *,
    least_score: float,
    caption: bool = False,
    spend: openai.Spend | None = None,
) -> Seen:
    """Ask what an upright picture shows.

    Args:
        picture: sent as JPEG, at most `SHOWN_SIDE` on its longest side.
        full: size of the upright source; boxes are in its pixels.

    Raises:
        RetryAfter, ServiceFailed, Permanent: as `Service.call`; ServiceFailed also for an answer in another form.
    """
    shown = picture.copy()
    shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    width, height = shown.size
    question = _QUESTION.format(width=width, height=height, caption=_CAPTION if caption else "")
    answer = openai.chat(configured, question, picture=encode(shown, "jpeg"), most_tokens=1500, spend=spend)
    try:
        return read(answer, shown.size, full, least_score=least_score, caption=caption)
    except _Strange as strange:
        raise ServiceFailed(f"{configured.service.name} answered in an unknown form: {strange}") from None


def read(answer: str, shown: tuple[int, int], full: tuple[int, int], *, least_score: float, caption: bool) -> Seen:
    """Read an answer; boxes go from the pixels of what was shown to those of the source.

    Raises:
        _Strange: it is not in the form that was asked for.
    """
    fenced = _FENCE.match(answer.strip())
    try:
        value = json.loads(fenced[1] if fenced else answer)
    except ValueError:
        raise _Strange("no JSON") from None
    if not isinstance(value, dict):
        raise _Strange("no JSON object")
    labels = [Label(*_named(one)) for one in _list(value, "labels")]
    things = [_thing(one, shown, full) for one in _list(value, "objects")]
    said = value.get("caption") if caption else None
    if said is not None and not isinstance(said, str):
        raise _Strange("the caption is no text")
    return Seen(
        labels=sorted((one for one in labels if one.score >= least_score), key=lambda one: -one.score),
        things=sorted(
            (one for one in things if one is not None and one.score >= least_score), key=lambda one: -one.score
        ),
        caption=" ".join(said.split())[:1000] or None if said else None,
    )


def _list(value: dict[str, Any], name: str) -> list[Any]:
    found = value.get(name, [])
    if not isinstance(found, list):
        raise _Strange(f"{name} is no list")
    return found[:_MOST]


def _named(one: Any) -> tuple[str, float]:
    label = one.get("label") if isinstance(one, dict) else None
    score = one.get("score") if isinstance(one, dict) else None
    if not isinstance(label, str) or not label.strip():
        raise _Strange("a label without its text")
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
        raise _Strange(f"the score of {label[:40]!r} is not from 0 to 1")
    return " ".join(label.split())[:100], round(float(score), 3)


def _thing(one: Any, shown: tuple[int, int], full: tuple[int, int]) -> Thing | None:
    """Read one object; None when its box lies outside of the picture."""
    label, score = _named(one)
    box = one.get("box")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(part) for part in box):
        raise _Strange(f"the box of {label[:40]!r} is not four numbers")
    across, down = full[0] / shown[0], full[1] / shown[1]
    left, top = max(0, round(box[0] * across)), max(0, round(box[1] * down))
    right, bottom = min(full[0], round((box[0] + box[2]) * across)), min(full[1], round((box[1] + box[3]) * down))
    if right <= left or bottom <= top:
        return None
    return Thing(label, score, [left, top, right - left, bottom - top])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
