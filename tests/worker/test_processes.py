"""Handlers in child processes, and programs that handlers run: isolation, log, death, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orpheus.authoring.context import Context, ProcessFailed
from orpheus.authoring.registry import load
from orpheus.authoring.task import Task, task
from orpheus.worker.devices import visible_devices

FLOWS = """
    import os, signal, subprocess, sys, time

    @task(executor="process")
    def square(ctx: Context, n: int) -> dict:
        print("squaring", n)
        os.write(2, b"from native code\\n")
        ctx.log.info("logged")
        ctx.progress(0.5, "half")
        ctx.save("square.txt", str(n * n).encode())
        return {"square": n * n, "pid": os.getpid(), "devices": list(ctx.devices),
                "cuda": os.environ.get("CUDA_VISIBLE_DEVICES")}

    @task(executor="process")
    async def square_async(n: int) -> int:
        return n * n

    @task(resources={"gpu": 1})
    def on_gpu(ctx: Context) -> dict:
        return {"pid": os.getpid(), "devices": list(ctx.devices), "cuda": os.environ.get("CUDA_VISIBLE_DEVICES")}

    @task(executor="process")
    def pay(ctx: Context, how: str) -> None:
        ctx.spend(0.25)
        ctx.spend(0.5)
        if how == "kill":
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "raise":
            ctx.spend(-1)

    @task
    def pay_here(ctx: Context) -> None:
        ctx.spend(2)

    @task(executor="process")
    def die(how: str) -> None:
        print("last words")
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "exit":
            os._exit(3)
        if how == "sysexit":
            sys.exit(4)
        if how == "memory":
            bytearray(1 << 40)

    @task(executor="process")
    def linger(ctx: Context, stubborn: bool, where: str) -> None:
        ctx.run_process([sys.executable, "-c", f"import os,time; open({where!r},'w').write(str(os.getpid())); time.sleep(60)"]) \\
            if not stubborn else None
        own = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open(where, "w").write(str(own.pid))
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass

    @task(executor="process")
    def tell(ctx: Context, token: str, key: Sensitive[str]) -> None:
        print("printed", token, key)
        os.write(2, f"written {token} {key}\\n".encode())
        ctx.log.info("logged %s %s", token, key)
        raise ValueError("x" * 4090 + token + key)

    @task(executor="process")
    def tidy(where: str) -> None:
        open(where, "w").write("begun")
        try:
            time.sleep(60)
        finally:
            open(where, "w").write("tidied")
"""


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


async def until(condition: Callable[[], Any], timeout_s: float = 10) -> Any:
    async with asyncio.timeout(timeout_s):
        while not (found := condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


@pytest.fixture
def flows(module: Any) -> Any:
    path = module(FLOWS)
    registry = load([str(path)])
    return str(path), [Task(definition) for definition in registry.tasks.values()]


def test_a_child_makes_attempts(flows: Any, stage: Any, run_async: Any) -> None:
    """Results, artifacts, progress, log and raw output come back; the child is used again."""
    path, tasks = flows

    async def body() -> None:
        async with stage(*tasks, imports=(path,)) as (server, worker):
            run_id = await server.give("square", args={"n": 7})
            end = await server.end_of(run_id)
            assert end.kind == "completed", end
            assert end.result["square"] == 49 and end.result["pid"] != os.getpid()
            assert (server.objects / ".runs" / run_id / "square.txt").read_bytes() == b"49"
            lines = {(line.stream, line.message) for line in server.log_of(run_id)}
            assert {("stdout", "squaring 7"), ("stderr", "from native code"), ("log", "logged")} <= lines
            again = await server.end_of(await server.give("square", args={"n": 8}))
            assert again.result["pid"] == end.result["pid"]
            assert (await server.end_of(await server.give("square_async", args={"n": 3}))).result == 9
            await worker.drain()
            assert not alive(end.result["pid"])

    run_async(body)


def test_what_an_attempt_has_spent_is_reported_with_its_end(flows: Any, stage: Any, run_async: Any) -> None:
    """However it ends, in a child and in the worker itself; one that says nothing reports nothing."""
    path, tasks = flows

    async def body() -> None:
        async with stage(*tasks, imports=(path,)) as (server, _worker):
            ends = [await server.end_of(await server.give("pay", args={"how": how})) for how in ("", "kill", "raise")]
            assert [(end.kind, end.price) for end in ends] == [("completed", 0.75), ("failed", 0.75), ("failed", 0.75)]
            assert "an amount is a number" in ends[2].error.message
            assert (await server.end_of(await server.give("pay_here"))).price == 2
            assert (await server.end_of(await server.give("square", args={"n": 1}))).price is None

    run_async(body)


def test_a_child_tells_no_secret(flows: Any, stage: Any, run_async: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets and sensitive arguments are in no line, message or traceback, also where a long message is cut."""
    path, tasks = flows
    monkeypatch.setenv("ORPHEUS_SECRET_API", "hunter2-and-more")

    async def body() -> None:
        async with stage(*tasks, imports=(path,)) as (server, _worker):
            run_id = await server.give("tell", args={"token": {"$secret": "API"}, "key": "swordfish"})
            error = (await server.end_of(run_id)).error
            assert error.message == "x" * 4090 + "******" and "ValueError" in error.traceback
            lines = {line.message for line in server.log_of(run_id)}
            assert {"printed *** ***", "written *** ***", "logged *** ***"} <= lines
            told = repr(server.reports)
            assert "hunter2" not in told and "swordfi" not in told

    run_async(body)


