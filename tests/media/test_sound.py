"""Sound as numbers: pauses are found under hum and offset, and in quiet recordings; the end of a word stays with it."""

import numpy as np
import pytest

from orpheus.media.speech import sound
from orpheus.media.speech.sound import RATE_HZ, Samples
from orpheus.media.speech.transcript import Span

RANDOM = np.random.default_rng(7)


def seconds(length_s: float) -> Samples:
    return np.arange(int(length_s * RATE_HZ)) / RATE_HZ


def voice(length_s: float) -> Samples:
    """A buzz with the harmonics of a voice."""
    at = seconds(length_s)
    return sum(np.sin(2 * np.pi * 120 * k * at) / k for k in range(1, 20)) * 0.1


def silence(length_s: float) -> Samples:
    return np.zeros(int(length_s * RATE_HZ))


def talk(*pieces: Samples, noise: float = 1e-4) -> Samples:
    whole = np.concatenate(pieces)
    return (whole + noise * RANDOM.standard_normal(len(whole))).astype(np.float32)


def near(found: list[Span], wanted: list[Span]) -> bool:
    edges = [(one.start_s, one.end_s) for one in found]
    return len(found) == len(wanted) and np.allclose(edges, [(one.start_s, one.end_s) for one in wanted], atol=0.03)


SPOKEN = (voice(1.0), silence(0.8), voice(1.5), silence(0.4), voice(0.3))
PAUSES = [Span(1.0, 1.8), Span(3.3, 3.7)]


@pytest.mark.parametrize("gain", [1.0, 0.03, 0.003])
def test_pauses_are_found_however_quiet_the_talk(gain: float) -> None:
    assert near(sound.silences(talk(*SPOKEN) * np.float32(gain)), PAUSES)


def test_pauses_are_found_under_hum_and_offset() -> None:
    quiet = talk(*SPOKEN)
    at = seconds(len(quiet) / RATE_HZ)
    assert near(sound.silences((quiet + 0.08 * np.sin(2 * np.pi * 50 * at)).astype(np.float32)), PAUSES)
    assert near(sound.silences(quiet + np.float32(0.2)), PAUSES)


def test_the_burst_that_ends_a_word_belongs_to_it() -> None:
    """The "ts" of "tickets": 0.1 s of closed mouth, 60 ms of hiss as loud as the room's rumble."""
    hiss = np.diff(RANDOM.standard_normal(int(0.06 * RATE_HZ) + 1)) * 0.004
    whole = talk(voice(1.0), silence(0.12), hiss, silence(1.0), voice(1.0), noise=0.0)
    rumble = np.cumsum(RANDOM.standard_normal(len(whole)))
    rumble -= np.convolve(rumble, np.ones(800) / 800, "same")
    room = whole + (0.004 * rumble / rumble.std()).astype(np.float32)
    assert near(sound.silences(room), [Span(1.18, 2.18)])


def test_a_whisper_is_made_audible_and_nothing_else_is() -> None:
    spoken = talk(*SPOKEN)
    assert sound.made_audible(spoken) is spoken
    whisper = spoken * np.float32(0.002)
    assert np.percentile(sound.loudness(sound.made_audible(whisper)), 90) == pytest.approx(-25.0, abs=1.0)
    nothing = np.zeros(RATE_HZ, dtype=np.float32)
    assert sound.made_audible(nothing) is nothing


def test_channels_that_cancel_out() -> None:
    spoken = talk(*SPOKEN)
    lost = np.zeros_like(spoken)
    assert sound.is_faint(lost) and sound.cancelled_out(lost, spoken)
    assert not sound.is_faint(spoken) and not sound.cancelled_out(spoken, lost)


@pytest.mark.parametrize("length_s", [0.0, 0.004, 0.05])
def test_next_to_no_sound(length_s: float) -> None:
    assert sound.silences(silence(length_s).astype(np.float32)) in ([], [Span(0.0, length_s)])
