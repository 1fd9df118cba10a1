"""Words are put into the sounds they were said in, however far a recogniser moved them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orpheus.media.speech.placing import PAUSE_S, dealt, placed, sounds
from orpheus.media.speech.transcript import Segment, Span, Word, build, words_of


def silent(heard: list[Span], total_s: float) -> list[Span]:
    edges = [0.0, *(edge for span in heard for edge in (span.start_s, span.end_s)), total_s]
    return [Span(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if end > start]


def times(words: list[Word], heard: list[Span], total_s: float) -> dict[str, tuple[float, float]]:
    segment = Segment(words[0].start_s, words[-1].end_s, " ".join(word.word for word in words), words)
    out = placed(build([segment], language="en", duration_s=total_s), silent(heard, total_s))
    return {word.word: (word.start_s, word.end_s) for word in words_of(out)}


def test_words_leave_the_pauses() -> None:
    """Whisper lets "review." last into the pause, and "Today" begin in it."""
    heard = [Span(13.2, 14.8), Span(16.8, 18.8)]
    words = [
        *(Word("Welcome", 13.2, 13.7), Word("to", 13.7, 13.8), Word("the", 13.8, 14.0), Word("review.", 14.0, 15.4)),
        *(Word("Today", 15.4, 17.1), Word("we", 17.1, 17.3), Word("will", 17.3, 17.6), Word("talk.", 17.6, 18.7)),
    ]
    out = times(words, heard, 20.0)
    assert out["review."] == (14.0, 14.8)
    assert out["Today"][0] == 16.8
    assert out["talk."][1] == 18.8


def test_a_word_comes_back_over_a_pause() -> None:
    """Whisper put the first word of the second sentence before the pause; there it would be said in a tenth of its time."""
    heard = [Span(0.0, 2.0), Span(2.8, 5.8)]
    words = [
        *(Word("They", 0.0, 0.6), Word("painted", 0.6, 1.2), Word("green.", 1.2, 1.9), Word("Tomorrow", 1.9, 2.3)),
        *(Word("we", 2.8, 3.6), Word("travel", 3.6, 5.0), Word("home.", 5.0, 5.8)),
    ]
    assert times(words, heard, 7.0)["Tomorrow"][0] == 2.8


def test_a_hesitation_goes_where_a_lone_sound_is() -> None:
    heard = [Span(0.0, 2.0), Span(2.6, 2.9), Span(3.5, 6.0)]
    words = [
        *(Word("This", 0.0, 0.4), Word("is", 0.4, 0.8), Word("the", 0.8, 1.2), Word("end.", 1.2, 2.9)),
        *(Word("Uh,", 3.5, 3.6), Word("Please", 3.6, 4.2), Word("read", 4.2, 5.0), Word("it.", 5.0, 6.0)),
    ]
    out = times(words, heard, 7.0)
    assert out["Uh,"] == (2.6, 2.9)
    assert out["end."][1] == 2.0
    assert out["Please"][0] == 3.5


def test_a_sound_without_words_stays_without() -> None:
    heard = [Span(0.0, 1.0), Span(2.0, 2.2), Span(3.0, 4.0)]
    words = [Word("Once", 0.0, 0.5), Word("again.", 0.5, 1.0), Word("Once", 3.0, 3.5), Word("more.", 3.5, 4.0)]
    assert [len(share) for share in dealt(words, heard)] == [2, 0, 2]


def test_music_before_a_word_does_not_stretch_it() -> None:
    """Ten seconds of music count as one sound with the words that follow."""
    words = [Word("Good", 10.0, 10.4), Word("evening.", 10.4, 11.0)]
    assert times(words, [Span(0.0, 11.0)], 12.0)["Good"] == (10.0, 10.4)


@pytest.mark.parametrize("heard", [[], [Span(0.0, 5.0)]])
def test_without_pauses_or_words_nothing_is_lost(heard: list[Span]) -> None:
    assert placed(build([], language="en", duration_s=5.0), silent(heard, 5.0)).segments == []
    assert times([Word("Hello.", 1.0, 2.0)], heard, 5.0).keys() == {"Hello."}


@given(st.data())
def test_order_and_number_of_words_stay(data: st.DataObject) -> None:
    gaps = data.draw(st.lists(st.tuples(st.floats(0.2, 3), st.floats(0.06, 4)), min_size=1, max_size=6))
    heard, at = [], 0.0
    for pause_s, sound_s in gaps:
        heard.append(Span(round(at + pause_s, 2), round(at + pause_s + sound_s, 2)))
        at = heard[-1].end_s
    starts = sorted(data.draw(st.lists(st.floats(0, at), min_size=1, max_size=12)))
    ends = [min(start + 0.2, following) for start, following in zip(starts, [*starts[1:], at + 1], strict=True)]
    words = [Word(f"w{place}", start, end) for place, (start, end) in enumerate(zip(starts, ends, strict=True))]
    out = times(words, heard, at + 1)
    assert list(out) == [word.word for word in words]
    edges = [edge for pair in out.values() for edge in pair]
    assert edges == sorted(edges)
    assert sounds(silent(heard, at + 1), total_s=at + 1, pause_s=PAUSE_S) == [
        span for span in heard if span.length_s >= 0.05
    ]
