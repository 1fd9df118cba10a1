"""What is a job's first state? Its row, one row per node, and the gates it starts behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from orpheus.core.amend import highest_of, priority_of
from orpheus.core.closing import begin_closing
from orpheus.core.compensation import go_on
from orpheus.core.decision import Decision, Draws, StartChild
from orpheus.core.draft import Draft
from orpheus.core.gates import dependency_failed, leave_pending
from orpheus.core.graph import Graph, NodeKind
from orpheus.core.job import Job, JobState
from orpheus.core.opening import advance
from orpheus.core.price import file_bytes
from orpheus.core.task import NODE, Task, TaskState
from orpheus.core.usual_jobs import begin_like, is_usual

DECIDER_VERSION = 1


class NewJob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job to create; everything in it has been checked and resolved by the engine."""

    job_id: str
    tenant: str
    correlation_id: str
    params: Mapping[str, Any] = msgspec.field(default_factory=dict)
    priority: int = 3
    max_priority: int = 1
    """No task gets a higher one (1 is the highest), whatever the job or its nodes ask for."""
    run_at: float | None = None
    """The instant before which nothing begins; a delay has been added to `now` already."""
    dependencies: tuple[tuple[str, str], ...] = ()
    """`(job_id, on)` of the dependencies that are not settled yet."""
    failed_dependency: str | None = None
    """A dependency that can no longer be satisfied: the job is created and cancelled at once (R15)."""
    requires_approval: bool = False
    timeout_s: float | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    idempotency_key: str | None = None
    fingerprint: str | None = None
    webhook_url: str | None = None
    traceparent: str | None = None
    has_files: bool = False
    """A param holds a file: the job has a manifest object from its creation on."""
    paused: bool = False
    definitions: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The definitions that child jobs run, theirs too, by `children.definition_key` (R11, R24)."""
    parent: Mapping[str, Any] | None = None
    """Of a child: `job`, `task`, `index` and `generation` of what opened it."""
    actor: str = "api"
    extra: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """What stands in the job's `extra` from its creation on."""


def child_job(parent: Job, command: StartChild, params: Mapping[str, Any], *, has_files: bool) -> NewJob:
    """Return the job that a command asks for.

    Tenant, correlation id and trace are the parent's, and it is paused if the parent is. Labels, webhook and key are not
    handed down: what filters by label (a list, a bulk order) means the jobs that somebody submitted.

    Args:
        params: those of the command, checked and with their defaults.
    """
    return NewJob(
        job_id=command.job_id,
        tenant=parent.tenant,
        correlation_id=parent.correlation_id,
        traceparent=parent.traceparent,
        params=params,
        priority=command.priority,
        max_priority=highest_of(parent),
        timeout_s=command.timeout_s,
        has_files=has_files,
        paused=parent.paused,
        definitions=parent.extra.get("definitions", {}),
        parent={
            "job": parent.job_id,
            "task": command.node,
            "index": command.index,
            "generation": command.generation,
        },
        extra={"input_bytes": file_bytes(dict(params))} if has_files else {},
        actor="engine",
    )


def begins_alike(request: NewJob, graph: Graph) -> bool:
    """Tell whether the job begins as all do that are asked for in the same words (`usual_jobs.py`)."""
    return graph.begins_alike and is_usual(request)


def submit(request: NewJob, graph: Graph, now: float, draws: Draws) -> Decision:
    """Create a job."""
    if not begins_alike(request, graph):
        return submit_at_length(request, graph, now, draws)
    first = graph.beginnings.get(request.priority)
    if first is None:
        first = graph.beginnings[request.priority] = submit_at_length(request, graph, now, draws)
    return begin_like(first, request, now)


def submit_at_length(request: NewJob, graph: Graph, now: float, draws: Draws) -> Decision:
    """Create a job, whatever the others of its graph look like."""
    extra = dict(request.extra)
    if request.definitions:
        extra["definitions"] = dict(request.definitions)
    if request.parent is not None:
        extra["parent"] = dict(request.parent)
    if request.max_priority > 1:
        extra["max_priority"] = request.max_priority
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
        priority=max(request.priority, request.max_priority),
        labels=dict(request.labels),
        traceparent=request.traceparent,
        idempotency_key=request.idempotency_key,
        fingerprint=request.fingerprint,
        webhook_url=request.webhook_url,
        has_files=request.has_files,
        paused=request.paused,
        requires_approval=request.requires_approval,
        unmet_jobs=len(request.dependencies),
        run_at=request.run_at,
        timeout_s=request.timeout_s,
        nodes_open=len(graph.nodes),
        weight_total=graph.weight_total,
        decider_version=DECIDER_VERSION,
        extra=extra,
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
                priority=priority_of(job, node),
                unmet=len(graph.predecessors[node.name]),
            )
        )
    told = {} if request.parent is None else {"parent": request.parent["job"]}
    draft.event("job.created", None, workflow=graph.name, version=graph.version, tenant=job.tenant, **told)
    if job.paused:
        draft.event("job.paused")
    if request.failed_dependency is not None:
        begin_closing(draft, JobState.CANCELLED, dependency_failed(request.failed_dependency))
    else:
        leave_pending(draft)
    advance(draft)
    if draft.compensates:
        go_on(draft)
    return draft.done()
