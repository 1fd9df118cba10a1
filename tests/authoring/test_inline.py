"""`orpheus.run`: the real core drives handlers in this process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import orpheus
from orpheus import (
    Context,
    File,
    Permanent,
    Resource,
    Retry,
    RetryAfter,
    Sensitive,
    first_of,
    optional,
    secret,
    task,
    workflow,
)
from orpheus.core.errors import InvalidParams
from orpheus.core.task import TaskState
from orpheus.testing.inline import JobFailed, Stuck, run_job


@task
async def double(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@workflow
def doubles(numbers: list[int]) -> int:
    return total(double.using(max_concurrency=2, stagger_s=5.0).map(numbers))


def test_map_and_join() -> None:
    """Items run under cap and stagger, the join gets them in order; waits are not slept."""
    assert orpheus.run(doubles, numbers=[1, 2, 3]) == 12
    assert orpheus.run(doubles, [1]) == 2
    outcome = run_job(doubles, {"numbers": [1, 2, 3]})
    assert outcome.result == 12
    assert outcome.skipped_s == pytest.approx(10.0)
    assert [event.seq for event in outcome.events] == list(range(1, len(outcome.events) + 1))


def test_empty_map() -> None:
    """An empty map gives [] (R13)."""
    assert orpheus.run(doubles, numbers=[]) == 0


def test_inside_a_loop() -> None:
    """It works where a loop runs already, as in notebooks."""

    async def notebook() -> int:
        return orpheus.run(doubles, numbers=[5])

    assert asyncio.run(notebook()) == 10


def test_branches_and_skips() -> None:
    """Conditions choose, `first_of` and `optional` join."""

    @task
    def left(n: int) -> str:
        return f"left {n}"

    @task
    def right(n: int) -> str:
        return f"right {n}"

    @task
    def join(found: str, maybe: str | None) -> list[str | None]:
        return [found, maybe]

    @workflow
    def flow(n: int) -> list[str | None]:
        a = left.using(when=double(n) > 10)(n)
        b = right.using(when=orpheus.not_(n > 5))(n)
        return join(first_of(a, b), optional(a))

    assert orpheus.run(flow, n=1) == ["right 1", None]
    assert orpheus.run(flow, n=6) == ["left 6", "left 6"]


def test_retries_and_heartbeat() -> None:
    """A failed attempt is followed by another, which gets the last heartbeat; the wait is only counted (R17)."""
    seen: list[tuple[int, Any]] = []

    @task(retry=Retry(max_retries=3, initial_s=100, jitter=0))
    def shaky(ctx: Context, n: int) -> int:
        seen.append((ctx.attempt, ctx.last_heartbeat))
        ctx.heartbeat({"done": ctx.attempt})
        ctx.progress(0.5, "half")
        if ctx.attempt == 1:
            raise RuntimeError("no")
        if ctx.attempt == 2:
            raise RetryAfter(7)
        return n

    @workflow
    def flow(n: int) -> int:
        return shaky(n)

    outcome = run_job(flow, {"n": 3})
    assert outcome.result == 3
    assert seen == [(1, None), (2, {"done": 1}), (3, {"done": 2})]
    assert outcome.skipped_s == pytest.approx(107.0)


def test_failure_is_the_handlers_own() -> None:
    """A final failure raises, with the handler's exception as the cause."""

    @task
    def broken(n: int) -> int:
        raise Permanent("nothing to hear", hint="send sound")

    @workflow
    def flow(n: int) -> int:
        return broken(n)

    with pytest.raises(JobFailed, match="nothing to hear") as caught:
        orpheus.run(flow, n=1)
    assert isinstance(caught.value.__cause__, Permanent)
    assert caught.value.hint == "send sound"
    (failed,) = [row for row in caught.value.job.tasks if row.state is TaskState.FAILED]
    assert failed.attempt == 1


def test_files(tmp_path: Path) -> None:
    """A path is taken for a File; artifacts come back as files that can be read."""
    source = tmp_path / "in.txt"
    source.write_text("one two")

    @task
    def count(ctx: Context, source: File) -> File:
        with ctx.open(source) as stream:
            words = stream.read().decode().split()
        result = ctx.run_process(["cat"], stdin=b"fine\n")
        assert result.stdout == "fine\n"
        (ctx.temp_dir / "x").write_text("temporary")
        return ctx.save_json("counts/words.json", {"words": len(words), "name": source.name})

    @workflow
    def flow(source: File) -> File:
        return count(source)

    outcome = run_job(flow, {"source": source}, folder=tmp_path / "out")
    assert isinstance(outcome.result, File)
    assert outcome.artifacts["counts/words.json"].read_text() == '{\n  "words": 2,\n  "name": "in.txt"\n}\n'
    types = [event.type for event in outcome.events]
    assert types[-1] == "job.completed" and "artifact.published" in types
    assert orpheus.run(flow, source=File.from_path(source)).name == "counts/words.json"
    with pytest.raises(InvalidParams, match="no file"):
        run_job(flow, {"source": tmp_path / "missing"})


def test_resources_and_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resource is loaded once and closed; a test puts its own in its place. Secrets come from the environment."""
    closed: list[str] = []

    class Model:
        def __init__(self) -> None:
            self.name = "real"

        def close(self) -> None:
            closed.append(self.name)

    class Fake(Model):
        def __init__(self) -> None:
            self.name = "fake"

    @task
    def say(text: str, key: Sensitive[str], *, model: Model = Resource(Model)) -> str:
        return f"{model.name} {text} {key}"

    @workflow
    def flow(texts: list[str]) -> list[str]:
        return say.map(texts, secret("KEY"))

    monkeypatch.setenv("ORPHEUS_SECRET_KEY", "k")
    assert orpheus.run(flow, texts=["a", "b"]) == ["real a k", "real b k"]
    assert closed == ["real"]
    assert run_job(flow, {"texts": ["a"]}, resources={Model: Fake()}).result == ["fake a k"]


def test_params_are_checked() -> None:
    """Params go through the workflow's schema, as they would on a server."""
    with pytest.raises(InvalidParams):
        run_job(doubles, {"numbers": "three"})
    with pytest.raises(orpheus.DefinitionError, match="nmbers"):
        orpheus.run(doubles, nmbers=[1])  # type: ignore[call-arg]


def test_questions_are_answered() -> None:
    """Approvals and signals by name, in the job and in its child; a job that nobody answers is stuck and says for what."""

    @task
    def join(plan: list[int], name: str) -> str:
        return f"{plan} {name}"

    @workflow
    def inner(plan: list[int]) -> str:
        return join(plan, orpheus.wait_for("name", str, timeout_s=60))

    @workflow
    def outer() -> str:
        plan = orpheus.approval("Right?", [1, 2], editable=True, timeout_s=60, name="plan")
        return orpheus.child(inner, plan)

    asked: list[str] = []

    def ask(question: Any) -> Any:
        asked.append(str(question))
        return "Ada"

    assert run_job(outer, {}, approvals="auto", signals={"name": "Eve"}).result == "[1, 2] Eve"
    assert run_job(outer, {}, approvals={"plan": [3]}, ask=ask).result == "[3] Ada"
    assert asked == ["signal 'name' (name)"]
    with pytest.raises(JobFailed) as failed:
        run_job(outer, {}, approvals={"Right?": False})
    assert failed.value.code == "rejected"
    with pytest.raises(Stuck, match=r"approvals={'Right\?'"):
        orpheus.run(outer)
