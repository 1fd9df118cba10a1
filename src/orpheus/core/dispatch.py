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

__all__ = ["NO_NEEDS", "Capacity", "Dispatcher", "Key", "Needs", "Offer", "ReadyRef", "Reason", "Refill", "Source"]

LOOKED_AT = 64
"""Sources that `knows_any` looks at: with more of them there is a backlog."""
MAX_POOLS = 128
"""Distinct (queues, handlers) among workers; beyond it the one unused for longest is forgotten and built anew when it
polls."""


class _Window:
    """The known ready tasks of one source: all of them up to `tail`; when `more`, rows beyond it are only in the
    store."""

    __slots__ = ("lanes", "more", "refs", "source", "tail")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.refs: dict[Key, ReadyRef] = {}
        self.lanes: dict[Needs, Lane] = {}
        self.tail = -1
        self.more = False


class Dispatcher:
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
        self._window = window
        self._refill = refill
        self._max_refs = max_refs
        self._max_sources = max_sources
        self._ageing_s = ageing_s
        self._windows: dict[Source, _Window] = {}
        self._share_out()
        self._where: dict[Key, _Window] = {}
        self._held: dict[Key, ReadyRef] = {}
        self.gates = Gates()
        self._due: list[tuple[float, int, Gate]] = []
        """When a rate lets the next one through."""
        self._pools: dict[tuple[tuple[str, ...], tuple[str, ...]], Pool] = {}
        self._weights: dict[str, float] = {}
        self._thirsty: dict[Source, None] = {}
        self._overflowed = False
        self._serial = 0

    # What is ready

    def __len__(self) -> int:
        """Return how many refs are kept in memory."""
        return len(self._where)

    def __contains__(self, key: Key) -> bool:
        return key in self._where

    def add(self, ref: ReadyRef) -> None:
        """A committed row is ready. Kept if its window has room and no rows before it are missing, else left to a
        refill.

        Adding a task again replaces what was known of it; one whose run still holds limits is taken as released.
        """
        key = ref.key
        if key in self._held:
            self.released(key)
        if key in self._where:
            self.remove(key)
        window = self._windows.get(ref.source)
        if window is None:
            window = self._open_window(ref.source)
            if window is None:
                return
        if ref.ready_seq > window.tail:
            if window.more:
                return
            lane, share = window.lanes.get(ref.needs), self._share
            if (lane is not None and lane.live >= share) or len(window.refs) >= 8 * share:
                window.more = True
                self._look_for_thirst(window)
                return
            window.tail = ref.ready_seq
        self._keep(window, ref)

    def leaves(self, source: Source, ready_seq: int) -> bool:
        """Tell whether rows that become ready from this place on are left to a refill."""
        window = self._windows.get(source)
        return window is not None and window.more and ready_seq > window.tail

    def add_alike(self, refs: Sequence[ReadyRef]) -> None:
        """Do as `add` for each of these, which are of one source, have the same needs and stand in the order of their places."""
        first, rest = refs[0], refs[1:]
        self.add(first)
        window = self._where.get(first.key)
        if window is not None:
            rest = rest[self._keep_behind(window, first, rest) :]
        for ref in rest:
            self.add(ref)

    def _keep_behind(self, window: _Window, last: ReadyRef, refs: Sequence[ReadyRef]) -> int:
        """Keep as many of these together as there is room for, if `last` is what came last; return how many."""
        lane = window.lanes[last.needs]
        if window.more or window.tail != last.ready_seq or lane.refs[-1] is not last:
            return 0
        refs = refs[: max(0, min(self._share - lane.live, 8 * self._share - len(window.refs)))]
        keys = [ref.key for ref in refs]
        if not refs or not (self._held.keys().isdisjoint(keys) and self._where.keys().isdisjoint(keys)):
            return 0
        window.refs.update(zip(keys, refs, strict=True))
        self._where.update(dict.fromkeys(keys, window))
        lane.refs.extend(refs)
        lane.live += len(refs)
        window.tail = refs[-1].ready_seq
        return len(refs)

    def remove(self, key: Key) -> None:
        """The row is no longer ready (cancelled, timed out, held by a pause). Unknown keys are ignored."""
        window = self._where.pop(key, None)
        if window is None:
            return
        lane = window.lanes[window.refs.pop(key).needs]
        lane.live -= 1
        lane.tidy()
        self._look_for_thirst(window)

    def remove_job(self, job_id: str) -> None:
        """Forget every ready task of a job (it was paused). Looks at all that is in memory; after a resume,
        `invalidate` the sources of its ready rows."""
        for key in [key for key in self._where if key[0] == job_id]:
            self.remove(key)

    def announce(self, source: Source) -> None:
        """Rows of this source may exist in the store: after a start, after `sources_wanted`."""
        if source not in self._windows:
            window = self._open_window(source)
            if window is not None:
                window.more = True
                self._look_for_thirst(window)

    def invalidate(self, source: Source) -> None:
        """Rows with an old place became ready again in the store (a resume): read the window anew."""
        window = self._windows.get(source)
        if window is None:
            self.announce(source)
            return
        for key in list(window.refs):
            del self._where[key]
        window.refs.clear()
        for lane in window.lanes.values():
            lane.live = 0
            lane.refs.clear()
        window.tail, window.more = -1, True
        self._look_for_thirst(window)

    def refill_wanted(self, limit: int = 64) -> list[Refill]:
        """Return which sources need rows, at most `limit` of them; they are asked for again until `refilled`."""
        wanted: list[Refill] = []
        for source in list(self._thirsty):
            window = self._windows.get(source)
            if window is None or not window.more:
                del self._thirsty[source]
                continue
            wanted.append(Refill(source, window.tail, min(self._share, self._refill)))
            if len(wanted) == limit:
                break
        return wanted

    def refilled(self, source: Source, refs: Iterable[ReadyRef], *, more: bool) -> None:
        """Rows of a source after its `after_seq`, in order; `more` when the store has further ones."""
        self._thirsty.pop(source, None)
        window = self._windows.get(source)
        if window is None:
            return
        window.more = more
        held, known, where = self._held, window.refs, self._where
        needs: Needs | None = None
        lane: Lane | None = None
        seq = window.tail
        for ref in refs:
            key = ref.key
            seq = ref.ready_seq
            if key in held or key in known:
                continue
            if ref.needs is not needs:
                needs = ref.needs
                lane = window.lanes.get(needs)
            if lane is not None and lane.live and seq > lane.refs[-1].ready_seq:
                known[key] = ref  # as `_keep` does behind others of a lane
                where[key] = window
                lane.refs.append(ref)
                lane.live += 1
            else:
                self._keep(window, ref)
                lane = window.lanes[ref.needs]
        window.tail = max(window.tail, seq)
        self._look_for_thirst(window)

    def expects_more(self) -> bool:
        """Tell whether some source has rows in the store beyond its window, or was left out for lack of room."""
        return self._overflowed or any(window.more for window in self._windows.values())

    def sources_wanted(self) -> bool:
        """Tell whether sources were left out for lack of room and there is room again: the engine then announces
        all."""
        if self._overflowed and len(self._windows) <= self._max_sources // 2:
            self._overflowed = False
            return True
        return False

    def _open_window(self, source: Source) -> _Window | None:
        if len(self._windows) >= self._max_sources:
            self._overflowed = True
            return None
        window = self._windows[source] = _Window(source)
        self._share_out()
        return window

    def _keep(self, window: _Window, ref: ReadyRef) -> None:
        key = ref.key
        window.refs[key] = ref
        self._where[key] = window
        lane = window.lanes.get(ref.needs)
        if lane is None:
            lane = self._open_lane(window, ref.needs)
        elif lane.live and ref.ready_seq > lane.refs[-1].ready_seq:
            lane.refs.append(ref)  # behind others of its lane, which the pools know
            lane.live += 1
            return
        lane.push(ref)
        if lane.refs[0] is ref:
            for pool in self._pools.values():
                if pool.serves(lane.queue, lane.handler):
                    pool.woken(lane, ref.ready_seq)

    def _open_lane(self, window: _Window, needs: Needs) -> Lane:
        source = window.source
        lane = window.lanes[needs] = Lane(
            window,
            queue=source.queue,
            priority=source.priority,
            tenant=source.tenant,
            handler=source.handler,
            resources=needs.resources,
        )
        return lane

    def _share_out(self) -> None:
        """Note how many refs a source may keep now; whenever there are more or fewer sources."""
        self._share = max(4, min(self._window, self._max_refs // (len(self._windows) or 1)))

    def _look_for_thirst(self, window: _Window) -> None:
        """Ask for rows when a lane runs low, and forget a window that has nothing and expects nothing."""
        if not window.more:
            if not window.refs:
                self._windows.pop(window.source, None)
                self._thirsty.pop(window.source, None)
                self._share_out()
            return
        share, low = self._share, min(self._share // 2, self._refill)
        if len(window.refs) < 8 * share and (
            not window.refs or any(lane.live <= low for lane in window.lanes.values())
        ):
            self._thirsty[window.source] = None

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

    def knows_any(self, handler: str) -> bool:
        """Tell whether a task for this handler may be ready, here or in rows that were not fetched."""
        if self._overflowed or len(self._windows) > LOOKED_AT:
            return True
        return any(source.handler == handler for source in self._windows)

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
        window: _Window = lane.window
        if window.more or not window.refs:
            self._look_for_thirst(window)

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

    def all_removed(self, keys: Iterable[Key]) -> None:
        """Do as `remove` for rows that are mostly not known any more: they were picked."""
        where = self._where
        for key in keys:
            if key in where:
                self.remove(key)

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
