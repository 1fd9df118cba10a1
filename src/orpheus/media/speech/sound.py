"""Sound as numbers: one channel at 16 kHz, how loud it is from moment to moment, and where it is silent.

Silence is told by loudness against the recording's own noise, not by a fixed number of decibels: a studio's pause lies at
-70 dB, a lecture hall's at -45.
"""

from __future__ import annotations

import wave
from collections.abc import Sequence
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, Final

from orpheus.media.extras import need
from orpheus.media.sniff import Type
from orpheus.media.speech.transcript import Span
from orpheus.media.video import input_argv

RATE_HZ: Final = 16_000
_HOP_S: Final = 0.01
_BELOW_SPEECH_DB: Final = 40.0
_LOUDEST_DB: Final = -30.0
"""Between these the threshold is set; no recording's noise counts as speech, and no whisper as silence."""

_FAINT_SHARE: Final = 0.2
_FADING_STEPS: Final = 15
_CLOSURE_S: Final = 0.2
_BURST_S: Final = 0.1

Samples = Any
"""A numpy array of float32 between -1 and 1."""


_SIDE: Final = ",aformat=channel_layouts=stereo,pan=mono|c0=0.5*c0-0.5*c1"
_FAINT_DB: Final = -35.0
_LOST_DB: Final = 6.0
_NOTHING_DB, _WHISPERED_DB, _SPOKEN_DB = -90.0, -45.0, -25.0
_COMB: Final = 5
"""Samples. A signal less itself so much earlier keeps speech, and a tenth of a mains hum (50 Hz); nothing of a constant offset."""
_DROWNED_DB: Final = 10.0


def wav_argv(program: str, source: Path, found: Type, target: Path, *, side: bool = False) -> list[str]:
    """FFmpeg's command line for the first sound track as one channel of 16-bit PCM at 16 kHz, in step with the source's clock.

    Args:
        program: FFmpeg.
        source: the recording.
        found: its type, which names the demuxer.
        target: where to write.
        side: take the difference of the channels instead of their sum.
    """
    return [
        *(program, *input_argv(source, found), "-progress", "pipe:1"),
        # A track that begins late, or has holes, keeps its place in time: without this, words would slip.
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-af", "aresample=async=1:first_pts=0" + (_SIDE if side else "")),
        *("-ac", "1", "-ar", str(RATE_HZ), "-c:a", "pcm_s16le", "-f", "wav", "-y", f"file:{target.absolute()}"),
    ]


def load(path: Path) -> Samples:
    """Read what `wav_argv` wrote."""
    np = need("numpy")
    with wave.open(str(path), "rb") as stream:
        data = stream.readframes(stream.getnframes())
    samples: Samples = np.frombuffer(data, dtype="<i2").astype(np.float32) / 32768.0
    return samples


def duration_s(samples: Samples) -> float:
    return len(samples) / RATE_HZ


def loudness(samples: Samples) -> Any:
    """Return the loudness of every 10 ms in dB of full scale (RMS)."""
    np = need("numpy")
    hop = int(RATE_HZ * _HOP_S)
    whole = len(samples) // hop * hop
    frames = samples[:whole].reshape(-1, hop)
    return 10.0 * np.log10(np.einsum("ij,ij->i", frames, frames) / hop + 1e-10)


def is_faint(samples: Samples) -> bool:
    """Tell whether so little is heard that the channels may have cancelled each other out."""
    return _loud_db(samples) < _FAINT_DB


def cancelled_out(mix: Samples, side: Samples) -> bool:
    """Tell whether the sum of the channels lost what their difference holds: one of them is wired the wrong way round."""
    return _loud_db(side) > _loud_db(mix) + _LOST_DB


def _loud_db(samples: Samples) -> float:
    """Return the loudness of the loud parts: those of speech, if anybody speaks."""
    np = need("numpy")
    loud = loudness(samples)
    return float(np.percentile(loud, 90)) if len(loud) else -100.0


def made_audible(samples: Samples) -> Samples:
    """Return a very quiet recording louder, for recognisers that take it for silence; any other as it is."""
    np = need("numpy")
    loud_db = _loud_db(samples)
    if not _NOTHING_DB < loud_db < _WHISPERED_DB:
        return samples
    return np.clip(samples * 10.0 ** ((_SPOKEN_DB - loud_db) / 20.0), -1.0, 1.0).astype(np.float32)


