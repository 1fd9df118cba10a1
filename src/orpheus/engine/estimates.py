"""What is known when a job is estimated: recorded durations, limits of queues, and the workflows its children run.

Also what prices and sizes have to say at a submission: the job's budget is checked, and kept with what approvers want to see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orpheus.core.errors import BudgetExceeded, InvalidRequest
from orpheus.core.estimate import Estimate, Sample, estimate, least_price
from orpheus.core.graph import Graph, Node
from orpheus.core.price import file_bytes
from orpheus.engine.work import Operation, Work

if TYPE_CHECKING:
    from orpheus.engine.base import Submission
    from orpheus.engine.durations import Durations
    from orpheus.engine.submissions import Submit
    from orpheus.store.transaction import Transaction


class Knowledge:
    """Keeps `core.estimate.Known` as of one transaction."""

    def __init__(self, tx: Transaction, durations: Durations) -> None:
        self._tx = tx
        self._durations = durations
        self._queues: Mapping[str, Mapping[str, Any]] | None = None

    def durations(self, handler: str, input_bytes: int) -> Sample | None:
        return self._durations.sample(handler, input_bytes)

    def price(self, handler: str, input_bytes: int) -> float | None:
        return self._durations.price(handler, input_bytes)

    def slots(self, queue: str) -> int | None:
        if self._queues is None:
            self._queues = self._tx.queue_settings()
        found = self._queues.get(queue, {}).get("concurrency")
        return found if isinstance(found, int) and found > 0 else None

    def child(self, node: Node) -> Graph | None:
        definition_id = self._tx.definition_by_name(node.workflow, node.workflow_version)
        return None if definition_id is None else self._tx.graph(definition_id)


def check_no_children(graph: Graph) -> None:
    """Refuse a budget that could not be kept.

    Raises:
        InvalidRequest: the workflow has child jobs.
    """
    if graph.children:
        raise InvalidRequest(
            f"workflow {graph.name!r} runs child jobs, and a budget is not kept over those",
            hint="set a budget on jobs without children, or leave it out",
            details=[{"path": "/budget", "message": "the workflow runs child jobs"}],
        )


def check_budget(graph: Graph, params: Mapping[str, Any], budget: float) -> None:
    """Refuse a budget that the job would pass for certain.

    Raises:
        BudgetExceeded: it costs more, whatever happens.
        InvalidRequest: the workflow has child jobs, over which no budget is kept.
    """
    check_no_children(graph)
    least = least_price(graph, params)
    if least > budget:
        message = f"the job costs at least {least:g}, its budget is {budget:g}"
        raise BudgetExceeded(
            message,
            hint="raise the budget; POST /estimate shows what costs how much",
            details=[{"path": "/budget", "message": message}],
        )


def prices_of(
    work: Work,
    asked: Submission,
    graph: Graph,
    params: Mapping[str, Any],
    durations: Durations | None,
    *,
    has_files: bool,
) -> dict[str, Any]:
    """Return what a new job keeps: the size of its input, its budget, and the estimate for who approves it.

    Args:
        durations: what tasks took before; None when nobody is going to approve it.

    Raises:
        BudgetExceeded, InvalidRequest: see `check_budget`.
    """
    kept: dict[str, Any] = {"input_bytes": file_bytes(dict(params))} if has_files else {}
    if asked.budget is not None:
        check_budget(graph, params, asked.budget)
        kept["budget"] = asked.budget
    if durations is not None:
        kept["estimate"] = estimate(graph, params, Knowledge(work.tx, durations)).to_json()
    return kept


class EstimateJob(Operation):
    """Estimate what a submission would become; writes nothing."""

    name = "estimate"

    def __init__(self, submit: Submit, durations: Durations) -> None:
        self._submit = submit
        self._durations = durations

    def run(self, work: Work) -> Estimate:
        graph, params = self._submit.read(work)
        return estimate(graph, params, Knowledge(work.tx, self._durations))
