"""Whose turn is it? Priorities, tenants and first-in-first-out, for one pool of like workers (R25).

A pool is every worker that offers the same queues and handlers. It has its own order, so that each pool by itself is
fair and a tenant that is busy elsewhere is not made to wait here. Inside a pool:

    level  (one per priority)          strictly by priority; ageing, where asked for, lets a hungry level go first
      shelf  (one per resource need)   looked at only when the worker has these resources free
        heap: tenant → lanes           start-time fair queueing between tenants, first in first out within one
        lines: the same, parked        lanes that met a closed gate, aside until that gate tells them to look again

**Start-time fair queueing.** A level has a virtual time, and each tenant a tag. The tenant with the least tag goes
first; its start is `max(tag, virtual)`, the virtual time becomes that start, and the tag becomes start + 1/weight. Who
was away (idle, held by a limit, without a worker) has a tag behind the virtual time and starts at it: never with
credit saved up. Two tenants that always have something to do differ by at most one task each, whatever their backlogs.

**Laziness.** Tags and heads only grow, so entries in heaps are lower bounds, corrected when they come to the top. Each
tenant in a heap and each lane of a pool has exactly one valid entry; others are dropped on sight.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from operator import attrgetter
from typing import Any

from orpheus.core.dispatch_limits import Gate

Resources = tuple[tuple[str, int], ...]

_place_in_time = attrgetter("ready_seq")

SMALL_LINE = 4
"""Lanes of a line that go back to the heap when its gate opens. A longer line stays together, so that a queue limit
shared by a thousand tenants costs one look per freed slot and not a thousand moves."""


class Lane:
    """Ready tasks that differ in nothing the order looks at but their place in time: one tenant's, of one priority, for
    one handler and key, with the same needs. Holds the refs of a bounded window."""

    __slots__ = ("handler", "live", "priority", "queue", "refs", "resources", "tenant", "window")

    def __init__(
        self, window: Any, *, queue: str, priority: int, tenant: str, handler: str, resources: Resources
    ) -> None:
        self.window = window
        self.queue = queue
        self.priority = priority
        self.tenant = tenant
        self.handler = handler
        self.resources = resources
        self.refs: deque[Any] = deque()
        """In the order of `ready_seq`; refs that are gone stay until they surface."""
        self.live = 0

    def push(self, ref: Any) -> None:
        if self.refs and ref.ready_seq < self.refs[-1].ready_seq:
            insort(self.refs, ref, key=_place_in_time)  # it comes back to an old place
        else:
            self.refs.append(ref)
        self.live += 1

    def head(self) -> int | None:
        """Return the ready_seq of the first live ref, which then stands first."""
        refs, live = self.refs, self.window.refs
        while refs:
            ref = refs[0]
            if live.get(ref.key) is ref:
                seq: int = ref.ready_seq
                return seq
            refs.popleft()
        return None

    def take(self, most: int, before: float) -> list[Any]:
        """Take the first live ref, which `head` has just said there is, and those after it that stand `before` this place;
        `most` in all."""
        refs, live = self.refs, self.window.refs
        first = refs.popleft()
        del live[first.key]
        taken = [first]
        while most > len(taken) and refs and refs[0].ready_seq < before:
            ref = refs.popleft()
            key = ref.key
            if live.get(key) is ref:
                del live[key]
                taken.append(ref)
        self.live -= len(taken)
        return taken

    def tidy(self) -> None:
        """Drop refs that are gone when they are many, so that removals cannot pile up."""
        if len(self.refs) > 2 * self.live + 64:
            self.refs = deque(ref for ref in self.refs if self.window.refs.get(ref.key) is ref)


class Flow:
    """One tenant within a heap: its lanes by their heads, and its one valid entry."""

    __slots__ = ("entry", "lanes")

    def __init__(self) -> None:
        self.lanes: list[tuple[int, int, Lane]] = []
        self.entry: tuple[float, int, str] = (0.0, 0, "")

    @property
    def others_from(self) -> float:
        """The place in time before which none of its lanes but the first can be next."""
        return min((seq for seq, _, _ in self.lanes[1:3]), default=math.inf)  # a heap's second stands in one of these


class FairHeap:
    """Tenants by tag, each with its lanes by head. Also a line of parked lanes, when it has a gate."""

    __slots__ = ("count", "flows", "gate", "heap", "name", "shelf")

    def __init__(self, shelf: Shelf, gate: Gate | None = None, name: Any = None) -> None:
        self.shelf = shelf
        self.gate = gate
        self.name = name
        self.flows: dict[str, Flow] = {}
        self.heap: list[tuple[float, int, str]] = []
        self.count = 0
        """Lanes whose place is here."""

    def put(self, lane: Lane, seq: int) -> None:
        """Give the lane its place here, as of its head `seq`."""
        pool = self.shelf.level.pool
        old = pool.places.get(lane)
        if old is None or old.heap is not self:
            if old is not None:
                old.heap.count -= 1
            self.count += 1
        pool.serial += 1
        pool.places[lane] = Place(self, seq, pool.serial)
        flow = self.flows.get(lane.tenant)
        if flow is None:
            flow = self.flows[lane.tenant] = Flow()
            heappush(flow.lanes, (seq, pool.serial, lane))
            self._enter(flow, lane.tenant, seq)
            return
        heappush(flow.lanes, (seq, pool.serial, lane))
        if seq < flow.entry[1]:
            self._enter(flow, lane.tenant, seq)

    def _enter(self, flow: Flow, tenant: str, seq: int) -> None:
        flow.entry = (self.shelf.level.tags.get(tenant, 0.0), seq, tenant)
        heappush(self.heap, flow.entry)

    def peek(self) -> tuple[float, int, Lane] | None:
        """Return `(tag, ready_seq, lane)` of whose turn it is here, or None when nothing is left."""
        level, heap, flows = self.shelf.level, self.heap, self.flows
        tags, places = level.tags, level.pool.places
        while heap:
            entry = heap[0]
            tenant = entry[2]
            flow = flows.get(tenant)
            if flow is None or flow.entry is not entry:
                heappop(heap)
                continue
            lanes = flow.lanes
            while lanes:
                seq, serial, lane = lanes[0]
                place = places.get(lane)
                if place is None or place.serial != serial:
                    heappop(lanes)
                    continue
                head = lane.head()
                if head == seq:
                    break
                if head is None:
                    heappop(lanes)
                    del places[lane]
                    self.count -= 1
                else:
                    place.seq = head
                    heapreplace(lanes, (head, serial, lane))
            else:
                heappop(heap)
                del flows[tenant]
                continue
            tag = tags.get(tenant, 0.0)
            if tag > entry[0] or seq != entry[1]:
                flow.entry = (tag, seq, tenant)
                heapreplace(heap, flow.entry)
                continue
            return tag, seq, lane
        return None

    def turn(self) -> Turn | None:
        """Return whose turn it is on the level, when only this heap has something to give."""
        found = self.peek()
        return None if found is None else (self.shelf, self, found[1], found[2], True)

    def only_before(self, lane: Lane) -> float:
        """Return the place in time before which nothing but this lane, whose turn it is here, can be next here: `-inf` when there
        are other tenants, who take turns."""
        return -math.inf if len(self.flows) > 1 else self.flows[lane.tenant].others_from

    def opened(self) -> None:
        """The gate may have opened: stand where the next pick looks (or go back to the heap, when short)."""
        if self.gate is None:
            return
        if self.count > SMALL_LINE:
            self.shelf.open[self.name] = self
            return
        places = self.shelf.level.pool.places
        self.shelf.forget(self)
        for flow in self.flows.values():
            for _, serial, lane in flow.lanes:
                place = places.get(lane)
                if place is not None and place.serial == serial:
                    head = lane.head()
                    if head is None:
                        del places[lane]
                        self.count -= 1
                    else:
                        self.shelf.main.put(lane, head)


@dataclass(slots=True)
class Place:
    heap: FairHeap
    seq: int
    serial: int


class Shelf:
    """Lanes of one level that need the same resources."""

    __slots__ = ("level", "lines", "main", "open", "resources")

    def __init__(self, level: Level, resources: Resources) -> None:
        self.level = level
        self.resources = resources
        self.main = FairHeap(self)
        self.lines: dict[Any, FairHeap] = {}
        self.open: dict[Any, FairHeap] = {}

    def fits(self, free: Mapping[str, int]) -> bool:
        return all(free.get(name, 0) >= amount for name, amount in self.resources)

    def park(self, lane: Lane, seq: int, gate: Gate, name: Any) -> None:
        """Move the lane into the line of a closed gate."""
        line = self.lines.get(name)
        if line is None:
            line = self.lines[name] = FairHeap(self, gate, name)
            gate.lines[line] = None
        self.open.pop(name, None)
        if self.level.pool.places[lane].heap is not line:
            line.put(lane, seq)

    def forget(self, line: FairHeap) -> None:
        self.lines.pop(line.name, None)
        self.open.pop(line.name, None)
        if line.gate is not None:
            line.gate.lines.pop(line, None)

    def heaps(self) -> tuple[FairHeap, ...]:
        """Return where the next pick looks: the heap and the open lines."""
        return (self.main, *self.open.values()) if self.open else (self.main,)


class Level:
    """One priority of a pool, with the virtual time and the tenants' tags."""

    __slots__ = ("hungry_since", "pool", "priority", "shelves", "tags", "virtual")

    def __init__(self, pool: Pool, priority: int) -> None:
        self.pool = pool
        self.priority = priority
        self.virtual = 0.0
        self.tags: dict[str, float] = {}
        self.shelves: dict[Resources, Shelf] = {}
        self.hungry_since: float | None = None
        """Since when it had something to give and others went first; for ageing."""

    def shelf(self, resources: Resources) -> Shelf:
        shelf = self.shelves.get(resources)
        if shelf is None:
            shelf = self.shelves[resources] = Shelf(self, resources)
        return shelf

    def best(self, free: Mapping[str, int]) -> Turn | None:
        """Return whose turn it is among the shelves whose resources are free."""
        found: tuple[float, int, Lane] | None = None
        alone, virtual = True, self.virtual
        for shelf in self.shelves.values():
            if shelf.resources and not shelf.fits(free):
                continue
            for heap in shelf.heaps():
                other = heap.peek()
                if other is None:
                    if heap.gate is not None:
                        shelf.forget(heap)
                elif found is None:
                    found, its_shelf, its_heap = other, shelf, heap
                else:
                    alone = False
                    if (max(other[0], virtual), other[1]) < (max(found[0], virtual), found[1]):
                        found, its_shelf, its_heap = other, shelf, heap
        return None if found is None else (its_shelf, its_heap, found[1], found[2], alone)

    def serve(self, tenant: str, weight: float, count: int) -> None:
        """Account tasks to the tenant, which went one after another."""
        step = 1.0 / weight
        start = max(self.tags.get(tenant, 0.0), self.virtual)
        for _ in range(count - 1):  # and not at once: a sum of floats depends on how it is made
            start += step
        self.virtual = start
        self.tags[tenant] = start + step
        if len(self.tags) > 4096 and len(self.tags) > 4 * len(self.pool.places):
            self.tags = {name: tag for name, tag in self.tags.items() if tag > start}


