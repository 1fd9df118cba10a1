"""What is removed, when, and how does nobody notice? Pruning, retention, the cache's age, uploads and leftovers.

Long looks are made by the reader beside the writer; the writer gets short transactions, and between two of them whatever else has
come goes first. Files go in a helper thread. One upkeep is under way at a time, and a backup keeps all of it away: what its
copy of the database names must not go before it is copied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orpheus.engine.orders import Call
from orpheus.engine.retention import Retention
from orpheus.engine.upkeep_contract import BackedUp, FailureFilter, Failures, Pruned, PruneOrder
from orpheus.store.backup import back_up
from orpheus.store.known_results import StaleResults
from orpheus.store.pruning import START, TERMINAL_STATES, Candidate, Prunable, Removal

if TYPE_CHECKING:
    from orpheus.engine.machine import Machine
    from orpheus.engine.publishing import Publisher
    from orpheus.engine.work import Operation, Work
    from orpheus.store.reader import Reader

PAGE = 500
"""Rows looked at by one read."""
MOST_JOBS = 20
"""Jobs taken out of sight by one transaction: about 5 ms."""
MOST_ROWS = 500
"""Rows deleted by one transaction: about 5 ms."""


class Upkeep:
    """Keeps `UpkeepOrders` for the embedded engine."""

    def __init__(
        self,
        machine: Machine,
        reads: Reader,
        do: Callable[[Operation], Awaitable[Any]],
        publisher: Publisher,
        helpers: Executor,
    ) -> None:
        self._machine = machine
        self._reads = reads
        self._do = do
        self._publisher = publisher
        self._helpers = helpers
        self._retention = Retention(machine.options.retention_s)
        self._busy = asyncio.Lock()

    # Orders

    async def prune(self, order: PruneOrder) -> Pruned:
        async with self._busy:
            pruned, now = Pruned(), self._now()
            if order.jobs_older_than_s is not None:
                wanted = Prunable(
                    ended_before=now - order.jobs_older_than_s,
                    states=tuple(order.states) or TERMINAL_STATES,
                    workflow=order.workflow,
                    tenant=order.tenant,
                )
                await self._prune_jobs(wanted, pruned, dry_run=order.dry_run)
            if order.cache_older_than_s is not None:
                stale = StaleResults(before=now - order.cache_older_than_s, tenant=order.tenant, task=order.cache_task)
                pruned.results = await self._prune_results(stale, dry_run=order.dry_run)
            if not order.dry_run:
                await self._finish_removals("job")
            return pruned

    async def sweep(self) -> None:
        async with self._busy:
            options, now = self._machine.options, self._machine.clock.now()
            # Uploads that an earlier sweep took out of sight: whoever was just submitting one has been refused by now.
            await self._finish_removals("file")
            shortest_s = self._retention.shortest_s
            if shortest_s is not None:
                rule = partial(self._is_over, now=now)
                await self._prune_jobs(Prunable(ended_before=now - shortest_s), Pruned(), dry_run=False, also=rule)
            if options.cache_retention_s is not None:
                await self._prune_results(StaleResults(before=now - options.cache_retention_s), dry_run=False)
            await self._prune_files(now - options.upload_kept_s)
            await self._finish_removals("job")
            await self._sweep_runs()

    async def backup(self, target: str) -> BackedUp:
        clock = self._machine.clock
        async with self._busy:  # what the copy of the database names must not go before it is copied
            began = clock.monotonic()
            data = self._machine.store.path.parent
            copied = await self._in_thread(partial(back_up, data, Path(target), now=clock.now()))
            return BackedUp(target, copied.objects, copied.size_bytes, clock.monotonic() - began)

    async def known_results(self, *, tenant: str | None) -> list[Mapping[str, Any]]:
        return await self._reads.known_results(tenant=tenant)

    async def failures(self, wanted: FailureFilter, *, limit: int) -> list[Failures]:
        found = await self._reads.failures(wanted, limit=limit)
        return [Failures(*(*row, tuple(sample))) for row, sample in found]

    # Jobs

    def _is_over(self, one: Candidate, *, now: float) -> bool:
        length_s = self._retention.length_s(state=one.state, workflow=one.workflow, tenant=one.tenant)
        return length_s is not None and one.finished_at <= now - length_s

    async def _prune_jobs(
        self,
        wanted: Prunable,
        pruned: Pruned,
        *,
        dry_run: bool,
        also: Callable[[Candidate], bool] = lambda _one: True,
    ) -> None:
        removed_some = True
        while removed_some:
            # Once more after a round that removed something: children go after their parents.
            removed_some = False
            for state in wanted.states:
                after = START
                while found := await self._reads.prunable(wanted, state, after, now=self._now(), limit=PAGE):
                    after = (found[-1].created_at, found[-1].job_no)
                    chosen = [one for one in found if also(one)]
                    count = len(chosen) if dry_run else await self._remove(wanted, chosen)
                    pruned.jobs[state] = pruned.jobs.get(state, 0) + count
                    removed_some = removed_some or (count > 0 and not dry_run)

    async def _remove(self, wanted: Prunable, chosen: Sequence[Candidate]) -> int:
        count = 0
        for start in range(0, len(chosen), MOST_JOBS):
            some = chosen[start : start + MOST_JOBS]
            removed = await self._call(lambda work, some=some: self._remove_some(work, wanted, some))  # type: ignore[misc]
            count += len(removed)
        return count

    def _remove_some(self, work: Work, wanted: Prunable, some: Sequence[Candidate]) -> list[str]:
        removed, floor = work.tx.pruning.remove_jobs(wanted, some, now=work.now)
        stream = self._machine.stream
        # Before the commit: a reader of the file must not pass over what is gone without noticing.
        stream.floor = max(stream.floor, floor)
        return removed

    async def _finish_removals(self, kind: str) -> None:
        """Remove files and rows of what is out of sight."""
        while removals := await self._call(lambda work: work.tx.pruning.removals(kind, PAGE)):
            for removal in removals:
                await self._finish(removal)

    async def _finish(self, removal: Removal) -> None:
        if removal.kind == "file":
            await self._in_thread(partial(self._publisher.forget_file, removal.key))
        else:
            # Files first: which runs there were is asked of the rows, also after a crash.
            runs = await self._call(lambda work: work.tx.pruning.unneeded_runs(removal.number))
            await self._in_thread(partial(self._publisher.discard, runs))
            await self._in_thread(partial(self._publisher.forget_job, removal.tenant, removal.id))
            while await self._call(lambda work: work.tx.pruning.forget_rows(removal.number, MOST_ROWS)):
                pass
        await self._call(lambda work: work.tx.pruning.removal_done(removal.removal_no))

    # The cache, uploads, leftovers

    async def _prune_results(self, chosen: StaleResults, *, dry_run: bool) -> int:
        if dry_run:
            return (await self._reads.stale_results(chosen))[0]
        count = 0
        while keys := await self._call(lambda work: _forget_results(work, chosen)):
            count += keys
        return count

    async def _prune_files(self, before: float) -> None:
        after = ""
        while found := await self._reads.unused_files(after, before, PAGE):
            after = found[-1][0]
            await self._call(lambda work, found=found: work.tx.pruning.remove_files(found))  # type: ignore[misc]

    async def _sweep_runs(self) -> None:
        """Remove what attempts left that nothing needs (R10).

        Folders are listed before rows are read: a run is committed as running before its worker hears of it, so what is
        listed and not needed then will never be.
        """
        older_than_s = self._machine.options.orphan_after_s
        found = await self._in_thread(partial(self._publisher.attempts, older_than_s=older_than_s))
        if not found:
            return
        needed = await self._reads.needed_runs(found)
        orphans = [run_id for run_id in found if run_id not in needed]
        for start in range(0, len(orphans), 100):
            await self._in_thread(partial(self._publisher.discard, orphans[start : start + 100]))

    # Ways to do it

    def _now(self) -> float:
        return self._machine.clock.now()

    async def _call(self, do: Callable[[Work], Any]) -> Any:
        return await self._do(Call("upkeep", do))

    async def _in_thread(self, do: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._helpers, do)


def _forget_results(work: Work, chosen: StaleResults) -> int:
    keys = work.tx.known_results.stale(chosen, MOST_ROWS // 5)
    work.tx.known_results.forget(keys)
    return len(keys)
