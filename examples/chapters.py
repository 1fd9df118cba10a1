"""Child jobs: each chapter is a job of its own, that can be seen, cancelled and retried by itself.

orpheus run examples/chapters.py:book -p chapters='["It was night.", "It was day."]'
"""

from orpheus import child, task, workflow


@task
def count(text: str) -> int:
    return len(text.split())


@workflow
def chapter(text: str) -> int:
    return count(text)


@task
def add(words: list[int]) -> int:
    return sum(words)


@workflow
def book(chapters: list[str]) -> int:
    return add(child.using(name="chapters", max_concurrency=2).map(chapter, chapters))
