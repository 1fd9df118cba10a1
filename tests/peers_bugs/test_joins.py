"""Fan-in that fires too early, twice, or never."""

from __future__ import annotations

from typing import Any

import pytest

from orpheus import Permanent, Retry, child, optional, task, workflow
from orpheus.testing import Kit

STEADY = Retry(max_retries=2, initial_s=60, jitter=0)


@task(retry=STEADY)
def part(n: int) -> int:
    return n


@task
def join(parts: list[int | None]) -> list[int | None]:
    return parts


@workflow
def fan(numbers: list[int]) -> list[int | None]:
    return join(part.map(numbers))


@workflow
def two_roads(numbers: list[int]) -> list[int | None]:
    left = part.using(name="left", when=False)(1)
    return join([optional(left), part.using(name="right")(2)])


@pytest.mark.parametrize("on_failure", ["skip", "continue"])
def test_a_join_fires_although_one_item_is_left_out(kit: Kit, on_failure: str) -> None:
    """A chord that never fires when one of its header tasks is skipped, ignored or fails (celery/celery #3317, #9107)."""

    @task
    def gather(parts: list[Any]) -> int:
        return len(parts)

    @workflow(name=f"tolerant_{on_failure}")
    def tolerant(numbers: list[int]) -> int:
        return gather(part.using(on_failure=on_failure).map(numbers))  # type: ignore[typeddict-item]

    def picky(n: int) -> int:
        if n == 2:
            raise Permanent("not two")
        return n

    kit.fake(part, picky)
    job = kit.submit(tolerant, numbers=[1, 2, 3]).run()
    assert job.state == "completed"
    job.events.assert_count("task.started:gather", 1)
    assert job.result == 3


def test_a_skipped_branch_does_not_hold_a_join(kit: Kit) -> None:
    """The same for a branch that was not taken."""
    assert kit.run(two_roads, numbers=[]) == [None, 2]


def test_a_join_after_retries_fires_once_and_not_before(kit: Kit) -> None:
    """A chord whose body never runs when a header task was retried (celery/celery #1401), or runs while one of them is
    still in retry (celery/celery #2324, #2405)."""
    kit.fake(part, raises=OSError("not now"), times=4)
    job = kit.submit(fan, numbers=[1, 2, 3]).run()
    assert job.result == [1, 2, 3]
    job.events.assert_count("task.started:join", 1)
    last_part = max(event.seq for event in job.events.of("task.completed:part"))
    assert job.events.of("task.started:join")[0].seq > last_part


def test_a_join_after_a_retry_by_hand_waits_for_what_is_done_again(kit: Kit) -> None:
    """A join stuck, or fired with old results, after a failed job was retried: its counters are those of the new
    generation (R20)."""
    broken = kit.fake(part, lambda n: 1 // 0 if n == 2 else n)
    job = kit.submit(fan, numbers=[1, 2, 3]).run()
    assert job.state == "failed"
    kit.unfake(broken)
    assert job.retry().run().result == [1, 2, 3]
    job.events.assert_count("task.started:join", 1)
    kit.fake(part, lambda n: 10 * n)
    assert job.retry(from_task="part").run().result == [10, 20, 30]
    job.events.assert_count("task.started:join", 2)


def test_a_join_over_a_restart(kit: Kit) -> None:
    """A join whose count lived in memory, and is lost when the server goes down in the middle."""
    kit.fake(part, raises=OSError("not now"), times=2)
    job = kit.submit(fan, numbers=[1, 2, 3])
    kit.advance(1)
    kit.restart()
    assert job.run().result == [1, 2, 3]


@workflow
def single(n: int) -> int:
    return part(n)


@workflow
def parent(n: int) -> list[int | None]:
    return join([child(single, n)])


def test_a_parents_retry_does_not_double_the_child(kit: Kit) -> None:
    """A child job started again, beside the first, when its parent is retried or recovered (dbos-transact-java #226, nflow
    #482)."""
    broken = kit.fake(join, raises=Permanent("not yet"))
    job = kit.submit(parent, n=1)
    kit.restart()
    assert job.run().state == "failed" and len(job.children) == 1
    kit.unfake(broken)
    kit.restart()
    assert job.retry().run().result == [1]
    assert len(job.children) == 1
