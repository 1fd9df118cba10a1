"""What a worker does with one task: claim, run, report."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from orpheus.authoring.codec import Sensitive, to_wire
from orpheus.authoring.context import Context
from orpheus.authoring.errors import Permanent, RetryAfter
from orpheus.authoring.file import File
from orpheus.authoring.registry import Registry
from orpheus.authoring.task import task
from orpheus.protocol.worker import ReportResult
from orpheus.worker.definitions import Definitions

log = logging.getLogger("their.module")


@dataclass
class Words:
    words: int
    where: str


@task
def count(text: str) -> Words:
    return Words(len(text.split()), threading.current_thread().name)


@task
async def count_in_loop(ctx: Context, text: str = "a b") -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"words": len(text.split()), "run_id": ctx.run_id, "attempt": ctx.attempt, "job": ctx.job_id}


def test_plain_and_async_handlers(stage: Any, run_async: Any) -> None:
    """A plain function runs in a thread, an async one in the loop; both results arrive as JSON."""

    async def body() -> None:
        async with stage(count, count_in_loop) as (server, worker):
            plain = await server.give("count", args={"text": "to be or not"})
            quick = await server.give("count_in_loop", attempt=2)
            end = await server.end_of(plain)
            assert end.kind == "completed", end
            assert end.result["words"] == 4 and end.result["where"].startswith("orpheus-handler")
            end = await server.end_of(quick)
            assert end.result == {"words": 2, "run_id": quick, "attempt": 2, "job": end.result["job"]}
            await worker.drain()
            assert len(server.byes) == 1
            specs = {spec.name: spec for spec in server.hellos[0].tasks}
            assert specs["count"].params["properties"]["text"] == {"type": "string"} and specs["count"].content

    run_async(body)


@task
def boom(how: str) -> None:
    if how == "permanent":
        raise Permanent("no speech in this file", hint="send one with speech")
    if how == "later":
        raise RetryAfter(30, "busy")
    if how == "exit":
        sys.exit(3)
    if how == "interrupt":
        raise KeyboardInterrupt
    raise OSError("the disk is full")


@task
async def boom_in_loop(how: str) -> None:
    boom.fn(how)


@pytest.mark.parametrize("handler", ["boom", "boom_in_loop"])
def test_failures_are_classified(stage: Any, run_async: Any, handler: str) -> None:
    """R17: Permanent is final, RetryAfter sets the wait, exit() and KeyboardInterrupt fail the attempt and not the worker."""

    async def body() -> None:
        async with stage(boom, boom_in_loop) as (server, worker):
            ends = {
                how: await server.give(handler, args={"how": how})
                for how in ("permanent", "later", "exit", "interrupt", "x")
            }
            errors = {how: (await server.end_of(run_id)).error for how, run_id in ends.items()}
            assert errors["permanent"].final and errors["permanent"].hint == "send one with speech"
            assert errors["later"].retry_after_s == 30 and not errors["later"].final
            assert errors["exit"].type == "SystemExit" and not errors["exit"].final
            assert errors["interrupt"].type == "KeyboardInterrupt"
            assert errors["x"].type == "OSError" and "the disk is full" in errors["x"].traceback
            again = await server.give(handler, args={"how": "x"})
            assert (await server.end_of(again)).kind == "failed"
            await worker.drain()

    run_async(body)


@task
def wrong_result() -> Any:
    return {"made": object()}


def test_bad_arguments_and_results_are_final(stage: Any, run_async: Any) -> None:
    """Arguments that do not fit, and a result that cannot be encoded, would be no better at the next attempt."""

    async def body() -> None:
        async with stage(count, wrong_result) as (server, _worker):
            bad = await server.give("count", args={"text": 3})
            error = (await server.end_of(bad)).error
            assert error.code == "binding_failed" and error.final and "text" in error.message
            bad = await server.give("count", args={"text": "x", "txt": 1})
            assert (await server.end_of(bad)).error.final
            unencodable = await server.give("wrong_result")
            error = (await server.end_of(unencodable)).error
            assert error.final and "ctx.save" in error.hint
            unknown = await server.give("counts")
            error = (await server.end_of(unknown)).error
            assert not error.final and "does not offer counts@1" in error.message

    run_async(body)


@task
def anything() -> Any: ...


@pytest.mark.parametrize(
    "value", [0.1 + 0.2, -0.0, 1e22, 5e-324, float("nan"), float("-inf"), 3, 10**30, True, None, "é\n"]
)
def test_a_scalar_is_encoded_as_any_result(value: object) -> None:
    """It takes a shorter way, to the same text."""
    registry = Registry()
    registry.add(anything)
    handler = Definitions(registry).handler("anything", 1)
    assert handler.encode(value) == msgspec.json.encode(to_wire(value))


@task
def chatty(ctx: Context) -> None:
    print("one")
    print("two", end="")
    sys.stderr.write("three\n")
    log.info("four")
    ctx.log.warning("five %d", 5)
    print(" and more")
    for step in range(200):
        ctx.progress(step / 200, "working")
    ctx.heartbeat({"at": 7})


@task
async def chatty_in_loop(ctx: Context) -> None:
    print("one")
    await asyncio.sleep(0.3)
    chatty.fn(ctx)
    await asyncio.sleep(0.3)


@pytest.mark.parametrize("handler", ["chatty", "chatty_in_loop"])
def test_output_becomes_the_attempts_log(stage: Any, run_async: Any, handler: str, capsys: Any) -> None:
    """print, stderr, logging and ctx.log are told apart by attempt; progress is coalesced."""

    async def body() -> None:
        async with stage(chatty, chatty_in_loop) as (server, _worker):
            runs = [await server.give(handler) for _ in range(3)]
            for run_id in runs:
                assert (await server.end_of(run_id)).kind == "completed"
                lines = [(line.stream, line.level, line.message) for line in server.log_of(run_id)]
                assert ("stdout", "info", "two and more") in lines
                assert ("stderr", "info", "three") in lines
                assert ("log", "info", "four") in lines and ("log", "warning", "five 5") in lines
                assert len(server.said(run_id, "progress")) <= 4
                assert server.said(run_id, "heartbeat")[-1].heartbeat == {"at": 7}

    run_async(body)
    assert "three" not in capsys.readouterr().err


def test_refused_completion_is_told_as_a_failure(stage: Any, run_async: Any) -> None:
    """A completion that the server refuses would leave the task running: it becomes a final failure with its words."""

    async def body() -> None:
        async with stage(count) as (server, worker):
            run_id = (server.assignment("count")).run_id
            following = f"run-{int(run_id.split('-')[1]) + 1}"
            server.answers[following] = ReportResult(ok=False, code="invalid_request", message="artifact name")
            await server.give("count", args={"text": "a"})
            failed = await server.until(lambda: server.said(following, "failed"))
            assert failed[0].error.final and failed[0].error.code == "invalid_request"
            await worker.drain()

    run_async(body)


@task
def copy(ctx: Context, source: File) -> File:
    content = ctx.open(source).read()
    (ctx.temp_dir / "x").write_bytes(content * 2)
    ctx.save("made/first.txt", b"first", metadata={"n": 1})
    return ctx.save("made/double.bin", ctx.temp_dir / "x")


@task
async def copy_in_loop(ctx: Context, source: File) -> File:
    return copy.fn(ctx, source)


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("handler", ["copy", "copy_in_loop"])
def test_files(stage: Any, run_async: Any, share: bool, handler: str) -> None:
    """Files are read and saved in the shared folder, or over HTTP with a cache; nothing temporary is left (R10)."""

    async def body() -> None:
        def prepare(server: Any) -> None:
            server.share = share

        async with stage(copy, copy_in_loop, prepare=prepare) as (server, worker):
            source = server.put("dev/default/.files/f1/content", b"abc")
            for _ in range(2):
                run_id = await server.give(handler, args={"source": source})
                end = await server.end_of(run_id)
                assert end.kind == "completed", end
                assert {artifact.name for artifact in end.artifacts} == {"made/first.txt", "made/double.bin"}
                assert end.artifacts[0].metadata == {"n": 1} and end.artifacts[0].content_type == "text/plain"
                assert end.result["$file"]["key"] == f".runs/{run_id}/made/double.bin"
                assert (server.objects / ".runs" / run_id / "made/double.bin").read_bytes() == b"abcabc"
            assert len(server.downloads) == (0 if share else 1), "the second time it comes from the cache"
            await worker.drain()
            work = next(server.objects.parent.glob("work"))
            assert not list(work.glob("w-*"))

    run_async(body)


@task
def bad_name(ctx: Context, name: str) -> None:
    ctx.save(name, b"x")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", "a/../../x", "a//b", "", ".", "a\\b", "a\nb", "manifest.json", ".runs/x"]
)
def test_names_that_no_artifact_may_have(stage: Any, run_async: Any, name: str) -> None:
    """A name cannot leave the attempt's folder; the failure is final, and files of a failed attempt are removed."""

    async def body() -> None:
        async with stage(bad_name) as (server, worker):
            run_id = await server.give("bad_name", args={"name": name})
            error = (await server.end_of(run_id)).error
            assert error.final and error.type == "ValueError"
            await worker.drain()
            assert not (server.objects / ".runs" / run_id).exists()

    run_async(body)


