"""What a worker does when the server is slow, gone, forgetful, or wants something back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orpheus.authoring.context import Context
from orpheus.authoring.task import task
from orpheus.protocol.worker import CancelNotice
from orpheus.worker.time_limits import MARGIN_S as LIMIT_MARGIN_S

gate = threading.Event()


@task
def waits(ctx: Context) -> str:
    while not gate.wait(0.02):
        ctx.progress(0.5)
    return "done"


@task
async def sleeps(ctx: Context, seconds: float = 60.0) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@task
def stubborn() -> str:
    gate.wait(20)
    return "late"


@task
def quick(n: int = 0) -> int:
    return n


@pytest.fixture(autouse=True)
def shut() -> Any:
    gate.clear()
    yield
    gate.set()


def test_more_room_supersedes_the_waiting_poll(stage: Any, run_async: Any) -> None:
    """When a slot becomes free while a poll waits with fewer, the same seq is asked again with more (R8)."""

    async def body() -> None:
        async with stage(sleeps, quick, concurrency=2) as (server, _worker):
            first = await server.give("sleeps", args={"seconds": 0.4})
            await server.until(lambda: server.polls and server.polls[-1].free == 1 and first in server.polls[-1].held)
            waiting = server.polls[-1].seq
            await server.end_of(first)
            await server.until(lambda: server.polls[-1].free == 2)
            assert server.polls[-1].seq == waiting, "asked again under the same number"
            runs = [await server.give("quick", args={"n": n}) for n in range(10)]
            assert [(await server.end_of(run_id)).result for run_id in runs] == list(range(10))
            assert server.returned == []

    run_async(body)


def test_lost_answer_is_asked_for_again(stage: Any, run_async: Any) -> None:
    """A poll whose answer never arrived is repeated with its seq, and gets the same grant (R8)."""

    async def body() -> None:
        async with stage(quick) as (server, _worker):
            await server.until(lambda: server.polls)
            server.lose_answers = 1
            run_id = await server.give("quick", args={"n": 5})
            assert (await server.end_of(run_id)).result == 5
            assert server.returned == [] and len(server.said(run_id, "completed")) == 1

    run_async(body)


def test_work_survives_the_server(stage: Any, run_async: Any) -> None:
    """The server goes away and comes back without its sessions: hello again with what is held, then the report."""

    async def body() -> None:
        async with stage(waits) as (server, _worker):
            run_id = await server.give("waits")
            await server.until(lambda: any(run_id in poll.held for poll in server.polls))
            server.down = True
            async with server._changed:
                server._latest = -1
                server._changed.notify_all()
            gate.set()
            await asyncio.sleep(0.5)
            assert not server.said(run_id, "completed")
            server.forget_session()
            server.down = False
            assert (await server.end_of(run_id)).result == "done"
            assert len(server.hellos) == 2 and server.hellos[1].held == [run_id]
            assert server.hellos[1].session_id == server.hellos[0].session_id

    run_async(body)


@pytest.mark.parametrize("handler", ["sleeps", "waits", "stubborn"])
def test_cancel(stage: Any, run_async: Any, handler: str) -> None:
    """R18: a cancel is told as `cancelled` within the grace; a handler that resists is abandoned but keeps its slot."""

    async def body() -> None:
        async with stage(sleeps, waits, stubborn, concurrency=1) as (server, worker):
            run_id = await server.give(handler)
            await server.until(lambda: any(run_id in poll.held for poll in server.polls))
            began = time.monotonic()
            await server.cancel(run_id, grace_s=1.0)
            assert (await server.end_of(run_id)).kind == "cancelled"
            assert time.monotonic() - began < 1.2
            if handler == "stubborn":
                await asyncio.sleep(0.3)
                assert server.polls[-1].free == 0, "its thread still runs"
                gate.set()
            await server.until(lambda: server.polls[-1].free == 1)
            async with asyncio.timeout(5):
                while worker.worker._runs.held:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    run_async(body)


def test_completion_after_a_cancel_is_told_as_completed(stage: Any, run_async: Any) -> None:
    """R18: what finished in between is reported as it is; the server decides what it counts for."""

    async def body() -> None:
        async with stage(stubborn) as (server, _worker):
            run_id = await server.give("stubborn")
            await server.until(lambda: any(run_id in poll.held for poll in server.polls))
            await server.cancel(run_id, grace_s=5)
            await asyncio.sleep(0.2)
            gate.set()
            assert (await server.end_of(run_id)).kind == "completed"

    run_async(body)


def test_start_to_close(stage: Any, run_async: Any) -> None:
    """The worker ends an attempt at its time limit, and says which limit it was; but a server that can be heard has
    said so before, or each time-out would end with a report that comes too late."""

    async def body() -> None:
        async with stage(sleeps, waits) as (server, _worker):
            begun = time.monotonic()
            runs = [await server.give(handler, start_to_close_s=0.3) for handler in ("sleeps", "waits")]
            for run_id in runs:
                error = (await server.end_of(run_id)).error
                assert error.code == "timeout_start_to_close" and not error.final
                assert time.monotonic() - begun >= 0.3 + LIMIT_MARGIN_S

    run_async(body)


def test_unknown_run_is_abandoned_in_silence(stage: Any, run_async: Any) -> None:
    """R6: a run that is no longer current is stopped, forgotten and not reported."""

    async def body() -> None:
        async with stage(sleeps, quick) as (server, _worker):
            run_id = await server.give("sleeps")
            await server.until(lambda: any(run_id in poll.held for poll in server.polls))
            async with server._changed:
                server.unknown.append(run_id)
                server._changed.notify_all()
            await server.until(lambda: run_id not in server.polls[-1].held)
            await server.end_of(await server.give("quick"))
            assert not [item for item in server.reports if item.run_id == run_id]

    run_async(body)


def test_blocking_handler_is_named(stage: Any, tmp_path: Path, module: Any, run_async: Any) -> None:
    """In a process of its own (the test's loop must not be the blocked one): beats go on, and the log names the line."""
    path = module(
        """
        import time

        @task
        async def blocks() -> str:
            time.sleep(2.5)
            return "blocked"
        """
    )

    async def body() -> None:
        def prepare(server: Any) -> None:
            server.lease_s = 1.5

        async with stage(prepare=prepare) as (server, worker):
            await server.until(lambda: server.hellos)
            await worker.drain()
            server.forget_session()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "orpheus.worker",
                f'{{"server": "{server.url}", "imports": ["{path}"], "work_dir": "{tmp_path / "w2"}"}}',
            )  # fmt: skip
            await server.until(lambda: len(server.hellos) == 2)
            run_id = await server.give("blocks")
            assert (await server.end_of(run_id)).kind == "completed"
            assert len([beat for beat in server.heartbeats if run_id in beat.held]) >= 3
            messages = [line.message for line in server.log_of(run_id)]
            assert any("blocked the event loop" in message and "time.sleep(2.5)" in message for message in messages), (
                messages
            )
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0

    run_async(body)


