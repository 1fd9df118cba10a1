"""A worker written in another language, from docs/worker-protocol.md alone, does what ours does."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "worker.mjs"

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node 18 or newer, which is not installed")


def test_example_worker(stage: Any, run_async: Any) -> None:
    """Claim, progress, log, upload, result, failure, cancel, hello again, drain."""

    async def body() -> None:
        async with stage() as (server, worker):
            await server.until(lambda: server.hellos)
            await worker.drain()
            server.forget_session()
            process = await asyncio.create_subprocess_exec("node", str(EXAMPLE), server.url)
            try:
                await server.until(lambda: len(server.hellos) == 2)
                assert {spec.name for spec in server.hellos[1].tasks} == {"js_shout", "js_wait"}
                run_id = await server.give("js_shout", args={"text": "hello", "times": 2})
                end = await server.end_of(run_id)
                assert end.kind == "completed" and end.result == {"shouted": "HELLO HELLO", "attempt": 1}
                assert (server.objects / ".runs" / run_id / "shout.txt").read_bytes() == b"HELLO HELLO"
                assert end.artifacts[0].size_bytes == 11
                assert server.log_of(run_id)[0].message == "shouting 2 times"
                assert server.said(run_id, "progress")[0].fraction == 0.5
                large = await server.end_of(
                    await server.give("js_shout", args={"text": "x" * 70_000}, needed_paths=[["attempt"]])
                )
                assert large.result["$spill"]["inline"] == [[["attempt"], 1]]
                failed = await server.end_of(await server.give("js_shout", args={"text": 1}))
                assert failed.error.final and failed.error.message == "text has to be a string"
                waiting = await server.give("js_wait", args={"seconds": 60})
                await server.until(lambda: waiting in server.polls[-1].held)
                await server.cancel(waiting)
                assert (await server.end_of(waiting)).kind == "cancelled"
                waiting = await server.give("js_wait", args={"seconds": 1})
                await server.until(lambda: waiting in server.polls[-1].held)
                server.forget_session()
                assert (await server.end_of(waiting)).kind == "completed"
                assert server.hellos[-1].held == [waiting] and len(server.hellos) == 3
                assert server.returned == []
                byes = len(server.byes)
                process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(process.wait(), 10) == 0
                assert len(server.byes) == byes + 1
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    run_async(body)