@task
def large(n: int) -> dict[str, Any]:
    return {"items": [{"i": i, "pad": "x" * 100} for i in range(n)], "n": n}


@task
def total(items: list[dict[str, Any]], n: int, one: dict[str, Any]) -> list[int]:
    return [len(items), n, one["i"]]


@pytest.mark.parametrize("share", [True, False])
def test_large_results_are_spilled_and_read_again(stage: Any, run_async: Any, share: bool) -> None:
    """A large result lies beside the files; needed paths and lengths travel; the next task reads it by reference."""

    async def body() -> None:
        def prepare(server: Any) -> None:
            server.share = share

        async with stage(large, total, prepare=prepare) as (server, _worker):
            run_id = await server.give("large", args={"n": 2000}, needed_paths=[["n"], ["items"], ["nothing"]])
            end = await server.end_of(run_id)
            spill = end.result["$spill"]
            assert spill["key"] == f".runs/{run_id}/result.json" and spill["inline"] == [[["n"], 2000]]
            assert spill["lengths"] == [[["items"], 2000]]
            part = lambda *path: {"$spill": {"key": spill["key"], "size_bytes": 1, "path": list(path)}}  # noqa: E731
            run_id = await server.give("total", args={"items": part("items"), "n": 2000, "one": part("items", 7)})
            assert (await server.end_of(run_id)).result == [2000, 2000, 7]
            run_id = await server.give("total", args={"items": part("itms"), "n": 1, "one": {}})
            assert (await server.end_of(run_id)).error.code == "binding_failed"

    run_async(body)


