"""What docs/retries.md promises, seen from outside (R12, R13, R17, R20)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from orpheus import Context, Failure, Permanent, Retry, RetryAfter, first_of, optional, task, workflow
from orpheus.core.errors import InvalidTransition
from orpheus.testing import JobFailed, Kit


@task(retry=Retry(max_retries=3, initial_s=10, factor=3, max_s=60, jitter=0, final_errors=[KeyError]))
def step(n: int) -> int:
    return n


@task
def use(value: int | Failure | None) -> str:
    return "nothing" if value is None else f"failure {value.code}" if isinstance(value, Failure) else str(value)


@task
def count(values: list[int | Failure | None]) -> list[str]:
    return [type(value).__name__ for value in values]


@workflow
def fails(n: int) -> str:
    return use(step(n))


@workflow
def skips(n: int) -> str:
    return use(first_of(step.using(on_failure="skip")(n), step.using(name="other")(7)))


@workflow
def continues(n: int) -> str:
    failed = step.using(on_failure="continue")(n)
    needs = use.using(name="needs")(failed)
    return use.using(after=needs)(optional(failed))


@workflow
def maps_continue(numbers: list[int]) -> list[str]:
    return count(step.using(on_failure="continue").map(numbers))


@workflow
def maps_skip(numbers: list[int]) -> list[str]:
    return count(step.using(on_failure="skip").map(numbers))


@workflow
def maps_fail(numbers: list[int]) -> list[str]:
    return count(step.using(max_concurrency=1).map(numbers))


@pytest.fixture
def kit() -> Any:
    with Kit() as made:
        yield made


def only_two(n: int) -> int:
    if n == 2:
        raise Permanent("not two", hint="Send another.")
    return n


def test_the_backoff_grows_to_its_bound(kit: Kit) -> None:
    """max_retries=3 is four attempts, after 10, 30 and 60 s (not 90)."""
    kit.fake(step, raises=OSError("no"))
    job = kit.submit(fails, n=1).run()
    assert kit.now - kit.START == timedelta(seconds=10 + 30 + 60)
    assert [one["outcome"] for one in job.attempts("step")] == ["failed"] * 4
    assert job.task("use").state == "cancelled" or job.task("use").state == "skipped"
    with pytest.raises(JobFailed) as failed:
        _ = job.result
    assert isinstance(failed.value.__cause__, OSError)


@pytest.mark.parametrize("error", [Permanent("no", hint="h"), KeyError("k")])
def test_final_errors_are_not_tried_again(kit: Kit, error: Exception) -> None:
    kit.fake(step, raises=error)
    job = kit.submit(fails, n=1).run()
    assert len(job.attempts("step")) == 1 and job.state == "failed"


def test_retry_after_sets_the_wait_and_counts(kit: Kit) -> None:
    kit.fake(step, raises=RetryAfter(3600, "busy"), times=3)
    job = kit.submit(fails, n=1).run()
    assert job.result == "1" and kit.now - kit.START == timedelta(hours=3)
    kit.fake(step, raises=RetryAfter(3600, "busy"), times=4)
    assert kit.submit(fails, n=1).run().state == "failed"


def test_details_reach_the_next_attempt(kit: Kit) -> None:
    """After a failure, and after a lost worker; not into the next generation's first attempt."""
    seen: list[Any] = []

    def going_on(ctx: Context, n: int) -> int:
        seen.append(ctx.last_heartbeat)
        ctx.heartbeat({"done": len(seen)})
        if len(seen) == 1:
            raise OSError("no")
        return n

    kit.fake(step, going_on)
    kit.fake(step, lambda ctx, n: ctx.heartbeat("lost"), lost=True, times=1)
    job = kit.submit(fails, n=1).run()
    assert seen == ["lost", {"done": 1}]
    job.retry(from_task="step").run()
    assert seen[2] is None


def test_skip_and_continue(kit: Kit) -> None:
    """A failed input is not there: it skips its consumer, unless wrapped in optional() or first_of()."""
    kit.fake(step, lambda n: n if n == 7 else 1 // 0)
    skipped = kit.submit(skips, n=1).run()
    assert skipped.result == "7" and skipped.task("step").state == "skipped"
    continued = kit.submit(continues, n=1).run()
    assert continued.result == "nothing" and continued.task("step").state == "failed"
    assert continued.task("needs").state == "skipped"


def test_items_of_a_map(kit: Kit) -> None:
    """Results keep their places, whatever becomes of an item."""
    kit.fake(step, only_two)
    assert kit.run(maps_continue, numbers=[1, 2, 3]) == ["int", "Failure", "int"]
    assert kit.run(maps_skip, numbers=[1, 2, 3]) == ["int", "NoneType", "int"]
    failed = kit.submit(maps_fail, numbers=[1, 2, 3]).run()
    assert failed.state == "failed" and failed.error is not None and failed.error.hint == "Send another."
    failed.events.assert_none("task.started:step[2]")


def test_a_retry_keeps_what_is_done(kit: Kit) -> None:
    """A map's finished items too; the failed one begins anew, with attempts counted from one."""
    broken = kit.fake(step, lambda n: 1 // 0 if n == 2 else n)
    job = kit.submit(maps_fail, numbers=[1, 2, 3]).run()
    kit.unfake(broken)
    again = kit.fake(step, lambda n: n)
    assert job.retry().run().result == ["int"] * 3
    assert [call.args["n"] for call in again.calls] == [2, 3] and again.calls[0].attempt == 1
    assert job.row.generation == 2


def test_what_can_be_retried_when(kit: Kit) -> None:
    kit.fake(step, takes_s=100, times=1)
    job = kit.submit(fails, n=1)
    kit.advance(10)
    with pytest.raises(InvalidTransition):
        job.retry()
    job.retry(from_task="step").run()
    assert job.state == "completed" and kit.now - kit.START == timedelta(seconds=10)
    with pytest.raises(InvalidTransition):
        job.retry()
    cancelled = kit.submit(fails, n=1).cancel("no")
    assert cancelled.run().state == "cancelled"
    assert cancelled.retry().run().state == "completed"
