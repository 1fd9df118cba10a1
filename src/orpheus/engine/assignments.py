"""What is a worker told of the task it was granted? One place for the server and for the test kit."""

from __future__ import annotations

from collections.abc import Iterable
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
    [made] = assignments((grant,), env)
    return made


def assignments(grants: Iterable[Grant], env: str) -> list[Assignment]:
    """Return grants as they travel; most that go out together differ in nothing but their job and their run."""
    made: list[Assignment] = []
    of: tuple[object, ...] = ()
    for grant in grants:
        task, job = grant.task, grant.job
        shared = (
            *(task.node, task.handler, job.tenant, grant.max_retries, grant.start_to_close_s, grant.heartbeat_s),
            *(grant.resources, grant.needed_paths),
        )
        if shared != of:
            of, first = shared, _first(grant, env)
            folder = first.object_prefix.removesuffix(job.job_id)
        each: Assignment = first.__copy__()  # type: ignore[attr-defined]  # copy.copy() takes twice as long to get here
        each.run_id = grant.run_id
        each.run_token = grant.run_token
        each.job_id = job.job_id
        each.index = None if task.index == NODE else task.index
        each.attempt = task.attempt
        each.correlation_id = job.correlation_id
        each.traceparent = job.traceparent
        each.args = dict(grant.args)
        each.last_heartbeat = task.heartbeat
        each.object_prefix = folder + job.job_id
        made.append(each)
    return made


def _first(grant: Grant, env: str) -> Assignment:
    """Return a grant with what others share with it; the rest is set for each."""
    task, job = grant.task, grant.job
    name, version = _named(task.handler)
    return Assignment(
        run_id=grant.run_id,
        run_token=grant.run_token,
        job_id=job.job_id,
        task=task.node,
        index=None,
        handler=name,
        version=version,
        attempt=task.attempt,
        max_retries=grant.max_retries,
        tenant=job.tenant,
        correlation_id=job.correlation_id,
        start_to_close_s=grant.start_to_close_s,
        heartbeat_s=grant.heartbeat_s,
        resources=dict(grant.resources),
        needed_paths=[list(path) for path in grant.needed_paths],
        object_prefix=job_prefix(env, job.tenant, job.job_id),
    )