@pytest.mark.parametrize(
    ("how", "message"),
    [("kill", "SIGKILL"), ("exit", "exit status 3"), ("sysexit", "exit(4)"), ("memory", "MemoryError")],
)
def test_a_child_that_dies_fails_only_its_attempt(
    flows: Any, stage: Any, run_async: Any, how: str, message: str
) -> None:
    """The error names the signal or status; the log keeps the last words; the worker goes on with another child."""
    path, tasks = flows

    async def body() -> None:
        async with stage(*tasks, imports=(path,), child_memory_bytes=1 << 33) as (server, _worker):
            run_id = await server.give("die", args={"how": how})
            end = await server.end_of(run_id)
            assert end.kind == "failed" and message in end.error.message, end.error
            assert not end.error.final
            assert "last words" in {line.message for line in server.log_of(run_id)}
            assert (await server.end_of(await server.give("square", args={"n": 2}))).result["square"] == 4

    run_async(body)


@pytest.mark.parametrize("stubborn", [True, False])
def test_cancel_reaches_the_last_grandchild(
    flows: Any, stage: Any, run_async: Any, tmp_path: Path, stubborn: bool
) -> None:
    """Promise 4: a cancelled attempt's programs are gone, its own children too, even when the handler resists."""
    path, tasks = flows
    where = tmp_path / "pid"

    async def body() -> None:
        async with stage(*tasks, imports=(path,)) as (server, _worker):
            run_id = await server.give("linger", args={"stubborn": stubborn, "where": str(where)})
            pid = int(await until(lambda: where.exists() and where.read_text()))
            began = time.monotonic()
            await server.cancel(run_id, grace_s=1.5)
            assert (await server.end_of(run_id)).kind == "cancelled"
            assert time.monotonic() - began < 1.5 + 0.5
            await until(lambda: not alive(pid), 2)
            assert (await server.end_of(await server.give("square", args={"n": 2}))).kind == "completed"

    run_async(body)


@task
def blocked(where: str) -> None:
    program = subprocess.Popen(f"sleep 61 & echo $! > {where}; sleep 62", shell=True)
    program.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps the children of each thread apart")
def test_cancel_ends_what_a_plain_handler_is_blocked_in(stage: Any, run_async: Any, tmp_path: Path) -> None:
    """A program that a thread started by itself, and what that started, is gone within the grace, and the slot is free
    again (promise 4)."""
    where = tmp_path / "pid"

    async def body() -> None:
        async with stage(blocked) as (server, _worker):
            run_id = await server.give("blocked", args={"where": str(where)})
            pid = int(await until(lambda: where.exists() and where.read_text()))
            began = time.monotonic()
            await server.cancel(run_id, grace_s=2.0)
            assert (await server.end_of(run_id)).kind == "cancelled"
            await until(lambda: not alive(pid), 3)
            assert time.monotonic() - began < 2.0

    run_async(body)


