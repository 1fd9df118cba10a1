"""What does a pick cost? Dispatch alone, in memory: `python benchmarks/dispatch.py`.

On the reference machine (2 shared cores) adding costs 3 to 8 µs and a pick with its release 6 to 9 µs, with a thousand
tenants and a thousand keys as with one; a key or queue limit shared by all thousand tenants up to 15 µs.
"""

from __future__ import annotations

import time

from orpheus.core.dispatch import Dispatcher, Offer, ReadyRef, Source

READY = 100_000
BATCH = 10


def measure(name: str, *, tenants: int, keys: int = 0, limit: int | None = None) -> None:
    """Add `READY` tasks, then pick and release half of them in batches."""
    dispatcher = Dispatcher(window=512, max_refs=2 * READY, max_sources=READY)
    dispatcher.set_queue("q", concurrency=limit)
    offer = Offer(handlers=("h@1",), free=BATCH)
    dispatcher.pick(offer, 0.0)  # from here on the pool exists and is kept in step
    refs = [
        ReadyRef((f"j{n}", "n", -1, 1), n, Source("q", 3, f"t{n % tenants}", "h@1", f"k{n % keys}" if keys else None))
        for n in range(READY)
    ]
    began = time.perf_counter()
    for ref in refs:
        dispatcher.add(ref)
    added = time.perf_counter()
    picked, worst = 0, 0.0
    while picked < READY // 2:
        before = time.perf_counter()
        got = dispatcher.pick(offer, 0.0)
        for ref in got:
            dispatcher.released(ref.key)
        worst = max(worst, time.perf_counter() - before)
        picked += len(got)
        if not got:
            break
    took = time.perf_counter() - added
    print(
        f"{name:32} add {1e6 * (added - began) / READY:5.1f} µs  pick + release {1e6 * took / max(1, picked):5.1f} µs  "
        f"worst pick of {BATCH} {1e3 * worst:6.2f} ms  kept {len(dispatcher)}"
    )


if __name__ == "__main__":
    measure("1,000 tenants", tenants=1000)
    measure("1,000 tenants, 1,000 keys", tenants=1000, keys=1000)
    measure("1,000 tenants, one key", tenants=1000, keys=1)
    measure("1,000 tenants, queue limit 5", tenants=1000, limit=5)
    measure("one tenant, 1,000 keys", tenants=1, keys=1000)
    measure("three tenants, 50,000 keys", tenants=3, keys=50_000)
