"""What is a job's first state? Its row, one row per node, and the gates it starts behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orpheus.core.advance import advance
from orpheus.core.closing import begin_closing
from orpheus.core.decision import Decision, Draws
from orpheus.core.draft import Draft
from orpheus.core.errors import InvalidGraph
from orpheus.core.gates import dependency_failed, leave_pending
from orpheus.core.graph import Graph, Node, NodeKind
from orpheus.core.job import Job, JobState
from orpheus.core.task import NODE, Task, TaskState

DECIDER_VERSION = 1
_LATER = (NodeKind.APPROVAL, NodeKind.WAIT_FOR, NodeKind.CHILD)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to create; everything in it has been checked and resolved by the engine."""

    job_id: str
    tenant: str
    correlation_id: str
    params: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 3
    run_at: float | None = None
    """The instant before which nothing begins; a delay has been added to `now` already."""
    dependencies: tuple[tuple[str, str], ...] = ()
    """`(job_id, on)` of the dependencies that are not settled yet."""
    failed_dependency: str | None = None
    """A dependency that can no longer be satisfied: the job is created and cancelled at once (R15)."""
    requires_approval: bool = False
    timeout_s: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    fingerprint: str | None = None
    webhook_url: str | None = None
    traceparent: str | None = None
    has_files: bool = False
    """A param holds a file: the job has a manifest object from its creation on."""
    actor: str = "api"


def _what_comes_later(node: Node) -> str | None:
    """Say what about a node this version cannot do; running it without would break a promise of its author."""
    if node.kind in _LATER:
        return f"is of kind {str(node.kind)!r}"
    if node.workflow:
        return "is a map of child jobs"
    if node.undo is not None:
        return "has an undo"
    return None


def submit(request: NewJob, graph: Graph, now: float, draws: Draws) -> Decision:
    """Create a job.

    Raises:
        InvalidGraph: it has nodes of a kind this version cannot run.
    """
    for node in graph.nodes.values():
        later = _what_comes_later(node)
        if later is not None:
            raise InvalidGraph(
                f"workflow {graph.name!r}, node {node.name!r} ({node.source}): it {later}, which this version cannot run",
                hint="tasks, maps of tasks and sleeps can be run",
            )
    job = Job(
        job_id=request.job_id,
        tenant=request.tenant,
        workflow=graph.name,
        workflow_version=graph.version,
        definition_id=graph.definition_id,
        state=JobState.PENDING,
        created_at=now,
        updated_at=now,
        correlation_id=request.correlation_id,
        priority=request.priority,
        labels=dict(request.labels),
        traceparent=request.traceparent,
        idempotency_key=request.idempotency_key,
        fingerprint=request.fingerprint,
        webhook_url=request.webhook_url,
        has_files=request.has_files,
        requires_approval=request.requires_approval,
        unmet_jobs=len(request.dependencies),
        run_at=request.run_at,
        timeout_s=request.timeout_s,
        nodes_open=len(graph.nodes),
        weight_total=graph.weight_total,
        decider_version=DECIDER_VERSION,
    )
    draft = Draft(None, job, graph, now=now, draws=draws, actor=request.actor)
    draft.decision.params = dict(request.params)
    draft.decision.dependencies = list(request.dependencies)
    for node in graph.nodes.values():
        draft.add(
            Task(
                job_id=job.job_id,
                node=node.name,
                index=NODE,
                generation=1,
                state=TaskState.BLOCKED,
                tenant=job.tenant,
                queue="" if node.kind is NodeKind.MAP or not node.task else node.queue,
                handler="" if node.kind is NodeKind.MAP else node.handler,
                priority=job.priority if node.priority is None else node.priority,
                unmet=len(graph.predecessors[node.name]),
            )
        )
    draft.event("job.created", None, workflow=graph.name, version=graph.version, tenant=job.tenant)
    if request.failed_dependency is not None:
        begin_closing(draft, JobState.CANCELLED, dependency_failed(request.failed_dependency))
    else:
        leave_pending(draft)
    advance(draft)
    return draft.done()
