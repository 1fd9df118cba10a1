"""The workflows of the crash test: chains, fans and branches of short tasks that leave files."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from orpheus import Context, File, Retry, first_of, task, workflow

LASTING = Retry(max_retries=50, initial_s=0.05, factor=1.5, max_s=0.5)
"""Each killed worker costs an attempt (R9); this test kills many."""


@dataclass
class Count:
    n: int
    even: bool


@task(retry=LASTING)
async def count(n: int) -> Count:
    await asyncio.sleep(0.02)
    return Count(n=n + 1, even=n % 2 == 1)


@task(retry=LASTING)
def square(n: int) -> int:
    return n * n


@task(retry=LASTING)
async def write(ctx: Context, n: int) -> File:
    await asyncio.sleep(0.05)
    return ctx.save_json(f"numbers/{n}.json", {"n": n, "run": ctx.run_id})


@task(retry=LASTING)
def add(numbers: list[int]) -> int:
    return sum(numbers)


@task(retry=LASTING)
def name_even(n: int) -> str:
    return f"{n} is even"


@task(retry=LASTING)
def name_odd(n: int) -> str:
    return f"{n} is odd"


@workflow
def chain(n: int) -> int:
    return count.using(name="third")(count.using(name="second")(count(n).n).n).n


@workflow
def fan(n: int, numbers: list[int]) -> int:
    written = write(n)
    return add.using(after=written)(square.using(max_concurrency=3).map(numbers))


@workflow
def branch(n: int) -> str:
    found = count(n)
    even = name_even.using(when=found.even)(found.n)
    odd = name_odd.using(when=found.even == False)(found.n)  # noqa: E712 (a condition, not a value)
    return first_of(even, odd)
