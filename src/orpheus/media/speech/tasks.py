"""The task `transcribe`: from a file's sound to `transcripts/{job_id}.json`, `.srt` and `.vtt`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orpheus import Context, File, Resource, task
from orpheus.media import made_with, video
from orpheus.media.checked import Checked
from orpheus.media.errors import CorruptMedia, ExtraMissing
from orpheus.media.limits import ENCODE_TIME_S
from orpheus.media.opening import named
from orpheus.media.providers import configured, openai
from orpheus.media.running import PATIENT, interruptibly, run_ffmpeg, verdicts
from orpheus.media.speech import captions, elsewhere, sound, transcript
from orpheus.media.speech.alone import Heard, settled
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


class Listener:
    """The recogniser of a process, loaded by the first attempt that listens on this machine."""

    def __init__(self) -> None:
        self._recogniser: Recogniser | None = None

    @property
    def recogniser(self) -> Recogniser:
        """Return it, loaded.

        Raises:
            ExtraMissing: the extra `speech` is not installed.
        """
        if self._recogniser is None:
            self._recogniser = Recogniser()
        return self._recogniser


def load_listener() -> Listener:
    return Listener()


@task(
    name="orpheus.transcribe",
    version=2,
    executor="process",
    retry=PATIENT,
    start_to_close_s=2 * ENCODE_TIME_S,
    weight=8,
    cache=True,
    made_with=made_with.listening,
)
def transcribe(
    ctx: Context,
    source: File,
    checked: Checked,
    meta: Metadata,
    language: str | None = None,
    *,
    closely: bool = False,
    listener: Listener = Resource(load_listener, scope="process"),
) -> Transcribed:
    """Write down what is said, with the time of every word: on this machine, or by the service that is configured.

    Silence and noise give an empty transcript, not an error.

    Args:
        closely: listen to doubtful short sounds one by one, for hesitations and for the sound each little word was said in; what
            is to be cut needs it (ADR 0029).
    """
    wav = ctx.temp_dir / "sound.wav"
    with verdicts(source.name):
        samples = samples_of(ctx, source, checked, wav)
        silent = sound.silences(samples)
        total_s = max(sound.duration_s(samples), 0.001)
        service = configured.transcriptions()
        if service is None:
            ctx.progress(0.1, "listening")
            said = interruptibly(
                lambda: listener.recogniser.transcribe(
                    samples,
                    language=language,
                    on_segment=lambda at_s: ctx.progress(
                        0.1 + 0.8 * at_s / total_s, f"heard {at_s:.0f} of {total_s:.0f} s"
                    ),
                )
            )
        else:
            said = _by_service(ctx, service, wav, sound.duration_s(samples), silences=silent, language=language)
        said = _settled(ctx, said, silent, samples, listener, closely=closely)
    shown = captions.cues(said)
    name = f"transcripts/{ctx.job_id}"
    return Transcribed(
        transcript=ctx.save_json(f"{name}.json", transcript.to_json(said)),
        srt=ctx.save(f"{name}.srt", captions.srt(shown).encode(), "application/x-subrip"),
        vtt=ctx.save(f"{name}.vtt", captions.vtt(shown).encode(), "text/vtt"),
        language=said.language,
        words=sum(1 for _ in transcript.words_of(said)),
    )


def _settled(
    ctx: Context,
    said: transcript.Transcript,
    silent: list[transcript.Span],
    samples: sound.Samples,
    listener: Listener,
    *,
    closely: bool,
) -> transcript.Transcript:
    """Put every word into its sound; where a service transcribes and nothing here can listen, by what it says alone."""

    def hear(spans: Sequence[transcript.Span]) -> Sequence[Heard]:
        ctx.progress(0.9, f"listening to {len(spans)} sounds again")
        try:
            return interruptibly(lambda: listener.recogniser.hear(samples, spans, language=said.language))
        except ExtraMissing:
            return [Heard("", 0.0)] * len(spans)

    return settled(said, silent, hear, closely=closely)


def _by_service(
    ctx: Context,
    service: configured.Configured,
    wav: Path,
    total_s: float,
    *,
    silences: list[transcript.Span],
    language: str | None,
) -> transcript.Transcript:
    parts = []
    for piece in elsewhere.pieces(total_s, silences):
        ctx.progress(0.1 + 0.8 * piece.start_s / max(total_s, 0.001), f"sent {piece.start_s:.0f} of {total_s:.0f} s")
        mp3 = ctx.temp_dir / "piece.mp3"
        if not run_ffmpeg(
            ctx, elsewhere.piece_argv(video.ffmpeg(), wav, mp3, piece), duration_s=0.0, what="", timeout_s=600
        ):
            raise CorruptMedia("the sound could not be encoded")
        parts.append(
            (piece, openai.transcribe(service, mp3, language=language, duration_s=piece.length_s, spend=ctx.spend))
        )
    return elsewhere.joined(parts, duration_s=total_s)


def samples_of(ctx: Context, source: File, checked: Checked, wav: Path) -> sound.Samples:
    """Decode a file's sound to one channel at 16 kHz, as `wav` and as numbers.

    The channels are added up; where that leaves next to nothing since one is the other's inverse, they are subtracted.
    """
    samples = _decoded(ctx, source, checked, wav, side=False)
    if sound.is_faint(samples):
        other = wav.with_name("side.wav")
        difference = _decoded(ctx, source, checked, other, side=True)
        if sound.cancelled_out(samples, difference):
            other.replace(wav)
            return difference
        other.unlink()
    return samples


def _decoded(ctx: Context, source: File, checked: Checked, wav: Path, *, side: bool) -> sound.Samples:
    found = named(checked.sniffed, checked.opener)
    argv = sound.wav_argv(video.ffmpeg(), ctx.path(source), found, wav, side=side)
    if not run_ffmpeg(ctx, argv, duration_s=0.0, what="", timeout_s=ENCODE_TIME_S):
        raise CorruptMedia("the sound could not be decoded")
    return sound.load(wav)


def read_transcript(ctx: Context, file: File) -> transcript.Transcript:
    """Read what `transcribe` saved."""
    return transcript.from_json(json.loads(ctx.path(file).read_bytes()))
