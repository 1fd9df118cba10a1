"""Dispatch against a model that is too slow to be wrong, and its promises one by one (R25)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orpheus.core.dispatch import Capacity, Dispatcher, Needs, Offer, ReadyRef, Source
from orpheus.core.dispatch_limits import RateLog

HANDLERS = ("draw@1", "draw@2", "read@1")
QUEUES = ("cpu", "gpu")
TENANTS = ("ada", "bob", "cyd")
KEYS = (None, "k1", "k2")
NEEDS = (
    Needs(),
    Needs(resources=(("gpu", 1),)),
    Needs(concurrency_limit=2),
    Needs(rate=(2, 10.0)),
    Needs(resources=(("gpu", 2), ("vram_mb", 100)), rate=(1, 5.0)),
)


def offer(free: int = 1, handlers: tuple[str, ...] = HANDLERS, queues: tuple[str, ...] = (), **resources: int) -> Offer:
    return Offer(handlers=handlers, queues=queues, free=free, resources_free=resources)


def ref(
    seq: int,
    tenant: str = "ada",
    *,
    priority: int = 3,
    queue: str = "cpu",
    handler: str = "draw@1",
    key: str | None = None,
    needs: Needs = NEEDS[0],
) -> ReadyRef:
    return ReadyRef((f"job-{seq}", "node", -1, 1), seq, Source(queue, priority, tenant, handler, key), needs)


@dataclass
class Model:
    """All ready tasks in a list, every limit recounted from scratch at each question. Knows which tasks may go, not who is
    fairest."""

    ready: dict[tuple[str, str, int, int], ReadyRef] = field(default_factory=dict)
    held: dict[tuple[str, str, int, int], ReadyRef] = field(default_factory=dict)
    starts: list[tuple[float, ReadyRef]] = field(default_factory=list)
    queues: dict[str, tuple[bool, int | None, tuple[float, float] | None]] = field(default_factory=dict)
    tenants: dict[str, int | None] = field(default_factory=dict)

    def fits(self, one: ReadyRef, by: Offer, now: float, free: dict[str, int]) -> bool:
        source, needs = one.source, one.needs
        if source.handler not in by.handlers or (by.queues and source.queue not in by.queues):
            return False
        if any(free.get(name, 0) < amount for name, amount in needs.resources):
            return False
        paused, concurrency, rate = self.queues.get(source.queue, (False, None, None))
        if paused or (
            concurrency is not None and sum(o.source.queue == source.queue for o in self.held.values()) >= concurrency
        ):
            return False
        if rate is not None and self._recent(now, rate[1], queue=source.queue) >= rate[0]:
            return False
        most = self.tenants.get(source.tenant)
        if most is not None and sum(o.source.tenant == source.tenant for o in self.held.values()) >= most:
            return False
        shared = sum(o.source.concurrency_key == source.concurrency_key for o in self.held.values())
        if source.concurrency_key is not None and shared >= needs.concurrency_limit:
            return False
        name = source.handler.partition("@")[0]
        return needs.rate is None or self._recent(now, needs.rate[1], task=name) < needs.rate[0]

    def _recent(self, now: float, period_s: float, *, queue: str | None = None, task: str | None = None) -> int:
        return sum(
            at > now - period_s
            and (
                (queue is not None and o.source.queue == queue and self.queues.get(queue, (0, 0, None))[2] is not None)
                or (task is not None and o.needs.rate is not None and o.source.handler.partition("@")[0] == task)
            )
            for at, o in self.starts
        )

    def take(self, one: ReadyRef, now: float) -> None:
        del self.ready[one.key]
        self.held[one.key] = one
        self.starts.append((now, one))

    def never_began(self, one: ReadyRef) -> None:
        """No worker had it: it counts against no rate."""
        self.starts = [start for start in self.starts if start[1] is not one]


class Store:
    """The rows behind the windows: answers refills as the engine would."""

    def __init__(self, dispatcher: Dispatcher, model: Model) -> None:
        self.dispatcher = dispatcher
        self.model = model

    def refill(self) -> None:
        while wanted := self.dispatcher.refill_wanted():
            for source, after, limit in wanted:
                rows = sorted(
                    (r for r in self.model.ready.values() if r.source == source and r.ready_seq > after),
                    key=lambda r: r.ready_seq,
                )
                self.dispatcher.refilled(source, rows[:limit], more=len(rows) > limit)


actions = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"),
            st.sampled_from(TENANTS),
            st.integers(1, 3),
            st.sampled_from(QUEUES),
            st.sampled_from(HANDLERS),
            st.sampled_from(KEYS),
            st.sampled_from(NEEDS),
            st.integers(1, 8),
        ),
        st.tuples(
            st.just("pick"),
            st.integers(1, 5),
            st.sampled_from([HANDLERS, HANDLERS[:1], HANDLERS[1:]]),
            st.sampled_from([(), ("cpu",), QUEUES]),
            st.sampled_from([{}, {"gpu": 1}, {"gpu": 4, "vram_mb": 1000}]),
        ),
        st.tuples(st.sampled_from(["end", "remove", "return", "give_back"]), st.integers(0, 1000)),
        st.tuples(st.just("hold"), st.integers(0, 1000)),
        st.tuples(st.just("tenant"), st.sampled_from(TENANTS), st.sampled_from([None, 0, 1, 2])),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 20.0])),
        st.tuples(
            st.just("queue"),
            st.sampled_from(QUEUES),
            st.booleans(),
            st.sampled_from([None, 0, 1, 3]),
            st.sampled_from([None, (1, 4.0), (3, 2.0), (0.5, 1.0)]),
        ),
    ),
    max_size=60,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=actions, window=st.sampled_from([12, 512]), began=st.booleans())
def test_never_over_a_limit_never_idle_and_in_order(script: list[tuple], window: int, began: bool) -> None:
    """Whatever happens: each pick is allowed, nothing allowed is left when fewer were picked than wanted (work conserving),
    no higher priority could have gone, and within a tenant no older task could have gone. A window is wider than a pick: what
    a pick drains below its rows, the next refill brings."""
    dispatcher, model = Dispatcher(window=window, max_refs=10_000), Model()
    store = Store(dispatcher, model)
    now, seq = 1000.0, 0
    paused: dict[str, list[ReadyRef]] = {}
    for action in script:
        match action:
            case ("add", tenant, priority, queue, handler, key, needs, count):
                for _ in range(count):
                    seq += 1
                    one = ref(seq, tenant, priority=priority, queue=queue, handler=handler, key=key, needs=needs)
                    model.ready[one.key] = one
                    dispatcher.add(one)
            case ("pick", free, handlers, queues, resources):
                store.refill()
                by = offer(free, handlers, queues, **resources)
                left = dict(resources)
                picked = dispatcher.pick(by, now)
                assert len(picked) <= free
                for one in picked:
                    assert model.fits(one, by, now, left)
                    for other in model.ready.values():
                        if model.fits(other, by, now, left):
                            assert one.source.priority <= other.source.priority
                            if (
                                other.source.tenant == one.source.tenant
                                and other.source.priority == one.source.priority
                            ):
                                assert one.ready_seq <= other.ready_seq
                    model.take(one, now)
                    if began:
                        dispatcher.began(one.key, now=now)
                    for name, amount in one.needs.resources:
                        left[name] -= amount
                if len(picked) < free:
                    assert not [o for o in model.ready.values() if model.fits(o, by, now, left)]
            case ("end", number) if model.held:
                key = list(model.held)[number % len(model.held)]
                del model.held[key]
                dispatcher.released(key)
            case ("return", number) if model.held:
                old = model.held.pop(list(model.held)[number % len(model.held)])
                seq += 1
                one = ReadyRef(old.key, seq, old.source, old.needs)
                model.never_began(old)
                model.ready[one.key] = one
                dispatcher.unbegun(one.key)
                dispatcher.add(one)
            case ("remove", number) if model.ready:
                key = list(model.ready)[number % len(model.ready)]
                del model.ready[key]
                dispatcher.remove(key)
            case ("give_back", number) if model.held:
                one = model.held.pop(list(model.held)[number % len(model.held)])
                model.never_began(one)
                model.ready[one.key] = one
                dispatcher.give_back(one)
            case ("hold", number) if model.ready:
                one = model.ready[list(model.ready)[number % len(model.ready)]]
                source = one.source
                if source.tenant in paused:  # resume: rows come back at their old places
                    back = paused.pop(source.tenant)
                    for other in back:
                        model.ready[other.key] = other
                    for where in dict.fromkeys(other.source for other in back):
                        dispatcher.invalidate(where)
                else:
                    gone = [o for o in model.ready.values() if o.source.tenant == source.tenant]
                    paused[source.tenant] = gone
                    for other in gone:
                        del model.ready[other.key]
                        dispatcher.remove_job(other.key[0])
            case ("wait", length):
                now += length
                for key in model.held:  # claims are committed sooner or later; until then they count as of now
                    if not began:
                        dispatcher.began(key, now=now - length)
            case ("tenant", tenant, most):
                model.tenants[tenant] = most
                dispatcher.set_tenant(tenant, max_running=most)
            case ("queue", queue, closed, concurrency, rate):
                before = model.queues.get(queue, (False, None, None))
                rate = rate if before[2] is None else before[2]  # what was started while no rate held is not counted
                if before[2] is None and rate is not None:
                    model.starts = [
                        s for s in model.starts if s[1].source.queue != queue or s[1].needs.rate is not None
                    ]
                    if any(s[1].source.queue == queue for s in model.starts):
                        rate = None
                model.queues[queue] = (closed, concurrency, rate)
                dispatcher.set_queue(queue, paused=closed, concurrency=concurrency, rate=rate)
    wake = dispatcher.next_wake()
    assert wake is None or wake > now - 30


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=actions, weight=st.sampled_from([1.0, 0.3, 7.0]), ageing_s=st.sampled_from([None, None, 3.0]))
def test_an_answer_is_what_one_pick_after_another_gives(
    script: list[tuple], weight: float, ageing_s: float | None
) -> None:
    """Those that are picked together, of one lane, are those which would be picked one by one, in the same order, and leave the same
    behind."""
    many, single = (Dispatcher(window=12, max_refs=10_000, ageing_s=ageing_s) for _ in range(2))
    stores = [Store(dispatcher, Model()) for dispatcher in (many, single)]
    ready, held = stores[0].model.ready, stores[0].model.held
    stores[1].model = stores[0].model
    now, seq = 1000.0, 0
    for dispatcher in (many, single):
        dispatcher.set_tenant("bob", weight=weight)
    for action in script:
        match action:
            case ("add", tenant, priority, queue, handler, key, needs, count):
                for _ in range(count):
                    seq += 1
                    one = ref(seq, tenant, priority=priority, queue=queue, handler=handler, key=key, needs=needs)
                    ready[one.key] = one
                    many.add(one)
                    single.add(one)
            case ("pick", free, handlers, queues, resources):
                free, left, one_by_one = 3 * free, dict(resources), []
                for store in stores:
                    store.refill()
                for _ in range(free):
                    for one in single.pick(offer(1, handlers, queues, **left), now):
                        one_by_one.append(one)
                        for name, amount in one.needs.resources:
                            left[name] -= amount
                picked = many.pick(offer(free, handlers, queues, **resources), now)
                assert [one.key for one in picked] == [one.key for one in one_by_one]
                for one in picked:
                    held[one.key] = ready.pop(one.key)
                for dispatcher in (many, single):
                    dispatcher.began(*[one.key for one in picked], now=now)
            case ("end" | "return" | "give_back" as how, number) if held:
                one = held.pop(list(held)[number % len(held)])
                if how != "end":
                    ready[one.key] = one
                for dispatcher in (many, single):
                    if how == "give_back":
                        dispatcher.give_back(one)
                    elif how == "return":
                        dispatcher.unbegun(one.key)
                        dispatcher.add(one)
                    else:
                        dispatcher.released(one.key)
            case ("remove", number) if ready:
                one = ready.pop(list(ready)[number % len(ready)])
                many.remove(one.key)
                single.remove(one.key)
            case ("tenant", tenant, most):
                for dispatcher in (many, single):
                    dispatcher.set_tenant(tenant, weight=weight, max_running=most)
            case ("queue", queue, closed, concurrency, rate):
                for dispatcher in (many, single):
                    dispatcher.set_queue(queue, paused=closed, concurrency=concurrency, rate=rate)
            case ("wait", length):
                now += length
    assert many.refill_wanted() == single.refill_wanted()
    assert many.next_wake() == single.next_wake()


def looks_at_gates(dispatcher: Dispatcher) -> list[object]:
    """Return what grows with each look at the dispatcher's gates from now on."""
    asked: list[object] = []
    blocked = dispatcher.gates.blocked

    def noting(*args: object) -> object:
        asked.append(args)
        return blocked(*args)  # type: ignore[arg-type]

    dispatcher.gates.blocked = noting  # type: ignore[method-assign, assignment]
    return asked


