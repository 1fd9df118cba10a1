"""R22 through our own worker: each kind of handler hands its work over, and another system answers."""

from __future__ import annotations

import pytest

FLOWS = """
import sys
from pathlib import Path

from orpheus import Context, Retry, task, wait_for_callback, workflow


def hand_over(ctx: Context, folder: str):
    ctx.save("asked.txt", f"attempt {ctx.attempt}".encode())
    Path(folder, ctx.job_id).write_text(ctx.callback_token())
    return wait_for_callback(timeout_s=60)


@task(retry=Retry(max_retries=1, initial_s=0, jitter=0))
async def in_loop(ctx: Context, folder: str) -> dict:
    return hand_over(ctx, folder)


@task(retry=Retry(max_retries=1, initial_s=0, jitter=0))
def in_thread(ctx: Context, folder: str) -> dict:
    return hand_over(ctx, folder)


@task(executor="process", retry=Retry(max_retries=1, initial_s=0, jitter=0))
def in_process(ctx: Context, folder: str) -> dict:
    return hand_over(ctx, folder)


@workflow
def loop(folder: str) -> dict:
    return in_loop(folder)


@workflow
def thread(folder: str) -> dict:
    return in_thread(folder)


@workflow
def process(folder: str) -> dict:
    return in_process(folder)
"""


@pytest.mark.parametrize("kind", ["loop", "thread", "process"])
def test_every_kind_of_handler_can_hand_over(server, real_worker, kit, tmp_path, kind):
    """The token works once the handler has given it away; an error makes another attempt with another token."""
    job = server.submit(kind, {"folder": str(tmp_path)})["job_id"]
    place = tmp_path / job
    first = kit.until(lambda: place.exists() and place.read_text())
    kit.until(lambda: server.task(job, f"in_{kind}")["state"] == "waiting")
    server.post(f"/callbacks/{first}", {"error": {"message": "not now"}})
    second = kit.until(lambda: (token := place.read_text()) != first and token)
    server.post(f"/callbacks/{second}", {"result": {"by": kind}})
    assert server.ended(job, "completed")["result"] == {"by": kind}
    assert server.http.get(f"/jobs/{job}/artifacts/asked.txt").text == "attempt 2"
