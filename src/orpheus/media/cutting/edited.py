"""What is cut by a plan that a person edited? `kept` decides; what it leaves out and nothing explains was cut by that person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from orpheus.media.cutting.plan import CutPlan, Removed, checked
from orpheus.media.speech.transcript import Span

_CRUMB_S: Final = 0.02
"""Half a frame. Shorter stretches are the rounding of whoever wrote the plan, and go with what is beside them."""


def settled(decided: CutPlan) -> CutPlan:
    """Return the plan as it is rendered: `kept` in order, `removed` all that is left out, each stretch with its reason.

    What a person took back is no longer removed; what nothing explains is `edited`.

    Raises:
        InvalidInput: `kept` makes no sense (`plan.checked`).
    """
    kept = checked(decided.kept, duration_s=decided.source_duration_s)
    marks = sorted(decided.removed, key=lambda one: one.start_s)
    removed = [mark for gap in _left_out(kept, decided.source_duration_s) for mark in _explained(gap, marks)]
    kept_s = round(sum(span.length_s for span in kept), 3)
    return replace(decided, kept=kept, removed=removed, kept_duration_s=kept_s)


def _left_out(kept: Sequence[Span], duration_s: float) -> Iterator[Span]:
    at_s = 0.0
    for span in [*kept, Span(duration_s, duration_s)]:
        if span.start_s - at_s > 1e-5:  # times are rounded to microseconds
            yield Span(at_s, span.start_s)
        at_s = span.end_s


def _explained(gap: Span, marks: Sequence[Removed]) -> list[Removed]:
    found: list[Removed] = []
    at_s = gap.start_s
    for mark in marks:
        start_s, end_s = max(mark.start_s, at_s), min(mark.end_s, gap.end_s)
        if end_s - start_s < _CRUMB_S:
            continue
        if start_s - at_s >= _CRUMB_S:
            found.append(Removed(at_s, start_s))
            at_s = start_s
        found.append(replace(mark, start_s=at_s, end_s=end_s))
        at_s = end_s
    if not found or gap.end_s - at_s >= _CRUMB_S:
        found.append(Removed(at_s, gap.end_s))
    found[-1] = replace(found[-1], end_s=gap.end_s)
    return found