def test_one_lane_is_picked_in_one_go() -> None:
    """What is surely next is not asked for again and again: an answer of a hundred from one lane looks at the gates once."""
    dispatcher = Dispatcher()
    for seq in range(120):
        dispatcher.add(ref(seq))
    asked = looks_at_gates(dispatcher)
    assert [one.ready_seq for one in dispatcher.pick(offer(100), 0.0)] == list(range(100))
    assert len(asked) == 1


def test_tenants_take_turns_in_one_go() -> None:
    """Also where it is always another's turn: each tenant's gates are looked at once, not at each of its turns."""
    dispatcher = Dispatcher()
    for seq in range(120):
        dispatcher.add(ref(seq, TENANTS[seq % 3], priority=1 + seq // 60))
    asked = looks_at_gates(dispatcher)
    assert [one.ready_seq for one in dispatcher.pick(offer(100), 0.0)] == list(range(100))
    assert len(asked) == 6


def test_tenants_that_are_gone_are_forgotten() -> None:
    """A tag that says nothing any more is not kept, whichever way its tenant was served."""
    dispatcher = Dispatcher()
    for first in range(0, 20_000, 100):
        for seq in range(first, first + 100):
            dispatcher.add(ref(seq, "ada" if seq % 2 else f"tenant {seq}"))
        picked = dispatcher.pick(offer(100), 0.0)
        dispatcher.all_released(one.key for one in picked)
        assert len(picked) == 100
    (pool,) = dispatcher._pools.values()
    assert len(pool.levels[3].tags) <= 4200


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 3), min_size=2, max_size=5),
    st.integers(1, 7),
    st.integers(0, 2**32),
)
def test_backlogged_tenants_share_by_weight(weights: list[int], batch: int, shuffle: int) -> None:
    """While everybody has something to do, served/weight of any two tenants differs by at most 1/w1 + 1/w2 (SFQ's bound)."""
    dispatcher = Dispatcher()
    for number, weight in enumerate(weights):
        dispatcher.set_tenant(f"t{number}", weight=weight)
    for seq in range(200 * len(weights)):
        who = (seq * (shuffle | 1)) % len(weights)
        dispatcher.add(ref(seq, f"t{who}", handler=HANDLERS[seq % 3]))
    backlog = Counter(window.source.tenant for window in dispatcher._where.values())
    served: Counter[str] = Counter()
    while all(backlog[f"t{n}"] > batch for n in range(len(weights))):
        for one in dispatcher.pick(offer(batch), 0.0):
            served[one.source.tenant] += 1
            backlog[one.source.tenant] -= 1
            dispatcher.released(one.key)
            shares = [served[f"t{n}"] / w for n, w in enumerate(weights)]
            for i, a in enumerate(weights):
                for j, b in enumerate(weights):
                    assert shares[i] - shares[j] <= 1 / a + 1 / b + 1e-9


