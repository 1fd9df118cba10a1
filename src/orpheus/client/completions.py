"""How does one wait for thousands of jobs? One stream that tells every end, and one look at what had ended before."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import TypeAlias

from orpheus.client.effects import Effect, Listen, Operation, Pause, Together
from orpheus.client.errors import ConnectionLost, OrpheusHTTPError, WaitTimeout
from orpheus.client.follow import IDLE_S, JOB_ENDS, Follower, decoder_of
from orpheus.client.jobs import ENDED, fetch
from orpheus.client.requests import decoder, post
from orpheus.client.retrying import Patience, send
from orpheus.protocol.jobs import JobInfo, JobStates

FEW = 32
"""Up to so many jobs are asked for one by one."""
AT_ONCE = 1000
"""Of more, so many in one request."""
SIDE_BY_SIDE = 8
_STATES = decoder(JobStates)


_Ends: TypeAlias = list[tuple[str, list[str]]]
"""What has come together: jobs by type of event."""


def wait_states(job_ids: Iterable[str], timeout_s: float | None, patience: Patience) -> Operation[dict[str, str]]:
    """Return the final state of every job.

    The stream is opened first and then the jobs are looked at once, so an end between the two is seen twice rather than
    missed. A broken stream goes on at its cursor; a `reset` looks at the open ones again.

    Raises:
        WaitTimeout: some had not ended after `timeout_s`; the message counts them.
    """
    wanted = list(dict.fromkeys(job_ids))
    open_ids = set(wanted)
    states: dict[str, str] = {}
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    follower = _ends(open_ids, patience)

    def take(chunk: bytes) -> bool:
        for told in follower.feed(chunk):
            for type_, ids in told:
                if type_ in JOB_ENDS:
                    ended = open_ids.intersection(ids)
                    open_ids.difference_update(ended)
                    states.update(dict.fromkeys(ended, type_.removeprefix("job.")))
        return not open_ids or follower.was_reset

    look_again = True
    while open_ids:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise WaitTimeout(f"{len(open_ids)} of {len(wanted)} jobs have not ended after {timeout_s:g} s")

        def look() -> Operation[bool]:
            asked = [job_id for job_id in wanted if job_id in open_ids]
            found = yield from look_up(asked, patience)
            ended = {job_id: state for job_id, state in found.items() if state in ENDED and job_id in open_ids}
            open_ids.difference_update(ended)
            states.update(ended)
            return not open_ids

        try:
            yield Listen(follower.request(), take, IDLE_S, limit_s=left, opened=look() if look_again else None)
            look_again = follower.was_reset
            if follower.was_reset:
                follower.was_reset = False
            elif open_ids and (deadline is None or time.monotonic() < deadline):
                yield Pause(follower.broken())
        except (ConnectionLost, OrpheusHTTPError) as broken:
            look_again = look_again or (isinstance(broken, OrpheusHTTPError) and broken.code == "reset")
            yield Pause(follower.broken(broken))
    return {job_id: states[job_id] for job_id in wanted}


def wait_jobs(job_ids: Iterable[str], timeout_s: float | None, patience: Patience) -> Operation[list[JobInfo]]:
    """Wait for every job and return them whole, in the order asked for."""
    wanted = list(job_ids)
    yield from wait_states(wanted, timeout_s, patience)
    found = {job.job_id: job for job in (yield from _singly(set(wanted), patience))}  # lists leave results out
    return [found[job_id] for job_id in wanted]


def _ends(open_ids: Collection[str], patience: Patience) -> Follower[_Ends]:
    topics = (
        [f"job:{one}" for one in open_ids]
        if len(open_ids) <= 4
        else [
            "jobs:completed",
            "jobs:failed",
            "jobs:cancelled",
        ]
    )
    return Follower(
        "/stream",
        {"topic": topics, "brief": True},
        decoder_of(_Ends),
        None,
        patience,
    )


def look_up(job_ids: Collection[str], patience: Patience) -> Operation[dict[str, str]]:
    """Return the states of jobs by id: few of them one by one, many a thousand at a time.

    Raises:
        OrpheusHTTPError: `unknown_job`.
    """
    missing = list(dict.fromkeys(job_ids))
    found: dict[str, str] = {}
    if len(missing) > FEW:
        for start in range(0, len(missing), AT_ONCE):
            body = {"job_ids": missing[start : start + AT_ONCE]}
            found |= _STATES((yield from send(post("/jobs/states", body, repeatable=True), patience))).states
        missing = [job_id for job_id in missing if job_id not in found]
    singles: list[JobInfo] = yield from _singly(missing, patience)  # what was left out does not exist, and this says so
    return found | {job.job_id: job.state for job in singles}


def _singly(job_ids: Iterable[str], patience: Patience) -> Operation[list[JobInfo]]:
    effect: Effect = Together((fetch(job_id, patience) for job_id in sorted(job_ids)), SIDE_BY_SIDE)
    jobs: list[JobInfo] = yield effect
    return jobs
