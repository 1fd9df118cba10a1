"""Speech on real recordings: what is said is written down, what is not said is not, and the cut talk loses no word."""

import json
import re
import subprocess
from pathlib import Path

import av
import pytest

import orpheus
from orpheus.media import media, video
from orpheus.media.cutting import fillers, plan, render, repeats, retime
from orpheus.media.sniff import sniff
from orpheus.media.speech import sound
from orpheus.media.speech.alone import settled
from orpheus.media.speech.recogniser import Recogniser
from orpheus.media.speech.transcript import Span, Transcript, words_of
from orpheus.testing.inline import run_job

pytestmark = [pytest.mark.samples, pytest.mark.timeout(300)]

_SPELT = {"12%": "twelve percent", "12": "twelve", "4,000": "four thousand", "4000": "four thousand", "mister": "mr"}


def spoken(text: str) -> list[str]:
    words = [_SPELT.get(word.strip(".,?!"), word) for word in text.lower().replace("-", " ").split()]
    return [word for word in re.sub(r"[^a-z' ]", " ", " ".join(words)).split() if word not in ("um", "uh")]


def word_error_rate(said: str, truth: str) -> float:
    """Edits (insert, drop, replace a word) per word of the truth."""
    a, b = spoken(said), spoken(truth)
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, start=1):
        before, row[0] = row[0], i
        for j, two in enumerate(b, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != two))
    return row[-1] / max(1, len(b))


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser()


def decoded(path: Path, folder: Path) -> sound.Samples:
    found = sniff(path.read_bytes()[:65536], size_bytes=path.stat().st_size)
    target = folder / "sound.wav"
    argv = video.limited(sound.wav_argv(video.ffmpeg(), path, found, target))
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return sound.load(target)


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        (
            "jfk.flac",
            "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country.",
        ),
        (
            "austen.mp3",
            "And Mister John Dashwood had then leisure to consider how much there might be prudently in his power to do for them. "
            "He was not an ill disposed young man, unless to be rather cold hearted and rather selfish is to be ill disposed.",
        ),
    ],
)
def test_clear_speech(recogniser: Recogniser, samples: Path, tmp_path: Path, name: str, truth: str) -> None:
    done: list[float] = []
    heard = recogniser.transcribe(decoded(samples / "audio" / name, tmp_path), on_segment=done.append)
    assert word_error_rate(heard.text, truth) <= 0.10
    assert heard.language == "en"
    assert done == sorted(done)
    assert all(0 <= word.start_s <= word.end_s <= heard.duration_s for word in words_of(heard))


def test_where_nobody_speaks_nothing_is_written(recogniser: Recogniser, samples: Path, tmp_path: Path) -> None:
    """Whisper fills silence with "you" and music with "Mm-hmm."."""
    for path in (
        samples / "audio/silence-6s.mp3",
        samples / "video/bigbuckbunny.mp4",
        samples / "hostile/wav-huge-header.wav",
    ):
        heard = recogniser.transcribe(decoded(path, tmp_path))
        assert (heard.text, heard.segments, heard.language) == ("", [], ""), path.name


def test_a_channel_wired_the_wrong_way_round_is_heard(samples: Path, tmp_path: Path) -> None:
    """Left and right add up to silence; their difference is the speech."""
    inverted = tmp_path / "inverted.flac"
    turn = ["-af", "pan=stereo|c0=c0|c1=-1*c0", "-y", str(inverted)]
    source = ["-loglevel", "error", "-t", "8", "-i", str(samples / "audio/jfk.flac")]
    subprocess.run([video.ffmpeg(), "-nostdin", *source, *turn], check=True)
    done = run_job(media, {"source": orpheus.File.from_path(inverted)}, folder=tmp_path / "job")
    (said,) = (
        path for name, path in done.artifacts.items() if name.startswith("transcripts/") and name.endswith("json")
    )
    assert "fellow Americans" in json.loads(said.read_text())["text"]