def test_idle_tenant_gets_no_credit() -> None:
    """Who comes after a thousand tasks of somebody else goes next once, then takes turns: nothing was saved up."""
    dispatcher = Dispatcher(window=5000)
    for seq in range(2000):
        dispatcher.add(ref(seq, "busy"))
    assert len(dispatcher.pick(offer(1000), 0.0)) == 1000
    for seq in range(2000, 2100):
        dispatcher.add(ref(seq, "late"))
    order = [one.source.tenant for one in dispatcher.pick(offer(20), 0.0)]
    assert Counter(order) == {"busy": 10, "late": 10}


def test_tenant_without_worker_gets_no_credit() -> None:
    """Tasks nobody could run for long don't make their tenant overtake when a worker for them comes."""
    dispatcher = Dispatcher(window=5000)
    for seq in range(1000):
        dispatcher.add(ref(seq, "busy", handler="draw@1"))
        dispatcher.add(ref(5000 + seq, "stuck", queue="gpu"))
    dispatcher.set_queue("gpu", paused=True)
    dispatcher.pick(offer(500), 0.0)
    dispatcher.set_queue("gpu")
    order = [one.source.tenant for one in dispatcher.pick(offer(100), 0.0)]
    assert abs(Counter(order)["busy"] - 50) <= 1


