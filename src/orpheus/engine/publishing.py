"""What has to happen to files after a commit? Deliveries to the publisher, and what it brings back (R10, design section 6).

A commit may leave work outside the database: accepted artifacts want their stable names, a job that is about to end wants
its final manifest. That work is named by rows (unpublished artifacts, `closing`), so it survives a crash and is taken up
again at the start. Here it becomes deliveries:

1. `wanted` notes a job (after the commit). At most one delivery of a job is under way; what comes meanwhile is remembered.
2. `Collect` reads the rows the publisher needs.
3. The publisher (off the loop, injected) links files and writes the manifest. It may be called twice for the same thing
   and must then change nothing.
4. `Delivered` brings the facts: `ArtifactsPublished`, then `Finalised`. A publisher that failed is tried again, later each
   time, for as long as it takes: the job's end waits for its manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from orpheus.core.closing import is_still
from orpheus.core.errors import OrpheusError
from orpheus.core.facts import ArtifactsPublished, Finalised
from orpheus.engine.work import Operation, Work

if TYPE_CHECKING:
    from orpheus.core.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What the publisher is to do for one job.

    `artifacts` are all that belong in the manifest, as the store lists them (`name`, `node`, `index`, `run_id`, `key`,
    `sha256`, `size_bytes`, `content_type`, `metadata`, `published_at` …); those in `unpublished` still have to get their
    stable names. With an `outcome` the manifest is the final one: it tells this state, and is on disk when `deliver`
    returns.
    """

    job: Job
    params: Any
    artifacts: Sequence[Mapping[str, Any]]
    unpublished: Sequence[Mapping[str, Any]]
    outcome: str | None = None
    finished_at: float | None = None
    """With an `outcome`: the job's end, as manifest and row will tell it."""


class Publisher(Protocol):
    """Puts artifacts under their stable names and writes manifests. Implemented by the artifacts room."""

    def deliver(self, delivery: Delivery) -> None:
        """Do it; blocking, in a thread of its own, and the same again changes nothing.

        Raises:
            Exception: anything; it is tried again later.
        """

    def attempts(self, *, older_than_s: float) -> list[str]:
        """Return the runs that have left files, and not touched their folder for so long. Blocking."""

    def discard(self, run_ids: Sequence[str]) -> None:
        """Remove the files of runs that nobody needs. Blocking, and the same again changes nothing."""

    def forget_job(self, tenant: str, job_id: str) -> None:
        """Remove what stands under a pruned job's names. Blocking, and the same again changes nothing."""

    def forget_file(self, key: str) -> None:
        """Remove an upload. Blocking, and the same again changes nothing."""

    def intact(self, parts: Sequence[tuple[str, str, int]], since: float) -> bool:
        """Tell whether objects `(key, sha256, size_bytes)` are as they were at an instant. Blocking, and quick."""


class NoPublisher:
    """For engines without an object store (tests, benchmarks): everything counts as published."""

    def deliver(self, delivery: Delivery) -> None:
        return None

    def attempts(self, *, older_than_s: float) -> list[str]:
        return []

    def discard(self, run_ids: Sequence[str]) -> None:
        return None

    def forget_job(self, tenant: str, job_id: str) -> None:
        return None

    def forget_file(self, key: str) -> None:
        return None

    def intact(self, parts: Sequence[tuple[str, str, int]], since: float) -> bool:
        return True


@dataclass(slots=True)
class _Errand:
    """What is wanted for a job."""

    finalise: tuple[str, int] | None = None
    """`(outcome, generation)` of the end that waits."""
    busy: bool = False
    again: bool = False
    failures: int = 0
    not_before: float = 0.0
    """Monotonic instant of the next try."""
    fault: str = ""


