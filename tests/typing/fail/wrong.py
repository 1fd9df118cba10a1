"""Mistakes that type checkers find. Each line with a marker must be reported, and no other line."""

from __future__ import annotations

from orpheus import Context, File, child, run, task, workflow


@task
def length(text: str) -> int:
    return len(text)


@task
async def shorten(ctx: Context, text: str, to: int = 10) -> str:
    return text[:to]


@task
def join(parts: list[str]) -> str:
    return "".join(parts)


@workflow
def inner(source: File, n: int = 1) -> str:
    return shorten(source.name, n)


@workflow
def outer(source: File, texts: list[str]) -> int:
    length(3)  # error: a number where text is wanted
    length()  # error: the argument is missing
    length("a", "b")  # error: one too many
    length(txt="a")  # error: no such argument
    shorten("a", to="b")  # error: text where a number is wanted
    shorten.using(que="gpu")("a")  # error: no such option
    shorten.using(on_failure="explode")("a")  # error: not one of the choices
    join(shorten.map([1, 2]))  # error: items of the wrong type
    join(length.map(texts))  # error: results of the wrong type
    join(shorten.map(texts, too=3))  # error: no such argument in the map
    child(inner, "not a file")  # error: a text where a file is wanted
    child(inner, source, m=2)  # error: no such param
    print(shorten("a").nothing)  # error: text has no such field
    return shorten("a")  # error: the workflow returns a number


@task(queu="gpu")  # error: no such option
def other(text: str) -> str:
    return text


def use() -> None:
    run(inner, source="path", n="x")  # error: params of the wrong type
