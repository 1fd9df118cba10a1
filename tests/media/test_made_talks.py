"""Talks that are made here, so that the truth is known: what is cut is silence and hesitation, and captions begin with their sentences."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from orpheus.media.cutting import fillers, plan, repeats, retime
from orpheus.media.speech import alone, sound
from orpheus.media.speech.recogniser import Recogniser
from orpheus.media.speech.sound import RATE_HZ, Samples
from orpheus.media.speech.transcript import Span, words_of

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
demo_talk = pytest.importorskip("demo_talk", reason="espeak-ng is a development dependency")

pytestmark = pytest.mark.timeout(300)

CLOSE = (
    *(
        "They sailed around the island in two days.",
        0.3,
        "um,",
        0.4,
        "The mayor opened the park on Sunday morning.",
        0.3,
    ),
    *("This chart compares winter and summer traffic.", 0.25, "Our engineers found a crack in the wing.", 1.8),
    *(
        "uh,",
        0.9,
        "Nobody remembers who painted this portrait.",
        2.5,
        "A good teacher listens more than she talks.",
        0.3,
    ),
    *("uh,", 0.5, "That brings me to the end.", 1.0),
)
LONE = (
    *(
        "The pump failed twice during the first night.",
        0.9,
        "Exactly.",
        1.1,
        "um,",
        0.5,
        "Prices fell sharply after the holiday.",
        0.5,
    ),
    *("Yes.", 1.5, "Please hold your questions until the end.", 0.4, "Right.", 0.8, "uh,", 1.2),
    *("We compared both methods on the same data.", 0.9, "Good.", 1.4, "He carried the box up the stairs.", 1.0),
)


@dataclass
class Made:
    """A talk, and when what is said in it."""

    samples: Samples
    speech: list[Span] = field(default_factory=list)
    hesitations: list[Span] = field(default_factory=list)
    silences: list[Span] = field(default_factory=list)


def made(script: tuple[str | float, ...], *, noise: float, gain: float) -> Made:
    voice = demo_talk._Voice()
    out = Made(np.zeros(0))
    pieces: list[Samples] = []
    at_s = 0.0
    for item in script:
        if isinstance(item, str):
            told = np.frombuffer(voice.say(item), dtype="<i2") / 32768.0
            count = int(len(told) * RATE_HZ / voice.rate_hz)
            piece = np.interp(np.arange(count) * voice.rate_hz / RATE_HZ, np.arange(len(told)), told)
            loud = np.flatnonzero(np.abs(piece) > 0.01)
            piece = piece[loud[0] : loud[-1]]
        else:
            piece = np.zeros(int(item * RATE_HZ))
        span = Span(at_s, at_s + len(piece) / RATE_HZ)
        kind = (
            out.silences
            if not isinstance(item, str)
            else out.hesitations
            if item.endswith("m,") or item == "uh,"
            else out.speech
        )
        kind.append(span)
        pieces.append(piece)
        at_s = span.end_s
    whole = np.concatenate(pieces) * gain
    out.samples = (whole + noise * np.random.default_rng(3).standard_normal(len(whole))).astype(np.float32)
    return out


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser()


@pytest.mark.parametrize(
    ("script", "noise", "gain"),
    [(CLOSE, 0.0, 1.0), (CLOSE, 0.0015, 1.0), (LONE, 0.00002, 0.02)],
    ids=["close", "noise", "quiet"],
)
def test_a_made_talk(recogniser: Recogniser, script: tuple[str | float, ...], noise: float, gain: float) -> None:
    talk = made(script, noise=noise, gain=gain)
    silent = sound.silences(talk.samples)
    said = alone.settled(
        recogniser.transcribe(talk.samples), silent, lambda spans: recogniser.hear(talk.samples, spans)
    )
    words = list(words_of(said))
    total_s = sound.duration_s(talk.samples)
    cut = plan.plan(
        duration_s=total_s,
        silences=silent,
        fillers=fillers.find(silent, words, total_s=total_s),
        repeats=repeats.find(words),
        fps=25.0,
    )

    def removed_s(span: Span) -> float:
        return sum(span.overlap_s(Span(one.start_s, one.end_s)) for one in cut.removed)

    assert [span for span in talk.speech if removed_s(span) > 0.1] == [], "no true word is lost"
    assert [span for span in talk.hesitations if removed_s(span) < 0.8 * span.length_s] == []
    long = [span for span in talk.silences if span.length_s > 0.7]
    assert sum(map(removed_s, long)) >= 0.95 * sum(span.length_s for span in long)
    line = retime.Timeline(cut.kept)
    starts = [cue.start_s for cue in retime.captions_of(said, cut.kept)]
    late = [span for span in talk.speech if min(abs(start - line.at(span.start_s)) for start in starts) > 0.3]
    assert late == [], "captions begin with their sentences"
