"""Short sounds between two pauses, listened to one by one: which words are said in them, and which are hesitations."""

import pytest

from orpheus.media.speech.alone import Heard, settled
from orpheus.media.speech.transcript import Segment, Span, Transcript, Word, build, words_of

DOCTOR = Span(0.0, 1.9)
LONE = Span(2.5, 2.8)
AFTER = Span(3.4, 5.0)
SILENT = [Span(1.9, 2.5), Span(2.8, 3.4), Span(5.0, 6.0)]


def transcript(words: list[Word], total_s: float = 6.0) -> Transcript:
    text = " ".join(word.word for word in words)
    return build([Segment(words[0].start_s, words[-1].end_s, text, words)], language="en", duration_s=total_s)


def sentence(text: str, span: Span, probability: float = 0.97) -> list[Word]:
    words = text.split()
    each_s = span.length_s / len(words)
    return [
        Word(word, span.start_s + place * each_s, span.start_s + (place + 1) * each_s, probability)
        for place, word in enumerate(words)
    ]


def said_in_lone(between: list[Word], heard: Heard, *, before: str = "He asked him to rest.") -> tuple[str, list[Span]]:
    """Return what is said in the short sound between two sentences, and which sounds were listened to."""
    asked: list[Span] = []

    def hear(spans: object) -> list[Heard]:
        new = list(spans)  # type: ignore[call-overload]
        asked.extend(new)
        return [heard] * len(new)

    whole = transcript([*sentence(before, DOCTOR), *between, *sentence("They painted it green.", AFTER)])
    out = settled(whole, SILENT, hear)
    return " ".join(word.word for word in words_of(out) if LONE.overlap_s(word) > 0.1), asked


@pytest.mark.parametrize(
    ("told", "probability", "heard", "outcome"),
    [
        ("Yes.", 0.97, None, "Yes."),
        ("I'm", 0.91, Heard("Um.", 0.8), "Um."),
        ("Burr.", 0.97, Heard("Buh.", 0.4), ""),
        ("Turn.", 0.2, Heard("Done.", 0.6), ""),
        ("Thirst.", 0.17, Heard("First.", 0.7), "First."),
        ("Our,", 0.11, Heard("Far.", 0.5), "Our,"),
        ("Third,", 0.6, Heard("Bird.", 0.6), "Third,"),
        ("Umm,", 0.3, Heard("Um.", 0.8), "Umm,"),
        ("or", 0.2, Heard("Yeah.", 0.6), ""),
        ("Or,", 0.57, Heard("Four.", 0.4), "Or,"),
        ("or", 0.99, Heard("Or.", 0.4), "or"),
        ("Exactly.", 0.27, Heard("And now, complete.", 0.5), "Exactly."),
        ("Two.", 0.31, Heard("Two.", 0.7), "Two."),
        ("8.", 0.4, Heard("Eight.", 0.7), "8."),
        ("Her", 0.2, Heard("", 0.0), "Her"),
        (None, 0.0, Heard("Uh.", 0.7), "Uh."),
        (None, 0.0, Heard("Exactly.", 0.8), "Exactly."),
        (None, 0.0, Heard("Or.", 0.6), "Or."),
        (None, 0.0, Heard("Great.", 0.2), ""),
        (None, 0.0, Heard("Yeah.", 0.7), ""),
        (None, 0.0, Heard("Sir.", 0.6), ""),
        (None, 0.0, Heard("Thank you.", 0.8), "Thank you."),
        (None, 0.0, Heard("", 0.0), ""),
    ],
)
def test_what_a_lone_sound_says(told: str | None, probability: float, heard: Heard | None, outcome: str) -> None:
    """A word that is sure is not listened to again; a doubtful one is what is heard; a true word is kept rather than lost."""
    between = [Word(told, 2.5, 2.8, probability)] if told else []
    text, asked = said_in_lone(between, heard or Heard("Um.", 1.0))
    assert text == outcome
    assert asked == ([LONE] if heard else [])


def test_a_word_told_elsewhere_goes_to_the_sound_that_says_it() -> None:
    """Whisper put "So," before the next sentence, a second late, where it left an "um" out: each gets its sound."""
    early, late = Span(2.5, 2.8), Span(4.2, 4.4)
    silent = [Span(1.9, 2.5), Span(2.8, 4.2), Span(4.4, 4.9), Span(6.5, 7.0)]
    words = [*sentence("He asked him to rest.", DOCTOR), Word("So,", 4.2, 4.4, 0.92)]
    whole = transcript([*words, *sentence("they painted it green.", Span(4.9, 6.5))], 7.0)
    says = {early: Heard("So.", 0.8), late: Heard("Uh.", 0.6)}
    out = settled(whole, silent, lambda spans: [says[span] for span in spans])
    assert [(word.word, word.start_s) for word in words_of(out)][5:7] == [("So,", 2.5), ("Uh.", 4.2)]
    assert out.text == "He asked him to rest. So, Uh. they painted it green."


def test_the_last_word_of_a_sentence_stays_with_it() -> None:
    """Its time was told over the pause, in the sound of the hesitation."""
    heard = Heard("Um.", 0.8)
    text, _ = said_in_lone([Word("week.", 1.9, 2.7, 0.99)], heard, before="He asked him to rest for a")
    assert text == "Um."


def test_a_sentence_that_was_left_out_is_listened_to() -> None:
    """Whisper passes over whole sentences between two others."""
    late = Span(5.6, 8.0)
    silent = [*SILENT[:2], Span(5.0, 5.6), Span(8.0, 9.0)]
    words = [
        *sentence("He asked him to rest.", DOCTOR),
        *sentence("Yes.", LONE),
        *sentence("They painted it green.", AFTER),
    ]
    for heard, outcome in ((Heard("Water boils early.", 0.9), "Water boils early."), (Heard("Mm mm what.", 0.3), "")):
        out = settled(transcript(words, 9.0), silent, lambda spans, heard=heard: [heard] * len(spans))
        inside = [word for word in words_of(out) if late.overlap_s(word) > 0.1]
        assert " ".join(word.word for word in inside) == outcome
        assert not inside or (inside[0].start_s, inside[-1].end_s) == (late.start_s, late.end_s)


def test_nobody_is_listened_to_where_nobody_speaks() -> None:
    nothing = build([], language="en", duration_s=6.0)
    assert settled(nothing, SILENT, lambda spans: pytest.fail("listened")) == nothing


def test_without_a_close_look_only_whole_sentences_are_listened_to() -> None:
    """`media` and `video` cut nothing: there hesitations are not worth half a second each."""
    silent = [Span(1.0, 2.0), Span(2.4, 3.4), Span(6.4, 7.4)]
    said = transcript([*sentence("Hello you", Span(0.0, 1.0)), *sentence("there", Span(7.4, 8.2))], 8.2)
    asked: list[Span] = []

    def hear(spans: object) -> list[Heard]:
        new = list(spans)  # type: ignore[call-overload]
        asked.extend(new)
        return [Heard("and this was left out", 0.9)] * len(new)

    out = settled(said, silent, hear, closely=False)
    assert asked == [Span(3.4, 6.4)]
    assert "and this was left out" in " ".join(word.word for word in words_of(out))
    settled(said, silent, hear)
    assert Span(2.0, 2.4) in asked
