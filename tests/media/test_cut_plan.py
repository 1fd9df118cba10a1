"""The cut plan: what goes, why, and that nothing else does."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orpheus.media.cutting import fillers, repeats
from orpheus.media.cutting.edited import settled
from orpheus.media.cutting.edl import edl
from orpheus.media.cutting.fillers import Filler
from orpheus.media.cutting.plan import CutPlan, Removed, Settings, checked, plan, seconds_by_reason
from orpheus.media.cutting.render import cut_pcm, frame_rate, frames_of
from orpheus.media.cutting.retime import Timeline, captions_of
from orpheus.media.errors import InvalidInput
from orpheus.media.speech.hesitations import is_filler
from orpheus.media.speech.transcript import Segment, Span, Word, build


def spans(*pairs: tuple[float, float]) -> list[Span]:
    return [Span(*pair) for pair in pairs]


def test_a_long_pause_goes_but_for_its_edges() -> None:
    made = plan(duration_s=10.0, silences=spans((4.0, 6.0)))
    assert [(one.start_s, one.end_s, one.reason) for one in made.removed] == [(4.015, 5.975, "silence")]
    assert made.kept == spans((0.0, 4.015), (5.975, 10.0))
    assert made.kept_duration_s == 8.04


def test_a_short_pause_stays() -> None:
    assert plan(duration_s=10.0, silences=spans((4.0, 4.5))).removed == []


def test_silence_at_both_ends_goes_altogether() -> None:
    made = plan(duration_s=10.0, silences=spans((0.0, 2.0), (8.0, 10.0)))
    assert made.kept == spans((1.975, 8.015))


def test_a_hesitation_takes_its_short_pauses_along() -> None:
    um = Filler(Span(4.3, 4.6), "Um,")
    made = plan(duration_s=10.0, silences=spans((4.0, 4.3), (4.6, 5.0)), fillers=[um])
    assert [(one.reason, one.text) for one in made.removed] == [("silence", None), ("filler", "Um,"), ("silence", None)]
    assert made.kept == spans((0.0, 4.015), (4.975, 10.0))


def test_what_is_switched_off_stays() -> None:
    um = Filler(Span(4.3, 4.6), "Um,")
    quiet = spans((4.0, 4.3), (4.6, 5.0), (7.0, 9.0))
    only_fillers = plan(duration_s=10.0, silences=quiet, fillers=[um], settings=Settings(remove_silences=False))
    assert [one.end_s for one in only_fillers.removed][-1] == 4.975
    only_silences = plan(duration_s=10.0, silences=quiet, fillers=[um], settings=Settings(remove_fillers=False))
    assert [(one.start_s, one.end_s) for one in only_silences.removed] == [(7.015, 8.975)]


def test_nothing_but_silence_is_not_cut() -> None:
    """There is no video of no frames."""
    assert plan(duration_s=6.0, silences=spans((0.0, 6.0))).kept == spans((0.0, 6.0))


LENGTHS = st.lists(st.floats(0.05, 4.0), min_size=1, max_size=40)


@given(LENGTHS, st.sampled_from([None, 24.0, 25.0, 30000 / 1001, 60.0]), st.data())
def test_kept_and_removed_are_the_whole_source(lengths: list[float], fps: float | None, data: st.DataObject) -> None:
    """Disjoint, in order, on frames, without gaps, and as long together as they say."""
    edges = [0.0, *itertools.accumulate(lengths)]
    pieces = [Span(a, b) for a, b in itertools.pairwise(edges)]
    silent = [piece for place, piece in enumerate(pieces) if place % 2 == 0]
    said = [Filler(one, "um") for one in pieces[1::2] if one.length_s < 0.9 and data.draw(st.booleans())]
    made = plan(duration_s=edges[-1], silences=silent, fillers=said, fps=fps)
    marks = sorted([*made.kept, *(Span(one.start_s, one.end_s) for one in made.removed)], key=lambda one: one.start_s)
    assert marks[0].start_s == 0.0
    assert marks[-1].end_s == pytest.approx(edges[-1], abs=1e-5)
    assert all(one.end_s == pytest.approx(two.start_s, abs=1e-5) for one, two in itertools.pairwise(marks))
    assert made.kept_duration_s == pytest.approx(sum(one.length_s for one in made.kept), abs=2e-3)
    if fps:
        inner = [mark.start_s for mark in marks[1:]]
        assert all(abs(at * fps - round(at * fps)) < 1e-3 for at in inner)
    assert checked(made.kept, duration_s=edges[-1])


@given(LENGTHS, st.data())
def test_captions_of_the_cut_keep_their_order_and_lie_inside_it(lengths: list[float], data: st.DataObject) -> None:
    edges = [0.0, *itertools.accumulate(lengths)]
    kept = [Span(a, b) for a, b in itertools.pairwise(edges) if data.draw(st.booleans())] or [Span(0.0, edges[-1])]
    line = Timeline(kept)
    words = [Word(f"w{place}", a, b) for place, (a, b) in enumerate(itertools.pairwise(edges))]
    said = build([Segment(0.0, edges[-1], "", words)], language="en", duration_s=edges[-1])
    out = captions_of(said, kept)
    told = [word for cue in out for word in cue.text.split()]
    assert told == [word.word for word in words if any(span.start_s <= word.start_s < span.end_s for span in kept)]
    assert all(one.end_s <= two.start_s + 2e-3 for one, two in itertools.pairwise(out))
    assert all(0 <= cue.start_s <= cue.end_s <= line.duration_s + 2e-3 for cue in out)


def test_a_caption_ends_where_the_talk_paused_though_the_pause_is_gone() -> None:
    words = [*said("It rained", 0.0), *said("we left", 3.0)]
    whole = build([Segment(0.0, 4.0, "", words)], language="en", duration_s=4.0)
    (first, second) = captions_of(whole, spans((0.0, 0.6), (2.9, 4.0)))
    assert (first.text, second.text) == ("It rained", "we left")
    assert second.start_s == pytest.approx(0.7)


@pytest.mark.parametrize("text", ["Um,", "uh", "Uhm...", "Er.", "Hmm.", "mm-hmm", "You know,", "I mean", "Ah, um"])
def test_hesitations(text: str) -> None:
    assert is_filler(text)


@pytest.mark.parametrize(
    "text", ["", "First.", "You", "know", "a", "Oh no", "like", "Umbrella", "human", "So", "her", "Yes"]
)
def test_words(text: str) -> None:
    assert not is_filler(text)


def test_a_lone_sound_is_a_hesitation_where_it_says_nothing_else() -> None:
    """The second says "You know,", the third nothing, the fourth is a word, the last is too long."""
    silent = spans((0.0, 1.0), (1.3, 2.0), (2.3, 3.0), (3.3, 4.0), (4.4, 5.0), (6.5, 8.0))
    words = [
        *(Word("First,", 1.0, 1.3), Word("You", 2.0, 2.15), Word("know,", 2.15, 2.3)),
        *(Word("Bern", 4.0, 4.4), Word("Yes", 5.0, 5.3)),
    ]
    found = fillers.find(silent, words, total_s=8.0)
    assert [(one.span.start_s, one.text) for one in found] == [(2.0, "You know,"), (3.0, "uh")]


def test_where_nobody_speaks_nothing_is_a_hesitation() -> None:
    assert fillers.find(spans((0.0, 1.0), (1.3, 2.0)), [], total_s=2.0) == []


def said(text: str, start_s: float) -> list[Word]:
    return [Word(word, start_s + 0.3 * place, start_s + 0.3 * place + 0.28) for place, word in enumerate(text.split())]


@pytest.mark.parametrize(
    ("first", "second", "gone"),
    [
        ("The new warehouse in Lisbon.", "The new warehouse in Lisbon opened in March.", True),
        ("First the new ware", "First the new warehouse opened.", True),
        ("Shipping times fell by ten percent.", "Shipping times fell by twelve percent.", False),
        ("Shipping times have really fallen by twelve percent.", "Shipping times have fallen by twelve percent.", True),
        ("Ask not what your country can do for you,", "ask what you can do for your country.", False),
        ("Thank you.", "Thank you.", False),
        ("He was not an ill-disposed young man.", "Unless to be rather cold-hearted is to be ill-disposed.", False),
    ],
)
def test_repeated_takes(first: str, second: str, gone: bool) -> None:
    one = said(first, 0.0)
    two = said(second, one[-1].end_s + 0.5)
    found = repeats.find([*one, *two])
    assert [repeat.text for repeat in found] == ([first] if gone else [])
    if gone:
        assert found[0].span == Span(0.0, two[0].start_s)


def test_an_edited_plan_is_put_in_order() -> None:
    assert checked(spans((5.0, 6.0), (1.0, 2.0), (2.0, 3.0), (9.0, 99.0)), duration_s=10.0) == spans(
        (1.0, 3.0), (5.0, 6.0), (9.0, 10.0)
    )


@pytest.mark.parametrize(
    "kept", [spans(), spans((2.0, 1.0)), spans((-1.0, 1.0)), spans((0.0, 2.0), (1.0, 3.0)), spans((20.0, 21.0))]
)
def test_an_edited_plan_that_makes_no_sense_is_refused(kept: list[Span]) -> None:
    with pytest.raises(InvalidInput):
        checked(kept, duration_s=10.0)


def test_frame_rates() -> None:
    assert str(frame_rate(29.97)) == "30000/1001"
    assert str(frame_rate(25.0)) == "25"
    assert str(frame_rate(None)) == "25"
    assert frame_rate(1000.0) == 60
    assert frames_of(spans((0.0, 1.0), (1.0, 1.004), (2.0, 2.04)), frame_rate(25)) == [(0, 24), (50, 50)]


def test_sound_is_cut_to_the_sample_and_faded_at_joins(tmp_path) -> None:  # type: ignore[no-untyped-def]
    source, target = tmp_path / "in.pcm", tmp_path / "out.pcm"
    source.write_bytes((10_000).to_bytes(2, "little") * 2 * 48_000)  # a second of a constant
    cut_pcm(source, target, spans((0.0, 0.25), (0.5, 1.5)))
    samples = memoryview(target.read_bytes()).cast("h")
    assert len(samples) == 2 * int(1.25 * 48_000)
    join = 2 * 12_000
    assert samples[0] == 10_000, "the beginning is no join"
    assert abs(samples[join - 2]) < 10 and abs(samples[join]) < 10
    assert max(abs(a - b) for a, b in itertools.pairwise(samples[join - 600 : join + 600 : 2])) < 80, "no click"
    assert set(samples[2 * 36_200 :]) == {0}, "behind the sound's end there is silence, so that it stays in step"


def test_edl() -> None:
    text = edl(spans((0.0, 1.0), (2.0, 3.04)), frame_rate(25), title="Ä talk", clip="a.mp4")
    assert "TITLE: ? talk" in text
    assert "002  AX       AA/V  C        00:00:02:00 00:00:03:01 00:00:01:00 00:00:02:01" in text


def planned(*, kept: list[Span], removed: list[Removed]) -> CutPlan:
    return CutPlan(1, 10.0, kept, removed, 0.0, {})


def test_what_a_person_cut_without_a_reason_was_edited() -> None:
    """Told by its absence from `kept` only; the silence beside it keeps its reason."""
    decided = planned(kept=spans((0.0, 1.0), (4.0, 10.0)), removed=[Removed(1.0, 2.0, "silence")])
    done = settled(decided)
    assert done.removed == [Removed(1.0, 2.0, "silence"), Removed(2.0, 4.0, "edited")]
    assert done.kept_duration_s == 7.0
    assert seconds_by_reason(done.removed) == {"silence": 1.0, "edited": 2.0}


def test_what_a_person_took_back_is_not_removed() -> None:
    um = Removed(5.0, 6.0, "filler", "Um.")
    decided = planned(kept=spans((0.0, 5.2), (6.0, 10.0)), removed=[Removed(1.0, 2.0, "silence"), um])
    assert settled(decided).removed == [Removed(5.2, 6.0, "filler", "Um.")]


def test_an_unedited_plan_is_settled_as_it_is() -> None:
    um = Filler(Span(4.3, 4.6), "Um,")
    made = plan(
        duration_s=10.0, silences=spans((0.0, 1.0), (4.0, 4.3), (4.6, 5.0), (8.0, 10.0)), fillers=[um], fps=25.0
    )
    assert settled(made) == made


@given(LENGTHS, st.data())
def test_an_edited_plan_explains_all_it_leaves_out(lengths: list[float], data: st.DataObject) -> None:
    edges = [0.0, *itertools.accumulate(lengths)]
    pieces = [Span(a, b) for a, b in itertools.pairwise(edges)]
    kept = [piece for piece in pieces if data.draw(st.booleans())] or pieces[:1]
    starts = sorted(data.draw(st.lists(st.floats(0, edges[-1]), max_size=5)))
    marks = [Removed(start, start + 0.5, "silence") for start in starts]
    done = settled(CutPlan(1, edges[-1], kept, marks, 0.0, {}))
    both = sorted([*done.kept, *(Span(one.start_s, one.end_s) for one in done.removed)], key=lambda one: one.start_s)
    assert both[0].start_s == 0.0
    assert both[-1].end_s == pytest.approx(edges[-1], abs=1e-5)
    assert all(one.end_s == pytest.approx(two.start_s, abs=1e-5) for one, two in itertools.pairwise(both))
