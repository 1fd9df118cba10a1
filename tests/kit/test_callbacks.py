"""A task hands its work over, and another system brings the result (R22): staged in the kit and inline."""

from __future__ import annotations

import pytest

from orpheus import Context, task, wait_for_callback, workflow
from orpheus.core.errors import InvalidParams, TaskError
from orpheus.testing import Kit, run_job


@task(retry=None)
def transcode(ctx: Context, n: int) -> int:
    ctx.log.info("token %s", ctx.callback_token())
    ctx.spend(0.25)
    found: int = wait_for_callback(timeout_s=3600)
    return found


@task
def add(numbers: list[int]) -> int:
    return sum(numbers)


@workflow
def single(n: int) -> int:
    return transcode(n)


@workflow
def several(numbers: list[int]) -> int:
    return add(transcode.map(numbers))


def test_a_callback_comes_after_a_restart() -> None:
    with Kit() as kit:
        job = kit.submit(single, n=1)
        assert [one.reason for one in job.run_until_waiting()] == ["callback"]
        kit.restart()
        with pytest.raises(InvalidParams):
            job.call_back(result="five")
        assert job.call_back("transcode", result=5).run().result == 5
        assert job.row.extra["cost"] == 0.25, "what was spent before the wait is what it cost"


def test_a_callback_fails_or_never_comes() -> None:
    with Kit() as kit:
        failed = kit.submit(single, n=1)
        failed.run_until_waiting()
        failed.call_back(error=TaskError(code="task_failed", message="no disk"))
        assert failed.run().error is not None and failed.row.error is not None
        assert failed.row.error.message == "no disk"
        late = kit.submit(single, n=1)
        kit.advance(hours=1)
        assert late.error is not None and late.error.code == "timeout_callback"


def test_each_item_has_its_own() -> None:
    with Kit() as kit:
        job = kit.submit(several, numbers=[1, 2])
        job.run_until_waiting()
        for question in job.questions:
            job.call_back(index=question.index, result=10)
        assert job.run().result == 20
    assert run_job(several, {"numbers": [1, 2, 3]}, callbacks={"transcode": 7}).result == 21
