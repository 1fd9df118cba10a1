"""Refs that come together are kept as if they had come one by one (`Dispatcher.add_alike`)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orpheus.core.dispatch import NO_NEEDS, Dispatcher, Needs, Offer, ReadyRef, Source

SOURCES = (Source("q", 3, "ada", "h@1"), Source("q", 2, "ada", "h@1"), Source("q", 3, "bob", "i@1"))
NEEDS = (NO_NEEDS, Needs(resources=(("gpu", 1),)))
OFFERS = (Offer(handlers=("h@1",), free=3), Offer(handlers=("h@1", "i@1"), free=7, resources_free={"gpu": 2}))


class Together:
    """Two dispatchers: one is given refs together, one each alone; and the rows that both know of."""

    def __init__(self, window: int) -> None:
        self.together, self.alone = self.both = [Dispatcher(window=window) for _ in range(2)]
        self.rows: list[ReadyRef] = []

    def add(self, count: int, source: Source, needs: Needs) -> None:
        first = len(self.rows)
        refs = [ReadyRef((f"job-{seq}", "n", -1, 1), seq, source, needs) for seq in range(first, first + count)]
        self.rows += refs
        self._give(refs)

    def add_again(self, of: float) -> None:
        """Some of them are known already, are picked, or were passed over; they came one after the other all the same."""
        if self.rows:
            first = self.rows[int(of * len(self.rows))]
            alike = (first.source, first.needs)
            refs = [one for one in self.rows if (one.source, one.needs) == alike and one.ready_seq >= first.ready_seq]
            self._give(refs[:6])

    def _give(self, refs: list[ReadyRef]) -> None:
        if not self.alone.leaves(refs[0].source, refs[0].ready_seq):
            self.together.add_alike(refs)
            for ref in refs:
                self.alone.add(ref)
            return
        before = _state(self.alone)
        for ref in refs:
            if ref.key not in self.alone and ref.key not in self.alone._held:
                self.alone.add(ref)
        assert _state(self.alone) == before, "what is left to a refill changes nothing"

    def pick(self, offer: Offer) -> None:
        picked = [[ref.key for ref in one.pick(offer, 0.0)] for one in self.both]
        assert picked[0] == picked[1]

    def remove(self, of: float) -> None:
        if self.rows:
            for one in self.both:
                one.remove(self.rows[int(of * len(self.rows))].key)

    def refill(self) -> None:
        wanted = [one.refill_wanted() for one in self.both]
        assert wanted[0] == wanted[1]
        for source, after, limit in wanted[0]:
            found = [one for one in self.rows if one.source == source and one.ready_seq > after]
            for one in self.both:
                one.refilled(source, found[:limit], more=len(found) > limit)


def _state(dispatcher: Dispatcher) -> Any:
    return (
        list(dispatcher._where),
        list(dispatcher._held),
        dispatcher._thirsty,
        [
            (name, list(window.refs), window.tail, window.more, [(lane.live, list(lane.refs)) for lane in window.lanes.values()])
            for name, window in dispatcher._windows.items()
        ],
    )  # fmt: skip


PLACE = st.floats(0, 1, exclude_max=True)
STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 60), st.sampled_from(SOURCES), st.sampled_from(NEEDS)),
    st.tuples(st.just("add_again"), PLACE),
    st.tuples(st.just("pick"), st.sampled_from(OFFERS)),
    st.tuples(st.just("remove"), PLACE),
    st.tuples(st.just("refill")),
)


@given(st.lists(STEPS, min_size=3, max_size=25), st.sampled_from([4, 16, 64]))
def test_refs_together_are_kept_as_each_alone(steps: list[Any], window: int) -> None:
    two = Together(window)
    for name, *rest in steps:
        getattr(two, name)(*rest)
        assert _state(two.together) == _state(two.alone)