@task
def whisper(token: str) -> str:
    print("the token is", token)
    raise ValueError(f"{token} is wrong")


def test_secrets_are_resolved_here_and_never_told(stage: Any, run_async: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret comes from the worker's environment; its value is in no log line, message or traceback."""
    monkeypatch.setenv("ORPHEUS_SECRET_API", "hunter2-and-more")

    async def body() -> None:
        async with stage(whisper) as (server, _worker):
            run_id = await server.give("whisper", args={"token": {"$secret": "API"}})
            end = await server.end_of(run_id)
            told = repr(server.reports)
            assert "hunter2" not in told and "*** is wrong" in end.error.message
            assert server.log_of(run_id)[0].message == "the token is ***"
            run_id = await server.give("whisper", args={"token": {"$secret": "OTHER"}})
            error = (await server.end_of(run_id)).error
            assert error.final and "ORPHEUS_SECRET_OTHER" in error.hint

    run_async(body)


@task
def sign(ctx: Context, key: Sensitive[str], account: dict[str, Sensitive[int]]) -> str:
    ctx.progress(0.5, f"signing with {key}")
    print("the key is", key)
    raise ValueError(f"{key} does not fit {account}")


def test_sensitive_arguments_are_not_told(stage: Any, run_async: Any) -> None:
    """What a task's signature calls sensitive is in no log line, stage, message or traceback of its attempt."""

    async def body() -> None:
        async with stage(sign) as (server, _worker):
            run_id = await server.give("sign", args={"key": "hunter2-and-more", "account": {"pin": 998877}})
            error = (await server.end_of(run_id)).error
            assert error.message == "*** does not fit {'pin': ***}"
            assert "hunter2" not in repr(server.reports) and "998877" not in repr(server.reports)

    run_async(body)
