"""What else type checkers accept: results keep their types through every way of calling."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict, assert_type

from orpheus import (
    Context,
    File,
    Permanent,
    ProcessResult,
    RetryAfter,
    Sensitive,
    any_of,
    approval,
    child,
    first_of,
    is_none,
    not_,
    optional,
    run,
    secret,
    sleep,
    sleep_until,
    task,
    wait_for,
    wait_for_callback,
    workflow,
)


class Words(TypedDict):
    words: int
    text: str


@task(executor="process", cache=True, on_failure="skip")
def count(text: str, times: int = 1) -> Words:
    return {"words": len(text.split()) * times, "text": text}


@task
async def fetch(ctx: Context, url: str, token: Sensitive[str], *, depth: int = 1) -> list[str]:
    result = await ctx.run_process(["curl", url], timeout_s=5)
    assert_type(result, ProcessResult)
    if not token:
        raise Permanent("no token", hint="set one")
    if depth > 3:
        raise RetryAfter(30)
    return result.stdout.splitlines()


@task
def ask(ctx: Context, question: str) -> Any:
    ctx.callback_token()
    return wait_for_callback(timeout_s=60)


@task
def tell(values: list[Words], best: Words | None) -> None: ...


@workflow
def inner(text: str) -> Words:
    return count(text)


@workflow(name="outer-one", version=2)
def outer(urls: list[str], at: datetime, source: File) -> list[Words]:
    pause = sleep(3)
    sleep_until(at, after=[pause])
    pages = fetch.using(after=pause, priority=1)("https://example.org", secret("TOKEN"))
    assert_type(pages, list[str])
    counted = count.using(max_concurrency=2).map(pages, times=2)
    assert_type(counted, list[Words])
    assert_type(count("a"), Words)
    assert_type(child(inner, "text"), Words)
    assert_type(child.using(name="many").map(inner, urls), list[Words])
    assert_type(approval("fine?", counted, editable=True), list[Words])
    assert_type(wait_for("go", Words), Words)
    first = counted[0]
    once = count.using(name="once", when=any_of(first["words"] > 3, not_(is_none(first))))(first["text"])
    other = count.using(name="other", when=source.content_type == "text/plain")("b")
    assert_type(optional(once), Words | None)
    tell(counted, optional(once))
    tell.using(name="again")(counted, first_of(once, other))
    return counted


def use(path: str) -> None:
    assert_type(run(inner, text="a b"), Words)
    assert_type(run(inner, "a b"), Words)
    ctx: Context | None = None
    count.fn("plain")
    fetch.fn(ctx, path, "token")
