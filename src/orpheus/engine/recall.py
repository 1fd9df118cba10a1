"""Is a task's result known already? Asked in the transaction that made the task ready (R23).

The entry counts only while every object of it lies where it should and looks untouched: a missing or damaged one makes it
a miss, and the entry is forgotten. That look is a few calls to the file system, for tasks with a cache only; a remote
store would need it taken off the loop (ADR 0013).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orpheus.core.cache_key import made
from orpheus.core.decision import LookUpResult
from orpheus.core.facts import TaskCached

if TYPE_CHECKING:
    from orpheus.store.transaction import Transaction

Intact = Callable[[Sequence[tuple[str, str, int]], float], bool]
"""Tells whether objects `(key, sha256, size_bytes)` lie in the store as they did at an instant (seconds since the epoch)."""


def recall(tx: Transaction, job_id: str, command: LookUpResult, *, intact: Intact, now: float) -> TaskCached | None:
    """Return the fact that a known result completes the task, or None."""
    key = made(command.key, tx.definitions.made_with(command.handler))
    found = tx.known_results.find(key)
    if found is None:
        return None
    if not intact(found.parts(), found.created_at):
        tx.known_results.forget((key,))
        return None
    tx.use_known_result(job_id, key, found, now=now)
    return TaskCached(
        node=command.node,
        index=command.index,
        result=found.result,
        artifacts=found.artifacts,
        source_job=found.job_id,
        source_run=found.run_id,
    )
