"""What is cut out of a talk? Pure: silences, hesitations and repeated takes in, `plan/cut_plan.json` out (formats.md).

The plan's times lie on the source's frames, so that what is rendered is exactly as long as the plan says. Of a plan that a person
edited, `kept` is what gets rendered, put in order and kept inside the source by `checked`; `edited.py` tells what that removes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from orpheus.media.cutting.fillers import Filler
from orpheus.media.cutting.repeats import Repeat
from orpheus.media.errors import InvalidInput
from orpheus.media.speech.transcript import Span

VERSION = 1

Reason = Literal["silence", "filler", "repeat", "edited"]
"""`edited`: a person cut it, and gave no other reason."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What counts as worth cutting; all in seconds."""

    min_silence_s: float = 0.6
    """Shorter pauses are how people speak, and stay."""
    lead_s: float = 0.025
    """Silence kept before speech, so that no soft consonant is lost."""
    tail_s: float = 0.015
    """Silence kept after speech."""
    min_kept_s: float = 0.1
    """A kept piece shorter than this between two cuts is a click, not speech, and goes."""
    remove_silences: bool = True
    remove_fillers: bool = True
    remove_repeats: bool = True


@dataclass(frozen=True, slots=True)
class Removed:
    """A stretch that goes, and why."""

    start_s: float
    end_s: float
    reason: Reason = "edited"
    text: str | None = None


@dataclass(frozen=True, slots=True)
class CutPlan:
    """Which stretches stay. `kept` decides; `removed` explains."""

    version: int
    source_duration_s: float
    kept: list[Span]
    removed: list[Removed]
    kept_duration_s: float
    settings: dict[str, Any]


def plan(
    *,
    duration_s: float,
    silences: Sequence[Span],
    fillers: Sequence[Filler] = (),
    repeats: Sequence[Repeat] = (),
    settings: Settings | None = None,
    fps: float | None = None,
) -> CutPlan:
    """Decide what goes.

    A hesitation takes the pauses around it along, whatever their length: between two pauses of 0.5 s an "um" leaves one of a
    second, which nobody would have made.

    Args:
        duration_s: length of the source.
        silences: every pause that was heard, long or short, in order.
        fillers: hesitations, in order.
        repeats: abandoned takes, in order.
        settings: what counts.
        fps: frames a second, onto which the times are put; None for sound alone.
    """
    chosen = settings or Settings()
    marks = [*_gaps(silences, fillers, chosen, duration_s)]
    if chosen.remove_repeats:
        marks += [Removed(one.span.start_s, one.span.end_s - chosen.lead_s, "repeat", one.text) for one in repeats]
    merged = _merged(sorted(marks, key=lambda one: one.start_s))
    framed = [_framed(one, fps, duration_s) for one in merged]
    removed = [one for one in _without_crumbs(framed, chosen, duration_s) if one.end_s > one.start_s]
    kept = _complement(removed, duration_s)
    if not kept:  # nothing but silence: an empty cut cannot be rendered, so nothing is cut
        removed, kept = [], [Span(0.0, duration_s)]
    kept_s = round(sum(span.length_s for span in kept), 3)
    return CutPlan(VERSION, round(duration_s, 3), kept, removed, kept_s, asdict(chosen))


def _gaps(
    silences: Sequence[Span], fillers: Sequence[Filler], settings: Settings, duration_s: float
) -> Iterator[Removed]:
    """Join pauses and the hesitations between them to gaps, and give what each loses."""
    pieces: list[tuple[Span, str | None]] = [(span, None) for span in silences]
    if settings.remove_fillers:
        pieces += [(one.span, one.text) for one in fillers]
    pieces.sort(key=lambda piece: piece[0].start_s)
    for gap in _runs(pieces):
        said = [(span, text) for span, text in gap if text is not None]
        start_s, end_s = gap[0][0].start_s, max(span.end_s for span, _ in gap)
        if not said and not (settings.remove_silences and end_s - start_s >= settings.min_silence_s):
            continue
        from_s = start_s + (settings.tail_s if start_s > 0 else 0.0)
        until_s = end_s - (settings.lead_s if end_s < duration_s - 0.02 else 0.0)
        yield from _explained(Span(from_s, until_s), said)


def _runs(pieces: Sequence[tuple[Span, str | None]]) -> Iterator[list[tuple[Span, str | None]]]:
    """Group what touches."""
    run: list[tuple[Span, str | None]] = []
    for piece in pieces:
        if run and piece[0].start_s - max(span.end_s for span, _ in run) > 0.011:
            yield run
            run = []
        run.append(piece)
    if run:
        yield run


