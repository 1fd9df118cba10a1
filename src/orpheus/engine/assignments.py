"""What is a worker told of the task it was granted? One place for the server and for the test kit."""

from __future__ import annotations

from functools import lru_cache

from orpheus.artifacts.keys import job_prefix
from orpheus.core.task import NODE
from orpheus.engine.base import Grant
from orpheus.protocol.worker import Assignment


@lru_cache(1024)
def _named(handler: str) -> tuple[str, int]:
    """Return name and version of a handler, `name@version`."""
    name, _, version = handler.rpartition("@")
    return name, int(version)


def assignment(grant: Grant, env: str) -> Assignment:
    """Return a grant as it travels.

    Args:
        env: first part of the objects' paths.
    """
    task, job = grant.task, grant.job
    name, version = _named(task.handler)
    return Assignment(
        run_id=grant.run_id,
        run_token=grant.run_token,
        job_id=job.job_id,
        task=task.node,
        index=None if task.index == NODE else task.index,
        handler=name,
        version=version,
        attempt=task.attempt,
        max_retries=grant.max_retries,
        tenant=job.tenant,
        correlation_id=job.correlation_id,
        traceparent=job.traceparent,
        args=dict(grant.args),
        start_to_close_s=grant.start_to_close_s,
        heartbeat_s=grant.heartbeat_s,
        last_heartbeat=task.heartbeat,
        resources=dict(grant.resources),
        needed_paths=[list(path) for path in grant.needed_paths] if grant.needed_paths else [],
        object_prefix=job_prefix(env, job.tenant, job.job_id),
    )