@pytest.mark.parametrize("handler", ["sleeps", "waits"])
def test_lost_contact_stops_own_work(stage: Any, run_async: Any, handler: str) -> None:
    """R7: without contact, work stops at lease minus margin, and is reported as lost when the server is back."""

    async def body() -> None:
        def prepare(server: Any) -> None:
            server.lease_s = 1.5

        async with stage(sleeps, waits, prepare=prepare) as (server, _worker):
            run_id = await server.give(handler)
            await server.until(lambda: any(run_id in poll.held for poll in server.polls))
            server.down = True
            async with server._changed:
                server._latest = -1
                server._changed.notify_all()
            await asyncio.sleep(2.0)
            server.down = False
            error = (await server.end_of(run_id)).error
            assert error.code == "worker_lost" and not error.final

    run_async(body)


def test_heartbeat_brings_cancellations(stage: Any, run_async: Any) -> None:
    """A cancel may come with the answer to a heartbeat as well."""

    async def body() -> None:
        def prepare(server: Any) -> None:
            server.lease_s = 0.9

        async with stage(sleeps, prepare=prepare) as (server, _worker):
            run_id = await server.give("sleeps")
            await server.until(lambda: any(run_id in poll.held for poll in server.polls))
            server.beat_cancels.append(CancelNotice(run_id=run_id, grace_s=1))
            assert (await server.end_of(run_id)).kind == "cancelled"

    run_async(body)