class Outbox:
    """Which jobs want the publisher, and what is ready for it."""

    def __init__(self, *, queue: Callable[[Operation], None], retry_max_s: float) -> None:
        self._queue = queue
        self._retry_max_s = retry_max_s
        self._errands: dict[str, _Errand] = {}
        self._ready: list[Delivery] = []

    def __len__(self) -> int:
        return len(self._errands)

    def wanted(self, job_id: str, *, finalise: tuple[str, int] | None = None) -> None:
        """Note that a job has something to publish, or its final manifest to be written."""
        errand = self._errands.setdefault(job_id, _Errand())
        if finalise is not None:
            errand.finalise = finalise
        if errand.busy:
            errand.again = True
        elif errand.failures == 0:
            self._begin(job_id, errand)

    def take(self) -> list[Delivery]:
        """Return what is ready to be carried out; each has to come back by `delivered` or `undelivered`."""
        ready, self._ready = self._ready, []
        return ready

    def fault_of(self, job_id: str) -> str:
        """Return why the last try for a job failed, or nothing."""
        errand = self._errands.get(job_id)
        return errand.fault if errand is not None else ""

    def delivered(self, delivery: Delivery) -> None:
        """The publisher has done it: bring the facts."""
        self._queue(Delivered(self, delivery))

    def undelivered(self, delivery: Delivery, error: BaseException, mono: float) -> None:
        """The publisher failed: try again later."""
        errand = self._errands[delivery.job.job_id]
        errand.busy = False
        errand.failures += 1
        errand.fault = f"{type(error).__name__}: {error}"
        errand.not_before = mono + min(self._retry_max_s, 2.0 ** (errand.failures - 1))

    def tick(self, mono: float) -> None:
        for job_id, errand in list(self._errands.items()):
            if not errand.busy and errand.not_before <= mono:
                self._begin(job_id, errand)

    def next_due(self) -> float | None:
        return min((e.not_before for e in self._errands.values() if not e.busy), default=None)

    def _begin(self, job_id: str, errand: _Errand) -> None:
        errand.busy = True
        errand.again = False
        self._queue(Collect(self, job_id, errand.finalise))

    def collected(self, job_id: str, delivery: Delivery | None) -> None:
        if delivery is None:
            self.settled(job_id)
        else:
            self._ready.append(delivery)

    def settled(self, job_id: str) -> None:
        """The facts are committed (or there was nothing to do)."""
        errand = self._errands[job_id]
        errand.busy = False
        errand.failures = 0
        errand.fault = ""
        if errand.again:
            self._begin(job_id, errand)
        else:
            del self._errands[job_id]

    def failed(self, job_id: str) -> None:
        """The operation was dropped: look at it again at the next tick."""
        errand = self._errands[job_id]
        errand.busy = False
        errand.failures += 1


class Collect(Operation):
    """Read what the publisher needs to know."""

    name = "collect"

    def __init__(self, outbox: Outbox, job_id: str, finalise: tuple[str, int] | None) -> None:
        self._outbox = outbox
        self._job_id = job_id
        self._finalise = finalise

    def run(self, work: Work) -> None:
        job = work.tx.job(self._job_id)
        delivery = None
        if job is not None:
            wanted = self._finalise
            still = (
                wanted is not None
                and job.closing is not None
                and is_still(job)
                and wanted == (str(job.closing), job.generation)
            )
            outcome = wanted[0] if wanted is not None and still else None
            delivery = Delivery(
                job=job,
                params=work.tx.view(self._job_id).params(),
                artifacts=work.tx.artifacts(self._job_id),
                unpublished=work.tx.unpublished_artifacts(self._job_id),
                outcome=outcome,
                finished_at=work.now if outcome is not None else None,
            )
            if outcome is None and not delivery.unpublished and not job.has_files:
                delivery = None
        work.after_commit(lambda: self._outbox.collected(self._job_id, delivery))

    def failed(self, error: BaseException) -> None:
        self._outbox.failed(self._job_id)


class Delivered(Operation):
    """Tell the job what now stands in the object store."""

    name = "delivered"

    def __init__(self, outbox: Outbox, delivery: Delivery) -> None:
        self._outbox = outbox
        self._delivery = delivery

    def run(self, work: Work) -> None:
        delivery = self._delivery
        job = delivery.job
        try:
            if delivery.unpublished:
                names = tuple(str(artifact["name"]) for artifact in delivery.unpublished)
                work.tell(job.job_id, ArtifactsPublished(names=names))
            if delivery.outcome is not None:
                end = Finalised(outcome=delivery.outcome, generation=job.generation, finished_at=delivery.finished_at)
                work.tell(job.job_id, end)
        except OrpheusError as error:
            work.on_fault(job.job_id, error)
        work.after_commit(lambda: self._outbox.settled(job.job_id))

    def failed(self, error: BaseException) -> None:
        self._outbox.failed(self._delivery.job.job_id)
