"""The workflow `talk`: a talk in, the same talk without its silences and hesitations out."""

from __future__ import annotations

from dataclasses import dataclass, field

from orpheus import File, approval, optional, task, workflow
from orpheus.media.cutting.edited import settled
from orpheus.media.cutting.plan import CutPlan, Settings, seconds_by_reason
from orpheus.media.cutting.tasks import Cut, plan_cuts, render_cut
from orpheus.media.speech.tasks import Transcribed, transcribe
from orpheus.media.summary import Metadata
from orpheus.media.tasks import extract_audio, extract_metadata, validate_file


@dataclass(frozen=True, slots=True)
class TalkResult:
    """What `talk` returns."""

    summary: str
    source_duration_s: float | None = None
    duration_s: float | None = None
    removed: dict[str, float] = field(default_factory=dict)
    """Seconds removed, by reason."""
    files: list[File] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@task(name="orpheus.sum_up_talk", version=2, retry=None, cache=True)
def sum_up_talk(
    meta: Metadata,
    *,
    audio: File | None,
    words: Transcribed | None,
    plan: CutPlan | None,
    cut: Cut | None,
) -> TalkResult:
    """Put the result into words."""
    done = settled(plan) if plan else None
    notes = []
    if not meta.has_audio:
        notes.append("There is no sound, so there is nothing to transcribe and nothing to cut by.")
    elif words is not None and words.words == 0:
        notes.append("Nobody speaks in it.")
    removed = seconds_by_reason(done.removed) if done else {}
    told = (
        f"{sum(removed.values()):.1f} of {done.source_duration_s:.1f} s removed in {len(done.removed)} cuts"
        if done is not None
        else "not cut"
    )
    files = [file for file in (audio, *((words.transcript, words.srt, words.vtt) if words else ())) if file is not None]
    return TalkResult(
        summary=told,
        source_duration_s=meta.duration_s,
        duration_s=cut.duration_s if cut else None,
        removed=removed,
        files=[*files, *((cut.video, cut.captions) if cut else ())],
        notes=notes,
    )


@workflow(version=3)
def talk(
    source: File, language: str | None = None, review: bool = False, settings: Settings | None = None
) -> TalkResult:
    """Cut the silences, hesitations and repeated takes out of a talk.

    audio → transcript → cut plan → (a person's review, with `review`) → the cut, with captions in step. A talk without
    sound has nothing to cut by: the steps are skipped, and the result says so.
    """
    checked = validate_file.using(cache_extra=source.name)(source)
    meta = extract_metadata.using(cache_extra=source.name)(source, checked)
    # Begun first, since it takes longest: the others find room beside it.
    words = transcribe.using(when=meta.has_audio)(source, checked, meta, language, closely=True)
    audio = extract_audio.using(when=meta.has_audio)(source, checked, meta)
    planned = plan_cuts(source, checked, meta, words=words, settings=settings)
    plan = approval("Review the cuts", planned, editable=True, timeout_s=7 * 86_400, name="review", when=review)
    cut = render_cut(source, checked, meta, decided=plan, words=words)
    return sum_up_talk(meta, audio=optional(audio), words=optional(words), plan=optional(plan), cut=optional(cut))
