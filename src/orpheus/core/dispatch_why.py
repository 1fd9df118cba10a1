"""Why does nobody take it? The workers' side of a ready task that waits (promise 6)."""

from __future__ import annotations

from collections.abc import Sequence

from orpheus.core.dispatch_types import Capacity, Needs, Reason, Source


def why_no_worker(source: Source, needs: Needs, workers: Sequence[Capacity], *, alone: bool) -> list[Reason]:
    """Say what is missing among the workers. `alone`: no limit holds the task, so something has to be said.

    Returns:
        At most one reason; none when a worker could take it and limits explain the wait.
    """
    offering = [worker for worker in workers if source.handler in worker.offer.handlers]
    able = [worker for worker in offering if not worker.offer.queues or source.queue in worker.offer.queues]
    if not able:
        return [Reason("worker", _nobody(source, workers, offering))]
    equipped = [
        worker for worker in able if all(worker.resources.get(name, 0) >= amount for name, amount in needs.resources)
    ]
    wanted = ", ".join(f"{name}={amount}" for name, amount in needs.resources)
    if not equipped:
        most = ", ".join(f"{name}={max(w.resources.get(name, 0) for w in able)}" for name, _ in needs.resources)
        return [Reason("resource", f"no worker for {source.handler} has {wanted}; the most that any has is {most}")]
    free = [
        worker
        for worker in equipped
        if all(worker.offer.resources_free.get(name, 0) >= amount for name, amount in needs.resources)
    ]
    if not free:
        return [Reason("resource", f"{wanted} is in use")]
    if alone:
        return [Reason("slot", "others go first" if any(w.offer.free > 0 for w in free) else "every worker is busy")]
    return []


def _nobody(source: Source, workers: Sequence[Capacity], offering: Sequence[Capacity]) -> str:
    if offering:
        served = sorted({queue for worker in offering for queue in worker.offer.queues})
        return f"no worker for {source.handler} serves queue {source.queue!r}; they serve {', '.join(served[:5])}"
    name = source.handler.rpartition("@")[0]
    others = sorted({h for worker in workers for h in worker.offer.handlers if h.rpartition("@")[0] == name})
    has = f"; there is one for {', '.join(others[:5])}" if others else ""
    return f"no worker for {source.handler} on queue {source.queue!r}{has}"


def seconds(length_s: float) -> str:
    return f"{length_s:.1f} s"
