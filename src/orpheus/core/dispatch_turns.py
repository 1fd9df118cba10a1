"""How do many tenants take turns in one answer? What `Dispatcher.pick` does one by one, without looking again at what cannot have
changed (R25).

Where only one heap of a level has something to give, nothing but the picks themselves moves tags and heads in the course of an answer.
So after each pick the tenant's new entry is known at once, and a tenant that was looked at is not looked at again: a pick of two tenants in
turn costs half of what it costs by way of `FairHeap.peek` and the gates (`benchmarks/bytecodes.py`). The order and what is left behind
are the same; `tests/property/test_dispatch.py` compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heapreplace
from typing import Any, NamedTuple

from orpheus.core.dispatch_fair import FairHeap, Flow, Lane, Place


class _Turns(NamedTuple):
    """A tenant who takes turns, by the lane that is first among its own."""

    flow: Flow
    lane: Lane
    place: Place
    before: float
    """The place in time from which on another of its lanes may be first."""
    weight: float
    taken: list[Any]


def take_turns(
    heap: FairHeap, most: int, weights: Mapping[str, float], admits: Callable[[Any], bool]
) -> tuple[list[Any], dict[Lane, list[Any]]]:
    """Take refs as long as tenants come whose first is admitted: at most so many.

    Args:
        heap: the only one of its level that has something to give.
        admits: told the first ref of a lane; tells whether `most` like it would meet no closed gate, whoever else takes some of those
            that are admitted.

    Returns:
        What was taken, in order; and the same by lane.
    """
    level = heap.shelf.level
    places, flows, entries = level.pool.places, heap.flows, heap.heap
    turns: dict[str, _Turns] = {}
    by_lane: dict[Lane, list[Any]] = {}
    picked: list[Any] = []
    while len(picked) < most:
        entry = entries[0]
        tenant = entry[2]
        its = turns.get(tenant)
        if its is None or its.flow.entry is not entry:
            found = heap.peek()
            if found is None:
                break
            lane = found[2]
            tenant = lane.tenant
            its = turns.get(tenant)
            if its is None:
                if not admits(lane.refs[0]):
                    break
                flow = flows[tenant]
                weight, taken = weights.get(tenant, 1.0), by_lane.setdefault(lane, [])
                its = turns[tenant] = _Turns(flow, lane, places[lane], flow.others_from, weight, taken)
        flow, lane, place, before, weight, taken = its
        [ref] = lane.take(1, before)
        picked.append(ref)
        taken.append(ref)
        level.serve(tenant, weight, 1)
        head = lane.head()
        if head is None or head >= before:
            del turns[tenant]  # its entry is out of date now, which `peek` sees
            continue
        place.seq = head
        heapreplace(flow.lanes, (head, place.serial, lane))
        flow.entry = (level.tags[tenant], head, tenant)
        heapreplace(entries, flow.entry)
    return picked, by_lane