def _without_hum(samples: Samples) -> Any:
    """Return how loud a recording is without what is lower than speech, where that drowns its pauses; else as it is."""
    np = need("numpy")
    loud = loudness(samples)
    clean = loudness(samples - np.concatenate((samples[:_COMB], samples[:-_COMB])))
    return clean if _range_db(clean) > _range_db(loud) + _DROWNED_DB else loud


def _range_db(loud: Any) -> float:
    np = need("numpy")
    return float(np.percentile(loud, 90) - np.percentile(loud, 10)) if len(loud) else 0.0


def threshold_db(loud: Any, *, share: float = 0.4) -> float:
    """Return below which loudness this recording is silent: two fifths of the way from its noise to its speech."""
    np = need("numpy")
    noise, speech = float(np.percentile(loud, 10)), float(np.percentile(loud, 90))
    return min(_LOUDEST_DB, max(speech - _BELOW_SPEECH_DB, noise + share * (speech - noise)))


def silences(samples: Samples, *, least_s: float = 0.1) -> list[Span]:
    """Find every stretch of at least `least_s` below the recording's threshold, as a whole and in its high tones.

    High tones are listened to by themselves, since in the noise of a room, which is low, an "s" or "t" is heard only there. A click
    shorter than 30 ms does not end a silence. What fades below the threshold next to speech still belongs to it, for at
    most 0.15 s, and so does the burst that ends a word ("-ts", "-ch") after its consonant has closed the mouth.
    """
    np = need("numpy")
    loud = _without_hum(samples)
    if not len(loud):
        return []
    high = loudness(np.diff(samples, prepend=samples[:1]))
    quiet = (loud < threshold_db(loud)) & (high < threshold_db(high))
    edges = np.flatnonzero(np.diff(np.concatenate(([False], quiet, [False])).astype(np.int8)))
    audible = (loud >= threshold_db(loud, share=_FAINT_SHARE)) | (high >= threshold_db(high, share=_FAINT_SHARE))
    faint = audible.tolist()
    spans = [
        _without_fading(start, end, faint) for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]
    total_s = duration_s(samples)
    spans = [Span(span.start_s, total_s if span.end_s >= len(loud) * _HOP_S else span.end_s) for span in spans]
    found = _without_closures([one for one in _without_clicks(spans) if one.length_s >= least_s])
    return [Span(round(one.start_s, 3), round(one.end_s, 3)) for one in found]


def _without_fading(start: int, end: int, faint: Sequence[bool]) -> Span:
    """Take from both ends of a silence what is louder than the noise; ends are in steps of 10 ms."""
    most = min(_FADING_STEPS, (end - start) // 4)
    first, last = start, end
    while start > 0 and first < start + most and faint[first]:
        first += 1
    while end < len(faint) and last > end - most and faint[last - 1]:
        last -= 1
    return Span(first * _HOP_S, last * _HOP_S)


def _without_clicks(spans: Sequence[Span], *, click_s: float = 0.03) -> list[Span]:
    joined: list[Span] = []
    for span in spans:
        # Both sides must be pauses in their own right, or the closing of a consonant would become one.
        if joined and span.start_s - joined[-1].end_s < click_s and min(span.length_s, joined[-1].length_s) >= 0.1:
            joined[-1] = Span(joined[-1].start_s, span.end_s)
        else:
            joined.append(span)
    return joined


def _without_closures(spans: Sequence[Span]) -> list[Span]:
    """Leave out the silences inside a word: short ones before a burst that is shorter than any syllable."""
    return [
        span
        for span, after in zip_longest(spans, spans[1:])
        if after is None or span.length_s > _CLOSURE_S or after.start_s - span.end_s > _BURST_S or span.start_s == 0
    ]


def islands(silent: Sequence[Span], *, total_s: float, longest_s: float, pause_s: float) -> list[Span]:
    """Return the sounds of at most `longest_s` that have at least `pause_s` of silence on both sides.

    The beginning and the end of the recording count as silence.
    """
    edges = [Span(0.0, 0.0), *[span for span in silent if span.length_s >= pause_s], Span(total_s, total_s)]
    return [
        Span(left.end_s, right.start_s)
        for left, right in pairwise(edges)
        if 0.05 <= right.start_s - left.end_s <= longest_s
    ]