def test_saturated_queue_is_parked_not_scanned() -> None:
    """A thousand tenants behind one full queue cost the others nothing, and a freed slot goes to the next of them."""
    dispatcher = Dispatcher(window=50)
    dispatcher.set_queue("gpu", concurrency=2)
    seq = 0
    for tenant in range(1000):
        for _ in range(2):
            seq += 1
            dispatcher.add(ref(seq, f"t{tenant}", queue="gpu", priority=1))
    for tenant in range(10):
        seq += 1
        dispatcher.add(ref(seq, f"t{tenant}", queue="cpu", priority=2))
    first = dispatcher.pick(offer(12), 0.0)
    assert [one.source.queue for one in first] == ["gpu"] * 2 + ["cpu"] * 10
    assert dispatcher.pick(offer(5), 0.0) == []
    seen = [one.source.tenant for one in first[:2]]
    held = first[0]
    for _ in range(900):
        dispatcher.released(held.key)
        [held] = dispatcher.pick(offer(5), 0.0)
        seen.append(held.source.tenant)
    assert max(Counter(seen).values()) == 1


def test_million_rows_are_not_objects() -> None:
    """However many rows become ready, a bounded number of refs is kept, and all are given out in order by refills."""
    dispatcher, model = Dispatcher(window=64, max_refs=256), Model()
    store = Store(dispatcher, model)
    for seq in range(3000):
        one = ref(seq, TENANTS[seq % 3])
        model.ready[one.key] = one
        dispatcher.add(one)
        assert len(dispatcher) <= 256
    order: dict[str, list[int]] = {tenant: [] for tenant in TENANTS}
    while model.ready:
        store.refill()
        for one in dispatcher.pick(offer(7), 0.0):
            order[one.source.tenant].append(one.ready_seq)
            del model.ready[one.key]
            dispatcher.released(one.key)
    assert all(seqs == sorted(seqs) and len(seqs) == 1000 for seqs in order.values())