def test_a_cancelled_child_may_tidy_up(flows: Any, stage: Any, run_async: Any, tmp_path: Path) -> None:
    """The handler meets Cancelled in its main thread, whatever it waits for, and its `finally` runs."""
    path, tasks = flows
    where = tmp_path / "tidied"

    async def body() -> None:
        async with stage(*tasks, imports=(path,)) as (server, _worker):
            run_id = await server.give("tidy", args={"where": str(where)})
            await until(lambda: where.exists() and where.read_text() == "begun")
            await server.cancel(run_id)
            assert (await server.end_of(run_id)).kind == "cancelled"
            assert where.read_text() == "tidied"

    run_async(body)


def test_devices_are_isolated(flows: Any, stage: Any, run_async: Any) -> None:
    """A task with a GPU runs in a process that sees only its device; another task's process sees none."""
    path, tasks = flows

    async def body() -> None:
        async with stage(*tasks, imports=(path,), resources={"gpu": 2}) as (server, _worker):
            runs = [await server.give("on_gpu", resources={"gpu": 1}) for _ in range(2)]
            results = [(await server.end_of(run_id)).result for run_id in runs]
            assert sorted(result["cuda"] for result in results) == ["0", "1"]
            assert all([result["cuda"]] == [str(device) for device in result["devices"]] for result in results)
            assert len({result["pid"] for result in results}) == 2
            both = await server.end_of(await server.give("on_gpu", resources={"gpu": 2}))
            assert both.result["cuda"] == "0,1" and both.result["pid"] not in {result["pid"] for result in results}
            none = await server.end_of(await server.give("square", args={"n": 1}))
            assert none.result["cuda"] == ""
            assert server.polls[-1].resources_free == {"gpu": 2}

    run_async(body)


