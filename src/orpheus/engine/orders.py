"""What do people and programs order? A fact brought to a job, or a plain function of the transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from orpheus.core.facts import Fact, JobApproved, RetryRequested, SignalReceived, TaskApproved
from orpheus.core.graph import Graph
from orpheus.core.job import Job, JobState
from orpheus.engine.children import check_circle
from orpheus.engine.estimates import check_budget, check_no_children
from orpheus.engine.params import ParamsChecker, check_fetched
from orpheus.engine.typed import check_fact
from orpheus.engine.work import Operation, Work


class Tell(Operation):
    """Bring an order of a person or program to a job."""

    name = "tell"

    def __init__(
        self, checker: ParamsChecker, job_id: str, fact: Fact, tenant: str | None, *, value_max_bytes: int
    ) -> None:
        self._checker = checker
        self._value_max_bytes = value_max_bytes
        self._job_id = job_id
        self._fact = fact
        self._tenant = tenant

    def run(self, work: Work) -> Job:
        fact = self._fact
        if isinstance(fact, JobApproved | RetryRequested) and fact.params is not None:
            view = work.tx.view(self._job_id, tenant=self._tenant)
            graph = view.graph
            kept = view.params() if isinstance(fact, RetryRequested) else {}  # a retry names those that change
            params = self._checker.check(graph, {**kept, **fact.params})
            check_fetched(graph, params)
            fact = replace(fact, params=params)
        elif isinstance(fact, TaskApproved | SignalReceived):
            graph = work.tx.view(self._job_id, tenant=self._tenant).graph
            fact = check_fact(graph, fact, max_bytes=self._value_max_bytes)
        if isinstance(fact, JobApproved) and (fact.params is not None or fact.budget is not None):
            self._check_budget(work, fact)
        if isinstance(fact, RetryRequested) and fact.budget is not None:
            check_no_children(work.tx.view(self._job_id, tenant=self._tenant).graph)
        return work.tell(self._job_id, fact, tenant=self._tenant).job

    def _check_budget(self, work: Work, fact: JobApproved) -> None:
        view = work.tx.view(self._job_id, tenant=self._tenant)
        job = view.job()
        budget = job.extra.get("budget") if fact.budget is None else fact.budget
        if budget is not None and job.state is JobState.PENDING:
            check_budget(view.graph, view.params() if fact.params is None else fact.params, budget)


def publish_definition(definition: Mapping[str, Any], graph: Graph, work: Work, *, actor: str, **told: Any) -> bool:
    """Store a definition that may be, and tell whether it is new. `told` goes into the audit trail."""
    check_circle(work.tx, graph)
    new = work.tx.put_definition(definition, graph, work.now)
    if new:
        work.audit("workflow.published", f"{graph.name}@{graph.version}", actor=actor, **told)
    return new


class Call(Operation):
    """A plain function of the transaction."""

    def __init__(self, name: str, do: Callable[[Work], Any]) -> None:
        self.name = name
        self._do = do

    def run(self, work: Work) -> Any:
        return self._do(work)