def test_too_many_sources_come_later() -> None:
    """More sources than fit (a key for each job) are announced again when there is room; none is lost."""
    dispatcher, model = Dispatcher(max_sources=20), Model()
    store = Store(dispatcher, model)
    for seq in range(100):
        one = ref(seq, key=f"k{seq}")
        model.ready[one.key] = one
        dispatcher.add(one)
    got: list[int] = []
    for _ in range(100):
        if dispatcher.sources_wanted():
            for source in dict.fromkeys(o.source for o in model.ready.values()):
                dispatcher.announce(source)
        store.refill()
        for one in dispatcher.pick(offer(8), 0.0):
            got.append(one.ready_seq)
            del model.ready[one.key]
            dispatcher.released(one.key)
    assert sorted(got) == list(range(100))


def test_ageing_lets_a_starved_priority_through() -> None:
    """With ageing, priority 5 gets one task through per ageing length, however much priority 1 has; without, none."""
    for ageing_s, expected in ((None, 0), (10.0, 10)):
        dispatcher = Dispatcher(ageing_s=ageing_s, window=2000)
        for seq in range(1000):
            dispatcher.add(ref(seq, priority=1))
            dispatcher.add(ref(1000 + seq, priority=5))
        picked = [one for now in range(105) for one in dispatcher.pick(offer(1), float(now))]
        assert Counter(one.source.priority for one in picked)[5] == expected


@given(
    st.integers(1, 40),
    st.floats(0.5, 20),
    st.lists(st.floats(0.01, 3), max_size=200),
)
def test_rate_holds_in_every_window(limit: int, period_s: float, steps: list[float]) -> None:
    """No window of the period has more starts than the limit, and a start is never refused without need."""
    log, now, starts = RateLog(), 0.0, []
    for step in steps:
        now += step
        free = log.free_at((limit, period_s)) <= now
        recent = [at for at in starts if at + period_s > now]
        assert free == (len(recent) < limit)
        if free:
            log.pick((limit, period_s))
            log.began(now)
            starts.append(now)


