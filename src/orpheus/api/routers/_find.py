"""Looking a job up for somebody: another tenant's job does not exist."""

from __future__ import annotations

from orpheus.api.calls import Call
from orpheus.core.errors import UnknownJob
from orpheus.core.job import Job


async def find_job(call: Call) -> Job:
    """Return the job that the path names.

    Raises:
        UnknownJob: there is none, or it is another tenant's.
    """
    job_id = call.path["job_id"]
    job = await call.services.engine.reads.job(job_id)
    return visible(call, job, job_id)


def visible(call: Call, job: Job | None, job_id: str) -> Job:
    if job is None or (call.identity.tenant is not None and job.tenant != call.identity.tenant):
        raise unknown_job(job_id)
    return job


def unknown_job(job_id: str) -> UnknownJob:
    return UnknownJob(f"there is no job {job_id[:80]!r}", hint="GET /jobs lists them")