class Pool:
    """The order for all workers that offer the same queues and handlers."""

    __slots__ = ("_handlers", "_queues", "levels", "places", "serial")

    def __init__(self, queues: tuple[str, ...], handlers: tuple[str, ...]) -> None:
        self._queues = dict.fromkeys(queues)
        self._handlers = dict.fromkeys(handlers)
        self.levels: dict[int, Level] = {}
        """By priority, ascending."""
        self.places: dict[Lane, Place] = {}
        self.serial = 0

    def serves(self, queue: str, handler: str) -> bool:
        return handler in self._handlers and (not self._queues or queue in self._queues)

    def woken(self, lane: Lane, seq: int) -> None:
        """The lane's head is `seq` and lower than it was, or it had none."""
        place = self.places.get(lane)
        if place is None:
            self.level(lane.priority).shelf(lane.resources).main.put(lane, seq)
        elif seq < place.seq:
            place.heap.put(lane, seq)

    def level(self, priority: int) -> Level:
        level = self.levels.get(priority)
        if level is None:
            self.levels[priority] = level = Level(self, priority)
            self.levels = dict(sorted(self.levels.items()))
        return level

    def leave_lines(self) -> None:
        """Take this pool's lines from their gates: it is about to be forgotten."""
        for level in self.levels.values():
            for shelf in level.shelves.values():
                for line in list(shelf.lines.values()):
                    shelf.forget(line)


Turn = tuple[Shelf, FairHeap, int, Lane, bool]
"""Whose turn it is on a level: where it stands, its head's `ready_seq`, and whether it is the only heap of the level that has
something to give."""
