"""Which ready tasks are known? A bounded window of each source, and what is to be fetched next (R25).

The rest are rows: fetched when a window runs low, so a million queued tasks are not a million objects (promise 5). Whose turn it is
among those that are known is `dispatch.py`'s business.

    committed rows became ready ─► add(ref)                    a row was cancelled, held … ─► remove
    refill_wanted() ─► the engine queries ─► refilled(…)       after a start: announce(source)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from orpheus.core.dispatch_fair import Lane
from orpheus.core.dispatch_types import Key, Needs, ReadyRef, Refill, Source

LOOKED_AT = 64
"""Sources that `knows_any` looks at: with more of them there is a backlog."""


class Window:
    """The known ready tasks of one source: all of them up to `tail`; when `more`, rows beyond it are only in the
    store."""

    __slots__ = ("lanes", "more", "refs", "source", "tail")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.refs: dict[Key, ReadyRef] = {}
        self.lanes: dict[Needs, Lane] = {}
        self.tail = -1
        self.more = False


class Windows(ABC):
    """What is ready and known, by source. `Dispatcher` says what the arguments are."""

    def __init__(self, *, window: int, refill: int, max_refs: int, max_sources: int) -> None:
        self._window = window
        self._refill = refill
        self._max_refs = max_refs
        self._max_sources = max_sources
        self._windows: dict[Source, Window] = {}
        self._share_out()
        self._where: dict[Key, Window] = {}
        self._held: dict[Key, ReadyRef] = {}
        """Picked, and their runs are not over."""
        self._thirsty: dict[Source, None] = {}
        self._overflowed = False

    @abstractmethod
    def released(self, key: Key) -> None:
        """The run is over. Safe to repeat."""

    @abstractmethod
    def _woken(self, lane: Lane, seq: int) -> None:
        """The lane's first place is now this one: it was a later one, or there was none."""

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

    def _keep_behind(self, window: Window, last: ReadyRef, refs: Sequence[ReadyRef]) -> int:
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

    def all_removed(self, keys: Iterable[Key]) -> None:
        """Do as `remove` for rows that are mostly not known any more: they were picked."""
        where = self._where
        for key in keys:
            if key in where:
                self.remove(key)

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

    def knows_any(self, handler: str) -> bool:
        """Tell whether a task for this handler may be ready, here or in rows that were not fetched."""
        if self._overflowed or len(self._windows) > LOOKED_AT:
            return True
        return any(source.handler == handler for source in self._windows)

    def sources_wanted(self) -> bool:
        """Tell whether sources were left out for lack of room and there is room again: the engine then announces
        all."""
        if self._overflowed and len(self._windows) <= self._max_sources // 2:
            self._overflowed = False
            return True
        return False

    def _open_window(self, source: Source) -> Window | None:
        if len(self._windows) >= self._max_sources:
            self._overflowed = True
            return None
        window = self._windows[source] = Window(source)
        self._share_out()
        return window

    def _keep(self, window: Window, ref: ReadyRef) -> None:
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
            self._woken(lane, ref.ready_seq)

    def _open_lane(self, window: Window, needs: Needs) -> Lane:
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

    def _look_for_thirst(self, window: Window) -> None:
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