def test_a_worker_lends_the_devices_it_was_given(
    flows: Any, stage: Any, run_async: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several workers on one machine: each is started with the devices it may lend, and its indices count among these."""
    path, tasks = flows
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5ea, 3")

    async def body() -> None:
        async with stage(*tasks, imports=(path,), resources={"gpu": 2}) as (server, _worker):
            runs = [await server.give("on_gpu", resources={"gpu": 1}) for _ in range(2)]
            results = [(await server.end_of(run_id)).result for run_id in runs]
            assert sorted((result["cuda"], result["devices"]) for result in results) == [("3", [1]), ("GPU-5ea", [0])]

    run_async(body)
    with pytest.raises(ValueError, match="gpu=3 cannot be lent: CUDA_VISIBLE_DEVICES names 2"):
        visible_devices({"gpu": 3})
    assert visible_devices({"gpu": 2}, {}) == ("0", "1")
    assert visible_devices({"vram_mb": 5}) == ()


@pytest.mark.parametrize("stubborn", [True, False])
def test_a_device_comes_back_when_its_process_is_gone(
    flows: Any, stage: Any, run_async: Any, tmp_path: Path, stubborn: bool
) -> None:
    """Cancelled, even by force, with what it started: no second attempt ever shares the device with the first."""
    path, tasks = flows
    where = tmp_path / "pid"

    async def body() -> None:
        async with stage(*tasks, imports=(path,), resources={"gpu": 1}, concurrency=2) as (server, _worker):
            first = await server.give("linger", args={"stubborn": stubborn, "where": str(where)}, resources={"gpu": 1})
            await until(lambda: where.exists() and where.read_text().isdigit())
            second = await server.give("on_gpu", resources={"gpu": 1})  # waits for the device
            await asyncio.sleep(0.3)
            assert not server.said(second, "completed")
            await server.cancel(first, grace_s=1.0)
            result = (await server.end_of(second)).result
            assert result["devices"] == [0] and not alive(int(where.read_text()))
            await until(lambda: server.polls[-1].resources_free == {"gpu": 1})

    run_async(body)


@task
def stays(ctx: Context, where: str) -> None:
    while not Path(where).exists():
        with contextlib.suppress(BaseException):
            time.sleep(0.02)


def test_a_handler_that_does_not_stop_keeps_what_it_leased(stage: Any, run_async: Any, tmp_path: Path) -> None:
    """A thread cannot be ended: its memory is lent to nobody until it is really over."""
    where = tmp_path / "go"

    async def body() -> None:
        async with stage(stays, resources={"vram_mb": 100}, concurrency=2) as (server, _worker):
            run_id = await server.give("stays", args={"where": str(where)}, resources={"vram_mb": 60})
            await until(lambda: server.polls and server.polls[-1].resources_free == {"vram_mb": 40})
            await server.cancel(run_id, grace_s=0.2)
            assert (await server.end_of(run_id)).kind in ("cancelled", "failed")
            await asyncio.sleep(0.3)
            assert server.polls[-1].resources_free == {"vram_mb": 40}
            where.touch()
            await until(lambda: server.polls[-1].resources_free == {"vram_mb": 100})

    run_async(body)


@task
def program(ctx: Context, code: str, timeout_s: float | None = None) -> dict[str, Any]:
    lines: list[str] = []
    result = ctx.run_process([sys.executable, "-c", code], on_line=lines.append, timeout_s=timeout_s, stdin=b"in")
    return {"lines": lines, "code": result.returncode, "out": result.stdout}


@task
async def program_in_loop(ctx: Context, code: str, timeout_s: float | None = None) -> dict[str, Any]:
    lines: list[str] = []
    try:
        result = await ctx.run_process(
            [sys.executable, "-c", code], on_line=lines.append, timeout_s=timeout_s, stdin=b"in"
        )
    except ProcessFailed as failed:
        raise RuntimeError(str(failed)) from failed
    return {"lines": lines, "code": result.returncode, "out": result.stdout}


@pytest.mark.parametrize("handler", ["program", "program_in_loop"])
def test_run_process(stage: Any, run_async: Any, handler: str) -> None:
    """Lines arrive in order; a bad status and the time limit are failures that say so; a cancel ends the program."""

    async def body() -> None:
        async with stage(program, program_in_loop) as (server, _worker):

            async def end(code: str, **args: Any) -> Any:
                return await server.end_of(await server.give(handler, args={"code": code, **args}))

            done = await end("import sys; print(sys.stdin.read()); print('x\\ry')")
            assert done.result["lines"] == ["in", "x", "y"] and done.result["code"] == 0
            failed = await end("import sys; sys.stderr.write('the reason'); sys.exit(3)")
            assert "exit status 3" in failed.error.message and "the reason" in failed.error.message
            late = await end("import time; time.sleep(60)", timeout_s=0.3)
            assert "time limit of 0.3 s" in late.error.message
            code = "import os,time; print(os.getpid(), flush=True); time.sleep(60)"
            run_id = await server.give(handler, args={"code": code})
            await asyncio.sleep(0.5)
            began = time.monotonic()
            await server.cancel(run_id)
            assert (await server.end_of(run_id)).kind == "cancelled"
            assert time.monotonic() - began < 1.5

    run_async(body)


def test_killed_worker_leaves_no_programs(tmp_path: Path, module: Any, stage: Any, run_async: Any) -> None:
    """SIGKILL of the worker process: its child processes and the programs that handlers started are gone soon after."""
    path = module(
        """
        import sys

        @task
        def wait(ctx: Context, where: str) -> None:
            ctx.run_process([sys.executable, "-c", f"import os,time; open({where!r},'w').write(str(os.getpid())); time.sleep(60)"])

        @task(executor="process")
        def wait_in_child(where: str) -> None:
            import os, time
            open(where, "w").write(str(os.getpid()))
            time.sleep(60)
        """
    )

    async def body() -> None:
        async with stage() as (server, worker):
            await server.until(lambda: server.hellos)
            await worker.drain()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "orpheus.worker",
                f'{{"server": "{server.url}", "imports": ["{path}"], "work_dir": "{tmp_path / "w2"}"}}',
            )  # fmt: skip
            await server.until(lambda: len(server.hellos) == 2)
            a, b = tmp_path / "a", tmp_path / "b"
            await server.give("wait", args={"where": str(a)})
            await server.give("wait_in_child", args={"where": str(b)})
            pids = [int(await until(lambda where=where: where.exists() and where.read_text())) for where in (a, b)]
            assert all(alive(pid) for pid in pids)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await until(lambda: not any(alive(pid) for pid in pids), 5)

    run_async(body)
