"""The task `transcribe`: from a file's sound to `transcripts/{job_id}.json`, `.srt` and `.vtt`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from orpheus import Context, File, Resource, task
from orpheus.media import video
from orpheus.media.checked import Checked
from orpheus.media.errors import CorruptMedia
from orpheus.media.limits import ENCODE_TIME_S
from orpheus.media.opening import named
from orpheus.media.running import RETRY, run_ffmpeg, verdicts
from orpheus.media.speech import captions, sound, transcript
from orpheus.media.speech.recogniser import Recogniser
from orpheus.media.summary import Metadata


@dataclass(frozen=True, slots=True)
class Transcribed:
    """A transcript's files, and what a workflow may branch on."""

    transcript: File
    srt: File
    vtt: File
    language: str
    words: int
    """0 when nobody speaks."""


def load_recogniser() -> Recogniser:
    return Recogniser()


@task(executor="process", retry=RETRY, start_to_close_s=2 * ENCODE_TIME_S, weight=8, cache=True)
def transcribe(
    ctx: Context,
    source: File,
    checked: Checked,
    meta: Metadata,
    language: str | None = None,
    *,
    recogniser: Recogniser = Resource(load_recogniser, scope="process"),
) -> Transcribed:
    """Write down what is said, with the time of every word.

    Silence and noise give an empty transcript, not an error.
    """
    with verdicts(source.name):
        samples = samples_of(ctx, source, checked, meta)
    total_s = max(sound.duration_s(samples), 0.001)
    ctx.progress(0.1, "listening")
    said = recogniser.transcribe(
        samples,
        language=language,
        on_segment=lambda at_s: ctx.progress(0.1 + 0.9 * at_s / total_s, f"heard {at_s:.0f} of {total_s:.0f} s"),
    )
    said = transcript.settled(said, sound.silences(samples))
    shown = captions.cues(said)
    name = f"transcripts/{ctx.job_id}"
    return Transcribed(
        transcript=ctx.save_json(f"{name}.json", transcript.to_json(said)),
        srt=ctx.save(f"{name}.srt", captions.srt(shown).encode(), "application/x-subrip"),
        vtt=ctx.save(f"{name}.vtt", captions.vtt(shown).encode(), "text/vtt"),
        language=said.language,
        words=sum(1 for _ in transcript.words_of(said)),
    )


def samples_of(ctx: Context, source: File, checked: Checked, meta: Metadata) -> sound.Samples:
    """Decode a file's sound to one channel at 16 kHz."""
    target = ctx.temp_dir / "sound.wav"
    argv = sound.wav_argv(video.ffmpeg(), ctx.path(source), named(checked.sniffed, checked.opener), target)
    if not run_ffmpeg(ctx, argv, duration_s=0.0, what="", timeout_s=ENCODE_TIME_S):
        raise CorruptMedia("the sound could not be decoded")
    samples = sound.load(target)
    target.unlink()
    return samples


def read_transcript(ctx: Context, file: File) -> transcript.Transcript:
    """Read what `transcribe` saved."""
    return transcript.from_json(json.loads(ctx.path(file).read_bytes()))
