"""What a worker is told of a task does not depend on what goes out beside it (`engine/assignments.py`)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import fields, replace

from orpheus.core.job import Job, JobState
from orpheus.core.task import Task, TaskState
from orpheus.engine.assignments import assignment, assignments
from orpheus.engine.base import Grant

JOB = Job("job-1", "ada", "count", 1, "definition", JobState.RUNNING, 5.0, "correlation")
TASK = Task("job-1", "count", -1, 1, TaskState.RUNNING, "ada", "default", "count@1", attempt=1, run_id="run-1")
GRANT = Grant("run-1", "token-1", TASK, JOB, {"n": 1}, 3, 60.0, None, {}, ())

ODD_GRANT: dict[str, Any] = {
    **{"run_id": "run-2", "run_token": "token-2", "task": replace(TASK, node="other"), "args": {"m": [2]}},
    **{"job": replace(JOB, job_id="job-2"), "max_retries": 0, "start_to_close_s": None, "heartbeat_s": 9.0},
    **{"resources": {"gpu": 1}, "needed_paths": (("a", 0),)},
}
ODD_TASK = {"node": "other", "index": 4, "handler": "other@2", "attempt": 7, "heartbeat": {"at": 3}}
ODD_JOB = {"job_id": "job-2", "tenant": "bob", "correlation_id": "other", "traceparent": "00-1-2-01"}


def test_every_field_of_a_grant_has_an_odd_value() -> None:
    assert {one.name for one in fields(Grant)} == set(ODD_GRANT)


@pytest.mark.parametrize(
    "odd",
    [
        *(replace(GRANT, **{name: value}) for name, value in ODD_GRANT.items()),
        *(replace(GRANT, task=replace(TASK, **{name: value})) for name, value in ODD_TASK.items()),
        *(replace(GRANT, job=replace(JOB, **{name: value})) for name, value in ODD_JOB.items()),
    ],
)
def test_grants_that_go_out_together_are_told_as_alone(odd: Grant) -> None:
    together = assignments((GRANT, odd, GRANT, odd), "dev")
    assert together == [assignment(GRANT, "dev"), assignment(odd, "dev")] * 2
    assert together[0] != together[1]
