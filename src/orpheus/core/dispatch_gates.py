"""Every limit that ready tasks have in common: taken together at a pick or not at all, and given back (R25).

    blocked? ─► take ─┬─► began ─► release        the claim is on disk; later the run is over and its slots are free
                      └─► refund, then release    it never began: its starts are given back too

**When a rate is spent.** A pick reserves one start of each rate it is under: of its queue, of its task. It is spent at the
instant of the claim, the `started_at` of the attempt, and given back, that very one, when no worker ever had the run: the
claim was refused (cancelled, paused or rewound in between), its transaction was dropped, or its grant never arrived (R8).
Work that was cancelled before it began eats no rate. A run that a worker has had stays spent, however it ends.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from orpheus.core.dispatch_limits import Blocked, KeyGate, QueueGate, Rate, RateGate, TenantGate, task_name
from orpheus.core.dispatch_types import Key, Needs, ReadyRef, Reason, Source
from orpheus.core.dispatch_why import seconds

_source = attrgetter("source")


@dataclass(slots=True)
class _Start:
    """What a held task spends: the logs that count it, and since when (None: it is picked, and has not begun)."""

    gates: tuple[QueueGate | RateGate, ...]
    at: float | None = None


class Gates:
    """The gates of queues, tenants, concurrency keys and rates, and what each held task took of them."""

    def __init__(self) -> None:
        self._queues: dict[str, QueueGate] = {}
        self._tenants: dict[str, TenantGate] = {}
        """Only of tenants with a limit: without one nothing is counted."""
        self._keys: dict[str, KeyGate] = {}
        self._rates: dict[str, RateGate] = {}
        self._starts: dict[Key, _Start] = {}
        """Of held tasks that some rate counts."""

    # Asking

    def blocked(self, source: Source, needs: Needs, now: float) -> Blocked | None:
        """Return the first gate that is closed to this task, what its line is named by, and when to look again."""
        queue = self._queues.get(source.queue)
        if queue is not None and queue.blocked(now):
            waits_for_rate = not queue.paused and not queue.full
            return queue, None, queue.free_at() if waits_for_rate else None
        if self._tenants:
            tenant = self._tenants.get(source.tenant)
            if tenant is not None and tenant.full:
                return tenant, None, None
        if source.concurrency_key is not None:
            key = self._keys.get(source.concurrency_key)
            if key is not None and key.running >= needs.concurrency_limit:
                return key, needs.concurrency_limit, None
        if needs.rate is not None:
            rate = self._rate(source.handler)
            free_at = rate.starts.free_at(needs.rate)
            if free_at > now:
                return rate, needs.rate, free_at
        return None

    def room(self, source: Source, needs: Needs) -> int:
        """Return how many tasks like this one, which nothing blocks, could be taken before a gate closes; 1 where a rate counts
        them, which has to be asked each time."""
        queue = self._queues.get(source.queue)
        if needs.rate is not None or (queue is not None and queue.rate is not None):
            return 1
        room = sys.maxsize
        if queue is not None and queue.concurrency is not None:
            room = queue.concurrency - queue.running
        tenant = self._tenants.get(source.tenant)
        if tenant is not None:
            room = min(room, tenant.max_running - tenant.running)
        if source.concurrency_key is not None:
            key = self._keys.get(source.concurrency_key)
            room = min(room, needs.concurrency_limit - (0 if key is None else key.running))
        return room

    def why(self, source: Source, needs: Needs, now: float) -> list[Reason]:
        """List every gate that is closed to this task."""
        reasons: list[Reason] = []
        queue = self._queues.get(source.queue)
        if queue is not None:
            if queue.paused:
                reasons.append(Reason("pause", f"queue {source.queue!r} is paused"))
            if queue.full:
                reasons.append(Reason("slot", f"queue {source.queue!r} runs {queue.running} of {queue.concurrency}"))
            if queue.free_at() > now:
                reasons.append(Reason("rate", f"queue {source.queue!r}, {_in(queue.free_at() - now)}"))
        tenant = self._tenants.get(source.tenant)
        if tenant is not None and tenant.full:
            reasons.append(Reason("quota", f"tenant {source.tenant!r} runs {tenant.running} of {tenant.max_running}"))
        if source.concurrency_key is not None:
            key = self._keys.get(source.concurrency_key)
            if key is not None and key.running >= needs.concurrency_limit:
                reasons.append(
                    Reason("key", f"{source.concurrency_key!r} runs {key.running} of {needs.concurrency_limit}")
                )
        if needs.rate is not None:
            free_at = self._rate(source.handler).starts.free_at(needs.rate)
            if free_at > now:
                reasons.append(Reason("rate", f"task {task_name(source.handler)!r}, {_in(free_at - now)}"))
        return reasons

    def rates_of(self, source: Source, needs: Needs) -> list[tuple[str, Rate]]:
        """Return the rates that count a start of this task, each with the scope it is counted in."""
        queue = self._queues.get(source.queue)
        found = [(f"queue:{source.queue}", queue.rate)] if queue is not None and queue.rate is not None else []
        if needs.rate is not None:
            found.append((f"task:{task_name(source.handler)}", needs.rate))
        return found

    def counts(self, key: Key) -> bool:
        """Tell whether some rate counts the start of this held task."""
        return key in self._starts

    @property
    def counts_any(self) -> bool:
        """Tell whether some rate counts the start of some held task."""
        return bool(self._starts)

    def running(self, queue: str) -> int:
        gate = self._queues.get(queue)
        return gate.running if gate is not None else 0

    # Taking and giving back

    def take(self, ref: ReadyRef, *, rated: bool = True) -> None:
        """Count what it holds, and reserve its starts. `rated` False counts its slots only: its starts are told by
        `recall`."""
        source, needs = ref.source, ref.needs
        queue = self._queues.get(source.queue) or self._queue(source.queue)
        queue.running += 1
        if self._tenants:
            tenant = self._tenants.get(source.tenant)
            if tenant is not None:
                tenant.running += 1
        if source.concurrency_key is not None:
            key = self._keys.get(source.concurrency_key)
            if key is None:
                key = self._keys[source.concurrency_key] = KeyGate(source.concurrency_key)
            key.running += 1
        if not rated or (queue.rate is None and needs.rate is None):
            return
        gates: list[QueueGate | RateGate] = []
        if queue.rate is not None:
            queue.starts.pick(queue.rate)
            gates.append(queue)
        if needs.rate is not None:
            gate = self._rate(source.handler)
            gate.starts.pick(needs.rate)
            gates.append(gate)
        self._starts[ref.key] = _Start(tuple(gates))

    def take_alike(self, refs: Sequence[ReadyRef]) -> None:
        """Take for each of these, one at least, which have the same source and needs, and of which no more are than there is `room`
        for."""
        first, count = refs[0], len(refs)
        self.take(first)
        if count > 1:
            source = first.source
            self._queues[source.queue].running += count - 1
            tenant = self._tenants.get(source.tenant)
            if tenant is not None:
                tenant.running += count - 1
            if source.concurrency_key is not None:
                self._keys[source.concurrency_key].running += count - 1

    def began(self, key: Key, now: float) -> None:
        """The claim is on disk: its starts count from now on."""
        start = self._starts.get(key)
        if start is not None and start.at is None:
            start.at = now
            for gate in start.gates:
                gate.starts.began(now)
                gate.tell()  # lines that could not know when to look again can now

    def release(self, refs: Sequence[ReadyRef]) -> None:
        """These runs are over; the lines that waited for what they held look again."""
        if self._starts:
            for ref in refs:
                start = self._starts.get(ref.key)
                if start is not None and start.at is None:
                    self.refund(ref)
                self._starts.pop(ref.key, None)
        for source, alike in groupby(refs, _source):
            count = len(list(alike))
            queue = self._queues[source.queue]
            queue.running -= count
            if queue.lines:
                queue.tell()
            if self._tenants:
                tenant = self._tenants.get(source.tenant)
                if tenant is not None:
                    tenant.running -= count
                    tenant.tell()
            if source.concurrency_key is not None:
                gate = self._keys[source.concurrency_key]
                gate.running -= count
                gate.tell()
                if gate.running == 0 and not gate.lines:
                    del self._keys[source.concurrency_key]

    def refund(self, ref: ReadyRef) -> None:
        """Give back the starts of a held task that never began."""
        start = self._starts.pop(ref.key, None)
        if start is not None:
            for gate in start.gates:
                gate.starts.refund(start.at)
                gate.tell()

    def recall(self, scope: str, at: float, key: Key | None = None) -> None:
        """A start that was made before this process began (`rates_of` names scopes); call in order of `at`.

        Args:
            key: of the held task it belongs to, if that is still running.
        """
        kind, _, name = scope.partition(":")
        gate: QueueGate | RateGate = self._queue(name) if kind == "queue" else self._rate(f"{name}@")
        gate.starts.recall(at)
        if key is not None:
            known = self._starts.get(key)
            self._starts[key] = _Start((gate,) if known is None else (*known.gates, gate), at)

    # Setting

    def set_queue(self, name: str, *, paused: bool, concurrency: int | None, rate: Rate | None) -> None:
        gate = self._queue(name)
        gate.paused, gate.concurrency, gate.rate = paused, concurrency, rate
        gate.tell()

    def set_tenant(self, name: str, max_running: int | None, running: int) -> None:
        """Limit a tenant's runs; `running` is how many it holds now. None takes the limit away."""
        gate = self._tenants.get(name)
        if max_running is None:
            if gate is not None:
                del self._tenants[name]
                gate.tell()
            return
        if gate is None:
            gate = self._tenants[name] = TenantGate(name)
        gate.max_running, gate.running = max_running, running
        gate.tell()

    def _queue(self, name: str) -> QueueGate:
        gate = self._queues.get(name)
        if gate is None:
            gate = self._queues[name] = QueueGate(name)
        return gate

    def _rate(self, handler: str) -> RateGate:
        name = task_name(handler)
        gate = self._rates.get(name)
        if gate is None:
            gate = self._rates[name] = RateGate(name)
        return gate


def _in(length_s: float) -> str:
    return "others are just starting" if length_s == math.inf else f"{seconds(length_s)} to go"