@pytest.fixture(scope="module")
def talk(
    recogniser: Recogniser, samples: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, plan.CutPlan, Transcript]:
    """The sample talk, cut: the file, the plan, and the transcript of the source."""
    folder = tmp_path_factory.mktemp("talk")
    source, program = samples / "video/talk-silences-fillers.mp4", video.ffmpeg()
    found = sniff(source.read_bytes()[:65536], size_bytes=source.stat().st_size)
    heard = decoded(source, folder)
    silent = sound.silences(heard)
    said = settled(recogniser.transcribe(heard), silent, lambda some: recogniser.hear(heard, some))
    words = list(words_of(said))
    made = plan.plan(
        duration_s=sound.duration_s(heard),
        silences=silent,
        fillers=fillers.find(silent, words, total_s=sound.duration_s(heard)),
        repeats=repeats.find(words),
        fps=25.0,
    )
    whole, cut, target = folder / "whole.pcm", folder / "cut.pcm", folder / "cut.mp4"
    subprocess.run(render.pcm_argv(program, source, found, whole), check=True, stdout=subprocess.DEVNULL)
    render.cut_pcm(whole, cut, made.kept)
    argv = render.video_argv(
        program, source, found, sound=cut, target=target, kept=made.kept, rate=render.frame_rate(25.0)
    )
    subprocess.run(video.limited(argv), check=True, stdout=subprocess.DEVNULL)
    return target, made, said


def truth_of(samples: Path, kind: str) -> list[Span]:
    told = json.loads((samples / "video/talk-silences-fillers.truth.json").read_text())
    return [Span(one["start"], one["end"]) for one in told["segments"] if one["kind"] == kind]


def removed_s(made: plan.CutPlan, span: Span) -> float:
    return sum(span.overlap_s(Span(one.start_s, one.end_s)) for one in made.removed)


def test_long_silences_go(talk: tuple[Path, plan.CutPlan, Transcript], samples: Path) -> None:
    _, made, _ = talk
    long = [span for span in truth_of(samples, "silence") if span.length_s > 0.7]
    assert sum(removed_s(made, span) for span in long) >= 0.95 * sum(span.length_s for span in long)


def test_hesitations_go(talk: tuple[Path, plan.CutPlan, Transcript], samples: Path) -> None:
    _, made, _ = talk
    said = truth_of(samples, "filler")
    assert [removed_s(made, span) > 0.8 * span.length_s for span in said] == [True] * len(said)
    assert {one.reason for one in made.removed} == {"silence", "filler"}


def test_no_word_is_lost(
    talk: tuple[Path, plan.CutPlan, Transcript], samples: Path, recogniser: Recogniser, tmp_path: Path
) -> None:
    target, made, _ = talk
    for span in truth_of(samples, "speech"):
        assert removed_s(made, span) < 0.1
    told = json.loads((samples / "video/talk-silences-fillers.truth.json").read_text())
    truth = " ".join(one["text"] for one in told["segments"] if one["kind"] == "speech")
    heard = recogniser.transcribe(decoded(target, tmp_path))
    assert word_error_rate(heard.text, truth) <= 0.10


def test_the_cut_is_as_long_as_planned(talk: tuple[Path, plan.CutPlan, Transcript]) -> None:
    target, made, _ = talk
    with av.open(str(target)) as container:
        lengths = [float(stream.duration * stream.time_base) for stream in container.streams]
    assert len(lengths) == 2
    assert all(abs(length - made.kept_duration_s) <= 0.1 for length in lengths)


def test_captions_are_in_step_with_the_cut(talk: tuple[Path, plan.CutPlan, Transcript], samples: Path) -> None:
    """A cue begins within 0.3 s of every sentence of the truth, wherever the cut has moved it."""
    _, made, said = talk
    line = retime.Timeline(made.kept)
    starts = [cue.start_s for cue in retime.captions_of(said, made.kept)]
    for span in truth_of(samples, "speech"):
        assert min(abs(start - line.at(span.start_s)) for start in starts) <= 0.3, span
