"""Which ready task goes to which worker? The embedded engine's second pure policy, beside the decider (R4, R25).

`Dispatcher` knows a bounded window of the ready tasks of each source (queue, priority, tenant, handler, key); the rest
are rows, fetched when a window runs low, so a million queued tasks are not a million objects (promise 5). It picks by
priority, then weighted fairness between tenants, then first in first out (`dispatch_fair.py`), and takes the limits of
queue, tenant, key, rate and resources together or not at all (`dispatch_gates.py`). It reads no clock and no database:

    committed rows became ready ─► add(ref)                    a run ended ─► released(key); a row was cancelled ─► remove
    refill_wanted() ─► the engine queries ─► refilled(…)       a worker polls ─► pick(offer, now) ─► [ReadyRef]

A picked ref holds its limits until `released` (the run is over), `unbegun` (it never was one) or `give_back` (the same, and
the row is still ready). Nothing here is durable: after a start, `announce` the sources and `restore` the running tasks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from orpheus.core.dispatch_fair import FairHeap, Lane, Level, Pool
from orpheus.core.dispatch_gates import Gates
from orpheus.core.dispatch_limits import Gate, Rate
from orpheus.core.dispatch_turns import take_turns
from orpheus.core.dispatch_types import NO_NEEDS, Capacity, Key, Needs, Offer, ReadyRef, Reason, Refill, Source
from orpheus.core.dispatch_why import why_no_worker
from orpheus.core.dispatch_windows import Window, Windows

__all__ = ["NO_NEEDS", "Capacity", "Dispatcher", "Key", "Needs", "Offer", "ReadyRef", "Reason", "Refill", "Source"]

MAX_POOLS = 128
"""Distinct (queues, handlers) among workers; beyond it the one unused for longest is forgotten and built anew when it
polls."""


class Dispatcher(Windows):
    """The order of all ready tasks. Deterministic: the same calls give the same picks.

    Args:
        window: most refs kept of one source (and of one kind of needs in it).
        refill: most rows asked for at a time, when so many, or half of the window, are left.
        max_refs: most refs kept in all; many sources get smaller windows.
        max_sources: most sources known at a time (a key of its own for each of a million jobs is a million sources).
        ageing_s: a priority that had something to give and was passed over for this long goes first once; None is off.
    """

    def __init__(
        self,
        *,
        window: int = 512,
        refill: int = 512,
        max_refs: int = 65_536,
        max_sources: int = 50_000,
        ageing_s: float | None = None,
    ) -> None:
        super().__init__(window=window, refill=refill, max_refs=max_refs, max_sources=max_sources)
        self._ageing_s = ageing_s
        self.gates = Gates()
        self._due: list[tuple[float, int, Gate]] = []
        """When a rate lets the next one through."""
        self._pools: dict[tuple[tuple[str, ...], tuple[str, ...]], Pool] = {}
        self._weights: dict[str, float] = {}
        self._serial = 0

    # Who gets what

    def pick(self, offer: Offer, now: float) -> list[ReadyRef]:
        """Choose up to `offer.free` tasks for a worker, and take their limits.

        Every ref returned holds its limits until `released` or `give_back`; its row must be claimed in the transaction
        that follows. Within one answer the worker's resources are counted down.
        """
        self.wake(now)
        picked: list[ReadyRef] = []
        if offer.free <= 0 or not offer.handlers:
            return picked
        pool = self._pool(offer)
        free = dict(offer.resources_free)
        if self._ageing_s is not None:
            while len(picked) < offer.free and self._pick_aged(pool, free, now, self._ageing_s, picked):
                pass
            return picked
        for level in pool.levels.values():  # what has nothing to give has nothing later in the answer either
            self._pick_at(level, free, now, offer.free - len(picked), picked)
            if len(picked) >= offer.free:
                break
        return picked

    def take(self, ref: ReadyRef, now: float) -> bool:
        """Pick this very task, which was not added: it has just become ready, and `knows_any` of its kind is False, so nobody's
        turn is passed over. Takes its limits if they are free; tells whether they were."""
        if ref.key in self._held or self.gates.blocked(ref.source, ref.needs, now) is not None:
            return False
        self._held[ref.key] = ref
        self.gates.take(ref)
        return True

    def _pick_aged(self, pool: Pool, free: dict[str, int], now: float, ageing_s: float, picked: list[ReadyRef]) -> bool:
        """Pick one where a level that was passed over for long may go first; tell whether there was one."""
        levels: Sequence[Level] = tuple(pool.levels.values())
        hungry = [level for level in levels if level.hungry_since is not None and now - level.hungry_since >= ageing_s]
        if hungry:
            levels = (*hungry, *(level for level in levels if level not in hungry))
        for position, level in enumerate(levels):
            if not self._pick_at(level, free, now, 1, picked):
                level.hungry_since = None
                continue
            level.hungry_since = now if level in hungry else None  # its next turn out of order is an ageing length away
            for passed_over in levels[position + 1 :]:
                if passed_over.hungry_since is None and passed_over.best(free) is not None:
                    passed_over.hungry_since = now
            return True
        return False

    def _pick_at(self, level: Level, free: dict[str, int], now: float, most: int, picked: list[ReadyRef]) -> bool:
        """Pick up to so many of this level, each when it is its turn, into `picked`; tell whether there was any.

        Those of a lane that are surely next, since nobody else can go before them and no gate closes, are taken together; those of
        tenants who take turns, by way of `dispatch_turns.py`.
        """
        gates, before_any = self.gates, len(picked)
        turn = level.best(free)
        while turn is not None:
            shelf, heap, seq, lane, alone = turn
            if alone and most > 1 and len(heap.flows) > 1 and not lane.resources:
                count = self._pick_in_turn(heap, most, now, picked)
                most -= count
                if most <= 0:
                    break
                if count:
                    turn = heap.turn()
                    continue
            refs = lane.refs
            first: ReadyRef = refs[0]
            blocked = gates.blocked(first.source, first.needs, now)
            if blocked is not None:
                gate, name, at = blocked
                shelf.park(lane, seq, gate, (gate, name))
                if at is not None and at < math.inf and (gate.due is None or at < gate.due):
                    gate.due = at
                    self._serial += 1
                    heappush(self._due, (at, self._serial, gate))
                turn = level.best(free)
                continue
            count, before = 1, heap.only_before(lane) if alone and most > 1 else -math.inf
            if len(refs) > 1 and refs[1].ready_seq < before:
                count = min(most, gates.room(first.source, first.needs))
                for name, amount in lane.resources:
                    count = min(count, free[name] // amount)
            taken: list[ReadyRef] = lane.take(count, before)
            picked += taken
            count = len(taken)
            level.serve(lane.tenant, self._weights.get(lane.tenant, 1.0), count)
            self._hold(lane, taken)
            for name, amount in lane.resources:
                free[name] -= amount * count
            most -= count
            if most <= 0:
                break
            # Other heaps get nothing more to give in the course of an answer; this shelf may come to be too large.
            turn = heap.turn() if alone and not lane.resources else level.best(free)
        return len(picked) > before_any

    def _pick_in_turn(self, heap: FairHeap, most: int, now: float, picked: list[ReadyRef]) -> int:
        """Pick of tenants who take turns, until one comes that some gate may stop; tell how many."""
        gates = self.gates

        def admits(first: ReadyRef) -> bool:
            source, needs = first.source, first.needs
            return gates.blocked(source, needs, now) is None and gates.room(source, needs) >= most

        taken, by_lane = take_turns(heap, most, self._weights, admits)
        picked += taken
        for lane, refs in by_lane.items():
            self._hold(lane, refs)
        return len(taken)

    def _hold(self, lane: Lane, taken: Sequence[ReadyRef]) -> None:
        """Count what these hold, which were taken from the lane."""
        where, held = self._where, self._held
        for ref in taken:
            key = ref.key
            del where[key]
            held[key] = ref
        self.gates.take_alike(taken)
        window: Window = lane.window
        if window.more or not window.refs:
            self._look_for_thirst(window)

    def _woken(self, lane: Lane, seq: int) -> None:
        for pool in self._pools.values():
            if pool.serves(lane.queue, lane.handler):
                pool.woken(lane, seq)

    def _pool(self, offer: Offer) -> Pool:
        name = (offer.queues, offer.handlers)
        pool = self._pools.pop(name, None)
        if pool is not None and len(pool.places) > 1024 + 2 * len(self._windows):
            pool.leave_lines()  # mostly lanes that are long gone: build it anew
            pool = None
        if pool is None:
            pool = Pool(*name)
            if len(self._pools) >= MAX_POOLS:
                oldest = next(iter(self._pools))
                self._pools.pop(oldest).leave_lines()
            for window in self._windows.values():
                if pool.serves(window.source.queue, window.source.handler):
                    for lane in window.lanes.values():
                        head = lane.head()
                        if head is not None:
                            pool.woken(lane, head)
        self._pools[name] = pool  # the latest used stands last
        return pool

    # Limits

    def set_queue(
        self, queue: str, *, paused: bool = False, concurrency: int | None = None, rate: Rate | None = None
    ) -> None:
        """Set a queue's pause and limits; None is no limit. A lower limit stops no run."""
        self.gates.set_queue(queue, paused=paused, concurrency=concurrency, rate=rate)

    def set_tenant(self, tenant: str, *, weight: float = 1.0, max_running: int | None = None) -> None:
        """Give a tenant a share other than 1 (2 is twice as many tasks as a tenant of weight 1), and a limit of runs.

        Raises:
            ValueError: the weight is not above 0.
        """
        if not weight > 0:
            raise ValueError(f"weight of tenant {tenant!r} must be above 0, not {weight}")
        self._weights[tenant] = weight
        if weight == 1.0:
            del self._weights[tenant]
        self.gates.set_tenant(tenant, max_running, self.running_of(tenant) if max_running is not None else 0)

    def began(self, *keys: Key, now: float) -> None:
        """The claims of these picks are on disk, as of this instant: rates count their starts from then on."""
        if self.gates.counts_any:
            for key in keys:
                self.gates.began(key, now)

    def released(self, key: Key) -> None:
        """The run is over. Safe to repeat."""
        ref = self._held.pop(key, None)
        if ref is not None:
            self.gates.release((ref,))

    def all_released(self, keys: Iterable[Key]) -> None:
        """Do as `released` for runs that were over at the same time."""
        held = self._held
        self.gates.release([held.pop(key) for key in keys if key in held])

    def unbegun(self, key: Key) -> None:
        """The run was never begun by anybody: its claim was refused, or its grant never arrived. Rates get their start
        back; the tenant's turn is spent."""
        ref = self._held.pop(key, None)
        if ref is not None:
            self.gates.refund(ref)
            self.gates.release((ref,))

    def give_back(self, ref: ReadyRef) -> None:
        """The pick came to nothing and the row is still ready with the same `ready_seq`: as if it had not been picked."""
        if self._held.get(ref.key) is ref:
            self.unbegun(ref.key)
            self.add(ref)

    def restore(self, ref: ReadyRef) -> None:
        """A running task found at start-up: count what it holds without asking. Rates hear of its start by
        `gates.recall`."""
        if ref.key not in self._held:
            self._held[ref.key] = ref
            self.gates.take(ref, rated=False)

    def wake(self, now: float) -> bool:
        """Have the lines of rates that may have opened look again; tell whether there were any."""
        woken = False
        while self._due and self._due[0][0] <= now:
            at, _, gate = heappop(self._due)
            if gate.due == at:
                gate.due = None
            gate.tell()
            woken = True
        return woken

    def next_wake(self) -> float | None:
        """Return when a rate lets a parked task through; a poll that found nothing should be tried again then."""
        while self._due and not self._due[0][2].lines:
            at, _, gate = heappop(self._due)
            if gate.due == at:
                gate.due = None
        return self._due[0][0] if self._due else None

    def running(self, queue: str) -> int:
        """Return how many runs hold a slot of the queue."""
        return self.gates.running(queue)

    def running_of(self, tenant: str) -> int:
        """Return how many runs a tenant has. Looks at all that run."""
        return sum(ref.source.tenant == tenant for ref in self._held.values())

    # Why not

    def why(self, source: Source, needs: Needs, workers: Sequence[Capacity], now: float) -> list[Reason]:
        """List every reason why a ready task of this source and these needs waits; one at least (promise 6)."""
        reasons = self.gates.why(source, needs, now)
        return reasons + why_no_worker(source, needs, workers, alone=not reasons)
