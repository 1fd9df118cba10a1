"""Captions: cues that can be read, in order, in step, and as players expect them."""

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from orpheus.media.speech.captions import CUE_CHARACTERS, Cue, cues, srt, vtt
from orpheus.media.speech.transcript import Segment, Transcript, Word, build


def said(text: str, *, start_s: float = 0.0, each_s: float = 0.4, gap_s: float = 0.0) -> list[Word]:
    words, at = [], start_s
    for word in text.split():
        words.append(Word(word, round(at, 3), round(at + each_s, 3)))
        at += each_s + gap_s
    return words


def transcript(*groups: list[Word]) -> Transcript:
    segments = [Segment(g[0].start_s, g[-1].end_s, " ".join(w.word for w in g), g) for g in groups]
    return build(segments, language="en", duration_s=groups[-1][-1].end_s + 1)


def test_a_cue_ends_with_its_sentence() -> None:
    made = cues(transcript(said("Welcome to the review. Today we talk about three topics.")))
    assert [cue.text for cue in made] == ["Welcome to the review.", "Today we talk about three topics."]


def test_a_title_ends_no_sentence() -> None:
    (cue,) = cues(transcript(said("And Mr. John Dashwood had leisure.")))
    assert cue.text == "And Mr. John Dashwood had leisure."


def test_a_pause_ends_a_cue() -> None:
    words = said("one two") + said("three four", start_s=3.0)
    assert [cue.text for cue in cues(transcript(words))] == ["one two", "three four"]


def test_joined_sentences_are_told_apart_by_the_breath_between_them() -> None:
    """Two sentences said 0.3 s apart, joined by the recogniser: the second is shown when it is said."""
    words = said("near the river, second shipping times fell")
    later = [Word(w.word, w.start_s + 0.3, w.end_s + 0.3) for w in words[3:]]
    made = cues(transcript(words[:3] + later))
    assert [(cue.text, cue.start_s) for cue in made] == [("near the river,", 0.0), ("second shipping times fell", 1.5)]


def test_a_breath_inside_a_phrase_ends_nothing() -> None:
    """Nobody reads a caption "the"."""
    words = said("they opened the", each_s=0.3) + said("warehouse in March.", start_s=1.15)
    assert len(cues(transcript(words))) == 2
    words = said("opened the", each_s=0.3) + said("warehouse in March.", start_s=0.85)
    assert [cue.text for cue in cues(transcript(words))] == ["opened the warehouse in March."]


def test_a_sentence_over_two_segments_is_one_cue() -> None:
    """The recogniser breaks where its window of 30 s ends, in the middle of a phrase."""
    made = cues(transcript(said("it might be prudently in"), said("his power.", start_s=2.0)))
    assert [cue.text for cue in made] == ["it might be prudently in his power."]


def test_a_long_sentence_is_broken_near_a_comma() -> None:
    text = "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country now."
    made = cues(transcript(said(text, each_s=0.25)))
    assert len(made) == 2
    assert made[0].text.replace("\n", " ").endswith("for you,")


@given(
    st.lists(st.sampled_from(["a", "word", "considerable", "Lisbon,", "end.", "twelve"]), min_size=1, max_size=80),
    st.floats(0.05, 1.5),
    st.floats(0.0, 0.9),
)
def test_cues_hold_every_word_in_order_and_never_overlap(words: list[str], each_s: float, gap_s: float) -> None:
    made = cues(transcript(said(" ".join(words), each_s=each_s, gap_s=gap_s)))
    assert " ".join(cue.text.replace("\n", " ") for cue in made).split() == words
    assert all(cue.start_s < cue.end_s for cue in made)
    assert all(one.end_s <= two.start_s + 1e-9 for one, two in itertools.pairwise(made))
    assert all(len(cue.text) <= CUE_CHARACTERS + 12 and cue.text.count("\n") <= 1 for cue in made)


def test_srt() -> None:
    assert srt([Cue(0.0, 1.5, "One\ntwo"), Cue(3661.25, 3662.0, "three")]) == (
        "1\n00:00:00,000 --> 00:00:01,500\nOne\ntwo\n\n2\n01:01:01,250 --> 01:01:02,000\nthree\n\n"
    )


def test_vtt_escapes_markup() -> None:
    text = vtt([Cue(0.0, 1.0, "a < b & c <i>")])
    assert text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n")
    assert "a &lt; b &amp; c &lt;i&gt;" in text
    assert not re.search(r"<(?!/?v)", text.split("-->", 1)[1].split("\n", 1)[1])


def test_nothing_said_gives_no_cues() -> None:
    empty = build([], language="en", duration_s=6.0)
    assert empty.language == ""
    assert srt(cues(empty)) == ""
    assert vtt(cues(empty)) == "WEBVTT\n\n"
