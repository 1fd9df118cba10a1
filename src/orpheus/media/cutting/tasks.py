"""The tasks of the talk cutter: `plan_cuts` decides what goes, `render_cut` makes the talk without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orpheus import Context, File, task
from orpheus.media import video
from orpheus.media.checked import Checked
from orpheus.media.cutting import fillers, plan, render, repeats, retime
from orpheus.media.cutting.edited import settled
from orpheus.media.cutting.edl import edl
from orpheus.media.cutting.plan import CutPlan, Settings
from orpheus.media.errors import CorruptMedia
from orpheus.media.limits import ENCODE_TIME_S
from orpheus.media.opening import named
from orpheus.media.running import RETRY, run_ffmpeg, verdicts
from orpheus.media.speech import captions, sound
from orpheus.media.speech.tasks import Transcribed, read_transcript, samples_of
from orpheus.media.speech.transcript import Span, words_of
from orpheus.media.summary import Metadata


@dataclass(frozen=True, slots=True)
class Cut:
    """The rendered cut."""

    video: File
    captions: File
    duration_s: float
    removed_s: float


@task(
    name="orpheus.plan_cuts",
    version=2,
    executor="process",
    retry=RETRY,
    start_to_close_s=ENCODE_TIME_S,
    weight=2,
    cache=True,
)
def plan_cuts(
    ctx: Context,
    source: File,
    checked: Checked,
    meta: Metadata,
    *,
    words: Transcribed,
    settings: Settings | None = None,
) -> CutPlan:
    """Find silences, hesitations and repeated takes, and plan the cut: `plan/cut_plan.json` and an EDL."""
    with verdicts(source.name):
        samples = samples_of(ctx, source, checked, ctx.temp_dir / "sound.wav")
    said = list(words_of(read_transcript(ctx, words.transcript)))
    silent = sound.silences(samples)
    total_s = max(meta.duration_s or 0.0, sound.duration_s(samples))
    chosen = settings or Settings()
    hesitations = fillers.find(silent, said, total_s=total_s) if chosen.remove_fillers else []
    rate = render.frame_rate(meta.fps) if meta.has_video else None
    made = plan.plan(
        duration_s=total_s,
        silences=silent,
        fillers=hesitations,
        repeats=repeats.find(said),
        settings=chosen,
        fps=float(rate) if rate else None,
    )
    ctx.save_json("plan/cut_plan.json", plan.to_json(made))
    listed = edl(made.kept, rate or render.frame_rate(None), title=meta.title or source.name, clip=source.name)
    ctx.save("plan/cut_plan.edl", listed.encode(), "text/plain")
    ctx.log.info("%d cuts, %.1f of %.1f s stay", len(made.removed), made.kept_duration_s, made.source_duration_s)
    return made


@task(name="orpheus.render_cut", version=2, retry=RETRY, start_to_close_s=ENCODE_TIME_S + 600, weight=8, cache=True)
def render_cut(
    ctx: Context, source: File, checked: Checked, meta: Metadata, *, decided: CutPlan, words: Transcribed
) -> Cut:
    """Render what the plan keeps: `renders/base_cuts.mp4`, its captions in step with it, and the plan as it was rendered."""
    target = ctx.temp_dir / "cut.mp4"
    rate = render.frame_rate(meta.fps)
    with verdicts(source.name):
        done = settled(decided)
        kept = done.kept
        cut_sound = _cut_sound(ctx, source, checked, decided.source_duration_s, kept)
        found, program = named(checked.sniffed, checked.opener), video.ffmpeg()
        argv = (
            render.video_argv(program, ctx.path(source), found, sound=cut_sound, target=target, kept=kept, rate=rate)
            if meta.has_video
            else render.sound_argv(program, cut_sound, target)
        )
        length_s = sum(span.length_s for span in kept)
        if not run_ffmpeg(ctx, argv, duration_s=length_s, what="rendering", timeout_s=ENCODE_TIME_S):
            raise CorruptMedia("the talk could not be rendered")
    shown = retime.captions_of(read_transcript(ctx, words.transcript), kept)
    ctx.save_json("renders/base_cuts.json", plan.to_json(done))
    return Cut(
        video=ctx.save("renders/base_cuts.mp4", target, "video/mp4", {"duration_s": round(length_s, 3)}),
        captions=ctx.save("renders/base_cuts.srt", captions.srt(shown).encode(), "application/x-subrip"),
        duration_s=round(length_s, 3),
        removed_s=round(decided.source_duration_s - length_s, 3),
    )


def _cut_sound(ctx: Context, source: File, checked: Checked, duration_s: float, kept: list[Span]) -> Path:
    """Decode the whole sound, and keep what the plan keeps."""
    whole, cut = ctx.temp_dir / "whole.pcm", ctx.temp_dir / "cut.pcm"
    argv = render.pcm_argv(video.ffmpeg(), ctx.path(source), named(checked.sniffed, checked.opener), whole)
    if not run_ffmpeg(ctx, argv, duration_s=0.0, what="", timeout_s=ENCODE_TIME_S):
        raise CorruptMedia("the sound could not be decoded")
    render.cut_pcm(whole, cut, kept, on_done=lambda share: ctx.progress(0.05 * share, "cutting the sound"))
    whole.unlink()
    return cut
