"""Which tasks may be claimed now? Keeps the core's dispatcher in step with the committed rows (R25).

The dispatcher holds a bounded window of the ready tasks and all limits; this file feeds it after each commit (`ready`, `withdrawn`),
fetches rows when a window runs low (`Refill`), and sets it up at the start. Everything that is asked of it uses the
monotonic clock, so that a jump of the wall clock neither opens nor closes a rate.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orpheus.core.dispatch import NO_NEEDS, Dispatcher, Key, Needs, ReadyRef, Source
from orpheus.core.dispatch_limits import Rate, lasting_s
from orpheus.core.graph import Graph, Node
from orpheus.core.job import Job
from orpheus.core.task import Task
from orpheus.engine.work import MemoryOnly, Operation, Work

if TYPE_CHECKING:
    from orpheus.core.dispatch import Refill
    from orpheus.store.transaction import Transaction

_REFILLS = 16
"""Sources filled per operation."""


def needs_of(node: Node) -> Needs:
    """Return what a node asks for beside a slot."""
    rate = node.rate_limit
    if not node.resources and rate is None and node.concurrency_limit == 1:
        return NO_NEEDS
    return Needs(
        resources=tuple(sorted((name, amount) for name, amount in node.resources.items() if amount > 0)),
        concurrency_limit=node.concurrency_limit,
        rate=None if rate is None else (float(rate["limit"]), float(rate["period_s"])),
    )


def source_of(task: Task) -> Source:
    return Source(task.queue, task.priority, task.tenant, task.handler, task.concurrency_key)


class NeedsBook:
    """The needs of the nodes met lately: shared objects, so that a million refs do not hold a million of them."""

    def __init__(self, keep: int = 8_192) -> None:
        self._keep = keep
        self._known: OrderedDict[tuple[str, str], Needs] = OrderedDict()

    def of(self, graph: Graph, name: str) -> Needs:
        key = (graph.definition_id, name)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = needs_of(graph.all_nodes[name])
            if len(self._known) > self._keep:
                self._known.popitem(last=False)
        return found


class Feed:
    """Between the rows and the dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.needs = NeedsBook()
        self.stirred = True
        """Something may be claimable that was not before: polls that wait should look."""
        self.keeps_starts = False
        """Some rate's starts were written since the process began."""
        self._source: Source | None = None
        """Of the latest ref: tasks that become ready together mostly share theirs."""
        self._refilling = False
        self._reread = 0
        """Counts the windows to be read anew; rows fetched from an older place must not fill them."""
        self._in_flight: dict[Key, int] = {}
        """Picks whose claim is not committed yet, with their `ready_seq`."""

    def picked(self, picks: Sequence[ReadyRef]) -> None:
        for pick in picks:
            self._in_flight[pick.key] = pick.ready_seq

    def settled(self, picks: Sequence[ReadyRef]) -> None:
        for pick in picks:
            self._in_flight.pop(pick.key, None)

    def ref(self, task: Task, graph: Graph) -> ReadyRef:
        assert task.ready_seq is not None, "a ready row has its place"
        source = self._source
        fields = (task.queue, task.priority, task.tenant, task.handler, task.concurrency_key)
        if source != fields:
            source = self._source = Source(*fields)
        return ReadyRef(
            (task.job_id, task.node, task.index, task.generation),
            task.ready_seq,
            source,
            self.needs.of(graph, task.node),
        )

    def held(self, job: Job) -> None:
        """The job was paused: its ready rows are held."""
        self.dispatcher.remove_job(job.job_id)

    def resumed(self, sources: Iterable[Source]) -> None:
        """A job's ready rows stand there again, at their old places."""
        for source in sources:
            self.dispatcher.invalidate(source)
            self._reread += 1
            self.stirred = True

    def ready(self, task: Task, graph: Graph) -> None:
        """Follow a committed row that is ready, and not held."""
        if task.superseded or not task.handler:
            self.dispatcher.remove(task.key)
        elif self._in_flight.get(task.key) != task.ready_seq:  # else only its timer moved; it is picked, and stays so
            self.dispatcher.add(self.ref(task, graph))
            self.stirred = True

    def created(self, tasks: Sequence[Task], graph: Graph) -> None:
        """Do as `ready` for each ready task of new jobs that begin alike, in the order of their places."""
        if len(tasks) < 2 or tasks[0].node != tasks[1].node:
            for task in tasks:
                self.ready(task, graph)
            return
        first = self.ref(tasks[0], graph)  # each job has one, and they differ in nothing but job and place
        source, needs, in_flight = first.source, first.needs, self._in_flight
        self.stirred = True
        if self.dispatcher.leaves(source, first.ready_seq):
            return
        refs = [
            ReadyRef((task.job_id, task.node, task.index, task.generation), task.ready_seq or 0, source, needs)
            for task in tasks
        ]
        if in_flight:
            refs = [ref for ref in refs if in_flight.get(ref.key) != ref.ready_seq]
        if refs:
            self.dispatcher.add_alike(refs)

    def withdrawn(self, keys: Iterable[Key]) -> None:
        """Tasks that were ready are not any more."""
        self.dispatcher.all_removed(keys)

    def released(self, task: Task) -> None:
        """A run is over; what it held is free."""
        self.dispatcher.released(task.key)
        self.stirred = True

    def all_released(self, keys: Iterable[Key]) -> None:
        """The runs of these tasks are over; what they held is free."""
        self.dispatcher.all_released(keys)
        self.stirred = True

    def write_start(self, work: Work, rates: Iterable[tuple[str, Rate]], run_id: str) -> None:
        """Keep a start that these rates count with its claim: a restart must not let a period's worth through at once."""
        for scope, rate in rates:
            work.tx.limits.started(run_id, scope, at=work.now, over_at=work.now + lasting_s(rate))
            self.keeps_starts = True

    def forget_start(self, work: Work, task: Task) -> None:
        """The run that this row was granted as never reached a worker: it counts against no rate."""
        if self.dispatcher.gates.counts(task.key) and task.run_id is not None:
            work.tx.limits.never_started(task.run_id)

    def prune_starts(self, work: Work) -> None:
        """Drop the kept starts that count no more; now and then, in a transaction of the housekeeping."""
        if self.keeps_starts:
            work.tx.limits.prune_starts(work.now)

    def set_queue(self, name: str, settings: Mapping[str, Any]) -> None:
        rate = settings.get("rate_limit")
        self.dispatcher.set_queue(
            name,
            paused=bool(settings.get("paused")),
            concurrency=settings.get("concurrency"),
            rate=None if not rate else (float(rate["limit"]), float(rate["period_s"])),
        )
        self.stirred = True

    def recover(self, tx: Transaction, *, now: float, mono: float, running: Iterable[Task]) -> None:
        """Set the dispatcher up from the rows, at the start."""
        for name, settings in tx.queue_settings().items():
            self.set_queue(name, settings)
        held: dict[str, Key] = {}
        for task in running:
            if task.handler and task.run_id is not None:
                graph = tx.view(task.job_id).graph
                ref = ReadyRef(task.key, task.ready_seq or 0, source_of(task), self.needs.of(graph, task.node))
                self.dispatcher.restore(ref)
                held[task.run_id] = ref.key
        for run_id, scope, at in tx.limits.starts(now):
            # Never in the future, whatever the wall clock did meanwhile: a rate must not stay closed for ever.
            self.dispatcher.gates.recall(scope, mono - max(0.0, now - at), held.get(run_id))
            self.keeps_starts = True
        self.announce(tx)

    def announce(self, tx: Transaction) -> None:
        for source, _count in tx.lanes():
            self.dispatcher.announce(source)
        self.stirred = True

    def refill(self) -> Refilling | None:
        """Return the operation that fetches rows, if some window runs low and none is under way."""
        if self._refilling:
            return None
        announce = self.dispatcher.sources_wanted()
        wanted = self.dispatcher.refill_wanted(_REFILLS)
        if not wanted and not announce:
            return None
        self._refilling = True
        return Refilling(self, wanted, announce=announce)

    def refilled(self) -> None:
        self._refilling = False

    @property
    def reread(self) -> int:
        return self._reread