def _explained(gap: Span, said: Sequence[tuple[Span, str | None]]) -> Iterator[Removed]:
    """Break a gap into the silences and hesitations it is made of."""
    at_s = gap.start_s
    for span, text in said:
        if span.start_s > at_s:
            yield Removed(at_s, span.start_s, "silence")
        yield Removed(max(at_s, span.start_s), min(span.end_s, gap.end_s), "filler", text)
        at_s = min(span.end_s, gap.end_s)
    if gap.end_s > at_s:
        yield Removed(at_s, gap.end_s, "silence")


def _merged(marks: Iterable[Removed]) -> list[Removed]:
    """Make marks disjoint: where two overlap, the later begins where the earlier ends; what lies inside another goes."""
    found: list[Removed] = []
    for mark in marks:
        start_s = max(mark.start_s, found[-1].end_s if found else 0.0)
        if mark.end_s > start_s:
            found.append(Removed(start_s, mark.end_s, mark.reason, mark.text))
    return found


def _framed(mark: Removed, fps: float | None, duration_s: float) -> Removed:
    """Put a mark's ends onto frames; the end of the source stays where it is."""

    def near(instant_s: float) -> float:
        framed = round(instant_s * fps) / fps if fps else instant_s
        # Less than half a frame before the end there is no frame left to show.
        at_end = instant_s >= duration_s - (0.5 / fps if fps else 1e-6)
        return round(duration_s if at_end else min(framed, duration_s), 6)

    return Removed(near(mark.start_s), near(mark.end_s), mark.reason, mark.text)


def _without_crumbs(marks: Sequence[Removed], settings: Settings, duration_s: float) -> Iterator[Removed]:
    """Let a mark reach over a kept piece too short to hear, to the next mark or to either end."""
    reached_s = 0.0
    for place, mark in enumerate(marks):
        start_s = mark.start_s
        if 0 < start_s - reached_s < settings.min_kept_s:
            start_s = reached_s
        end_s = mark.end_s
        if place == len(marks) - 1 and 0 < duration_s - end_s < settings.min_kept_s:
            end_s = round(duration_s, 6)
        reached_s = end_s
        yield Removed(start_s, end_s, mark.reason, mark.text)


def _complement(removed: Sequence[Removed], duration_s: float) -> list[Span]:
    kept, at_s = [], 0.0
    for mark in removed:
        if mark.start_s > at_s:
            kept.append(Span(at_s, mark.start_s))
        at_s = max(at_s, mark.end_s)
    if duration_s - at_s > 1e-5:  # times are rounded to microseconds
        kept.append(Span(at_s, round(duration_s, 6)))
    return kept


def seconds_by_reason(removed: Iterable[Removed]) -> dict[str, float]:
    """Return how many seconds go for each reason."""
    seconds: dict[str, float] = {}
    for mark in removed:
        seconds[mark.reason] = round(seconds.get(mark.reason, 0.0) + mark.end_s - mark.start_s, 3)
    return seconds


def to_json(made: CutPlan) -> dict[str, Any]:
    """Write `plan/cut_plan.json` (formats.md); `text` stands where something was said."""
    value = asdict(made)
    value["removed"] = [{key: each for key, each in mark.items() if each is not None} for mark in value["removed"]]
    return value


def checked(kept: Sequence[Span], *, duration_s: float) -> list[Span]:
    """Return what is to be rendered: in order, inside the source, touching pieces joined.

    Raises:
        InvalidInput: a piece ends before it begins, two overlap, or nothing is left.
    """
    spans: list[Span] = []
    for span in sorted(kept, key=lambda one: one.start_s):
        if not (0 <= span.start_s < span.end_s):
            raise InvalidInput(f"the plan keeps {span.start_s:g}–{span.end_s:g} s, which is no stretch of time")
        if spans and span.start_s < spans[-1].end_s - 1e-6:
            raise InvalidInput(f"the plan keeps {span.start_s:g} s twice")
        end_s = min(span.end_s, duration_s)
        if end_s <= span.start_s:
            continue  # behind the source's end
        if spans and span.start_s - spans[-1].end_s < 1e-6:
            spans[-1] = Span(spans[-1].start_s, end_s)
        else:
            spans.append(Span(span.start_s, end_s))
    if not spans:
        raise InvalidInput("the plan keeps nothing of the talk", hint="Leave at least one piece in `kept`.")
    return spans
