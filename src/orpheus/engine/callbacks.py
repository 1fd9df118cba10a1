"""Whose result does a token bring? Callbacks from other systems (R22).

A token is `{run_id}.{proof}`. The proof is derived from the run's own token, which is derived from the run and a key that
lies beside the database, not in it: a claim writes nothing for it, and whoever reads the database can make no token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orpheus.core.errors import StaleRun, TaskError, UnknownCallback
from orpheus.core.facts import CallbackReceived
from orpheus.engine.base import CallbackTaken
from orpheus.engine.typed import check_fact
from orpheus.engine.work import Operation, Work

if TYPE_CHECKING:
    from orpheus.engine.claims import RunTokens
    from orpheus.engine.leases import RunTable

ACTOR = "callback"


@dataclass(frozen=True, slots=True)
class Brought:
    """What another system says of a run."""

    result: Any = None
    error: TaskError | None = None


class CallBack(Operation):
    """Bring a callback to the job of its run; the run's first one is answered again to each later one."""

    name = "callback"

    def __init__(self, tokens: RunTokens, runs: RunTable, token: str, brought: Brought, *, max_bytes: int) -> None:
        self._tokens = tokens
        self._runs = runs
        self._token = token
        self._brought = brought
        self._max_bytes = max_bytes

    def run(self, work: Work) -> CallbackTaken:
        run_id = self._tokens.run_of_callback(self._token)
        if run_id is None:
            raise UnknownCallback(
                "there is no such callback", hint="The token has to be sent whole, as the task gave it."
            )
        held = self._runs.get(run_id)
        found = work.tx.run_of_callback(run_id, None if held is None else held.task)
        if found is None:
            raise StaleRun(
                f"run {run_id} is over", hint="It was cancelled, has timed out, or another attempt has begun."
            )
        job_id, node, index, received_at = found
        if received_at is None:
            fact = CallbackReceived(
                node=node,
                index=index,
                run_id=run_id,
                result=self._brought.result,
                error=self._brought.error,
                actor=ACTOR,
            )
            work.tell(job_id, check_fact(work.tx.view(job_id).graph, fact, max_bytes=self._max_bytes))
            received_at = work.now
        return CallbackTaken(job_id=job_id, task=node, index=index, run_id=run_id, received_at=received_at)