class Refilling(Operation):
    """Fetch the next rows of the sources whose window runs low. Reads only."""

    name = "refill"

    def __init__(self, feed: Feed, wanted: list[Refill], *, announce: bool) -> None:
        self._feed = feed
        self._wanted = wanted
        self._announce = announce
        self._reread = feed.reread

    def run(self, work: Work) -> None:
        feed = self._feed
        if self._announce:
            sources = [source for source, _count in work.tx.lanes()]
            work.after_commit(MemoryOnly(self._announced, sources))
        for source, after_seq, limit in self._wanted:
            rows = work.tx.ready_window(source, after_seq, limit)
            refs: list[ReadyRef] = []
            asked: dict[tuple[str, str], Needs] = {}
            for row in rows:
                kind = row.definition_id, row.node
                needs = asked.get(kind)
                if needs is None:
                    needs = asked[kind] = feed.needs.of(work.tx.graph(row.definition_id), row.node)
                refs.append(ReadyRef(row[:4], row.ready_seq, source, needs))
            work.after_commit(MemoryOnly(self._filled, source, refs, more=len(rows) == limit))
        work.after_commit(MemoryOnly(feed.refilled))

    def failed(self, error: BaseException) -> None:
        self._feed.refilled()

    def _announced(self, sources: list[Source]) -> None:
        for source in sources:
            self._feed.dispatcher.announce(source)

    def _filled(self, source: Source, refs: list[ReadyRef], *, more: bool) -> None:
        if self._reread != self._feed.reread:
            return  # a job was resumed meanwhile, and rows may stand before these: it is asked for again
        self._feed.dispatcher.refilled(source, refs, more=more)
        if refs:
            self._feed.stirred = True