def test_drain_finishes_what_runs(stage: Any, run_async: Any) -> None:
    """A drain takes nothing new, lets running work end and reports it, then says goodbye."""

    async def body() -> None:
        async with stage(sleeps) as (server, worker):
            run_id = await server.give("sleeps", args={"seconds": 0.5})
            await server.until(lambda: any(run_id in poll.held for poll in server.polls))
            worker.worker.drain()
            await server.until(lambda: server.polls[-1].free == 0)
            late = await server.give("sleeps", args={"seconds": 0})
            await asyncio.wait_for(worker.task, 10)
            assert server.said(run_id, "completed") and not server.said(late, "completed")
            assert len(server.byes) == 1 and server.returned == []

    run_async(body)


def test_drain_gives_back_what_does_not_end(stage: Any, run_async: Any) -> None:
    """After the drain time work is stopped and left out of the last poll: it returns to its queue unspent (R8)."""

    async def body() -> None:
        async with stage(sleeps, waits, drain_s=0.2) as (server, worker):
            runs = [await server.give("sleeps"), await server.give("waits")]
            await server.until(lambda: server.polls and all(run_id in server.polls[-1].held for run_id in runs))
            await worker.drain()
            assert sorted(server.returned) == sorted(runs)
            assert not [item for item in server.reports if item.kind in ("failed", "cancelled", "completed")]
            assert len(server.byes) == 1

    run_async(body)


def test_drain_gives_back_what_has_not_begun(stage: Any, run_async: Any) -> None:
    """What was prefetched and waits for its slot goes back at once when a drain begins."""

    async def body() -> None:
        async with stage(sleeps, concurrency=1, prefetch=2) as (server, worker):
            runs = [await server.give("sleeps", args={"seconds": 0.5}) for _ in range(3)]
            await server.until(lambda: server.polls and len(server.polls[-1].held) == 3)
            await worker.drain()
            assert [item.run_id for item in server.reports if item.kind == "completed"] == runs[:1]
            assert sorted(server.returned) == runs[1:]

    run_async(body)


def test_signals(stage: Any, tmp_path: Path, module: Any, run_async: Any) -> None:
    """SIGTERM drains; a second one ends the process at once; refusals and broken modules have their exit statuses."""
    path = module(
        """
        import time

        @task
        def waits() -> None:
            time.sleep(60)
        """
    )

    async def body() -> None:
        async with stage() as (server, worker):
            await server.until(lambda: server.hellos)
            await worker.drain()

            async def start(imports: str) -> asyncio.subprocess.Process:
                server.forget_session()
                return await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "orpheus.worker",
                    f'{{"server": "{server.url}", "imports": ["{imports}"], "work_dir": "{tmp_path / "w2"}", "log_json": true}}',
                )  # fmt: skip

            process = await start(str(path))
            await server.until(lambda: len(server.hellos) == 2)
            run_id = await server.give("waits")
            await server.until(lambda: run_id in server.polls[-1].held)
            process.send_signal(signal.SIGTERM)
            await server.until(lambda: server.polls[-1].free == 0)
            assert process.returncode is None
            process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(process.wait(), 5) == 130
            assert await (await start(str(tmp_path / "missing.py"))).wait() == 2
            server.refuse["/worker/hello"] = (401, {"code": "unauthorized", "message": "a key is needed"})
            assert await (await start(str(path))).wait() == 1

    run_async(body)


def test_reports_gather_while_one_is_in_flight(stage: Any, run_async: Any) -> None:
    """What ended while a report was under way goes together in the next (the way of R3)."""

    async def body() -> None:
        async with stage(quick, concurrency=50) as (server, _worker):
            runs = [await server.give("quick", args={"n": n}) for n in range(300)]
            await server.until(lambda: len([item for item in server.reports if item.kind == "completed"]) == 300)
            assert {item.run_id for item in server.reports if item.kind == "completed"} == set(runs)
            assert len(server.report_batches) < 200

    run_async(body)


def test_pid_of_this_process_is_told(stage: Any, run_async: Any) -> None:
    """The hello says who we are, so that a person finds the process."""

    async def body() -> None:
        async with stage(quick, name="box-7", queues=("gpu",), supervised=True) as (server, _worker):
            await server.until(lambda: server.hellos)
            hello = server.hellos[0]
            assert (hello.worker, hello.pid, hello.queues, hello.supervised) == ("box-7", os.getpid(), ["gpu"], True)

    run_async(body)