@given(
    st.integers(1, 6),
    st.lists(
        st.tuples(st.sampled_from(["start", "undo", "restart"]), st.floats(0.01, 3), st.integers(0, 99)), max_size=80
    ),
)
def test_a_start_that_is_given_back_is_that_very_one(limit: int, steps: list[tuple[str, float, int]]) -> None:
    """Whichever start turns out never to have begun, the others count from when they were made; also after a restart."""
    rate, log, now = (limit, 10.0), RateLog(), 0.0
    starts: list[float] = []
    for what, step, number in steps:
        now += step
        if what == "undo" and starts:
            log.refund(starts.pop(number % len(starts)))
        elif what == "restart":
            log = RateLog()
            for at in starts:
                log.recall(at)
        elif sum(at + 10.0 > now for at in starts) < limit:
            assert log.free_at(rate) <= now
            log.pick(rate)
            log.began(now)
            starts.append(now)
        # What was dropped when it was over may be missing after an undo, so the log may only be freer by nothing.
        assert (log.free_at(rate) <= now) == (sum(at + 10.0 > now for at in starts) < limit)


def test_ten_thousand_of_one_key_stand_aside() -> None:
    """R25: a backlog of 10,000 tasks of one key is one parked lane. The others of its tenant, of lower priority even, go at
    once, and the look at the key is not repeated at each pick."""
    dispatcher, model = Dispatcher(window=256), Model()
    store = Store(dispatcher, model)
    for seq in range(10_000):
        one = ref(seq, key="acme", priority=1)
        model.ready[one.key] = one
        dispatcher.add(one)
    for seq in range(10_000, 10_100):
        one = ref(seq, key=None if seq % 2 else f"k{seq}", priority=5)
        model.ready[one.key] = one
        dispatcher.add(one)
    assert len(dispatcher) <= 256 + 100
    store.refill()
    [first] = dispatcher.pick(offer(1), 0.0)
    assert first.source.concurrency_key == "acme"
    asked = looks_at_gates(dispatcher)
    for _ in range(100):
        [one] = dispatcher.pick(offer(1), 0.0)
        assert one.source.concurrency_key != "acme"
        dispatcher.released(one.key)
    assert len(asked) <= 102
    dispatcher.released(first.key)
    [second] = dispatcher.pick(offer(1), 0.0)
    assert (second.source.concurrency_key, second.ready_seq) == ("acme", 1)


def test_why_names_every_reason() -> None:
    """Pause, slot, key, rate, resource and missing worker are told apart (promise 6)."""
    dispatcher = Dispatcher()
    needs = Needs(resources=(("gpu", 1),), rate=(1, 60.0))
    source = Source("gpu", 3, "ada", "draw@1", "k")
    running = ReadyRef(("j", "n", -1, 1), 1, source, needs)
    dispatcher.set_queue("gpu", concurrency=1)
    dispatcher.restore(running)
    dispatcher.gates.recall("task:draw", 100.0, running.key)
    dispatcher.set_queue("gpu", paused=True, concurrency=1)
    reasons = [r.reason for r in dispatcher.why(source, needs, [], 101.0)]
    assert reasons == ["pause", "slot", "key", "rate", "worker"]
    dispatcher.released(running.key)
    dispatcher.set_queue("gpu")
    idle = Offer(handlers=("draw@1",), free=1, resources_free={"gpu": 0})
    free = Offer(handlers=("draw@1",), free=1, resources_free={"gpu": 1})
    busy = Offer(handlers=("draw@1",), free=0, resources_free={"gpu": 1})
    assert [r.reason for r in dispatcher.why(source, needs, [Capacity(idle)], 200.0)] == ["resource"]
    assert [r.reason for r in dispatcher.why(source, needs, [Capacity(idle, {"gpu": 1})], 200.0)] == ["resource"]
    assert dispatcher.why(source, needs, [Capacity(busy, {"gpu": 1})], 200.0)[0].detail == "every worker is busy"
    assert dispatcher.why(source, needs, [Capacity(free, {"gpu": 1})], 200.0)[0].reason == "slot"


def test_next_wake_says_when_a_rate_opens() -> None:
    """After a pick that a rate cut short, the engine is told when to try again, and then it works."""
    dispatcher = Dispatcher()
    for seq in range(4):
        dispatcher.add(ref(seq, needs=Needs(rate=(2, 10.0))))
    picked = dispatcher.pick(offer(4), 99.0)
    assert len(picked) == 2
    assert dispatcher.next_wake() is None  # nobody knows before they have begun
    for one in picked:
        dispatcher.began(one.key, now=100.0)
    assert dispatcher.pick(offer(4), 100.0) == []
    assert dispatcher.next_wake() == 110.0
    assert dispatcher.pick(offer(4), 109.9) == []
    assert len(dispatcher.pick(offer(4), 110.0)) == 2
    assert dispatcher.next_wake() is None
