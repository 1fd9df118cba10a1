"""The rules through our own worker: what a handler's author sees of them."""

from __future__ import annotations

import signal

SETTINGS = {"lease_s": 2.0, "cancel_grace_s": 2.0}

FLOWS = '''
import asyncio
import logging
import os
from pathlib import Path

from orpheus import Context, File, Permanent, Retry, RetryAfter, first_of, optional, task, workflow


@task(retry=Retry(max_retries=3, initial_s=0.05, jitter=0))
def told(ctx: Context, mark: str) -> dict:
    """Says all that its context knows; fails once."""
    print("to stdout")
    logging.getLogger("mine").warning("to logging")
    ctx.log.info("to ctx.log")
    before = ctx.last_heartbeat
    ctx.heartbeat({"mark": mark})
    ctx.progress(0.5, "half")
    if ctx.attempt == 1:
        raise ValueError("first time")
    ctx.save("out/mark.txt", mark.encode(), metadata={"m": 1})
    ctx.save_json("out/mark.json", {"mark": mark})
    return {"attempt": ctx.attempt, "before": before, "correlation_id": ctx.correlation_id, "tenant": ctx.tenant,
            "job_id": ctx.job_id, "run_id": ctx.run_id, "task": ctx.task, "index": ctx.index}


@task
def permanent() -> None:
    raise Permanent("never")


@task
def later(ctx: Context) -> int:
    if ctx.attempt == 1:
        raise RetryAfter(0.2)
    return ctx.attempt


@task(retry=Retry(max_retries=1, initial_s=0))
def deadly(ctx: Context) -> None:
    """Kills its worker process."""
    os.kill(os.getpid(), 9)


@task(start_to_close_s=0.5, retry=Retry(max_retries=0))
async def slow() -> None:
    await asyncio.sleep(600)


@task
def double(x: int) -> int:
    return 2 * x


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@workflow
def telling(mark: str) -> dict:
    return told(mark)

@workflow
def never() -> None:
    permanent()

@workflow
def soon() -> int:
    return later()

@workflow
def crash() -> None:
    deadly()

@workflow
def long() -> None:
    slow()

@workflow
def doubled(numbers: list[int]) -> int:
    return total(double.map(numbers))
'''


def test_a_handler_sees_its_context_and_its_words_are_kept(server, real_worker, kit):
    """Formats (Context), R17, design section 5: correlation, attempt, heartbeat details, logs of every stream, files."""
    job = server.post("/jobs", {"workflow": "telling", "params": {"mark": "m1"}, "tenant": "acme"}, status=201,
                      headers={"X-Correlation-ID": "corr-7"})  # fmt: skip
    ended = server.ended(job["job_id"], "completed")
    task = server.task(job["job_id"], "told")
    assert ended["result"] == {
        **{"attempt": 2, "before": {"mark": "m1"}, "correlation_id": "corr-7", "tenant": "acme"},
        **{"job_id": job["job_id"], "run_id": task["run_id"], "task": "told", "index": None},
    }
    first = task["attempts"][0]
    assert (first["error"]["type"], first["error"]["message"]) == ("ValueError", "first time")
    assert {one["name"] for one in ended["artifacts"]} == {"out/mark.txt", "out/mark.json"}

    def said() -> set[tuple[int, str]]:
        lines = server.get(f"/jobs/{job['job_id']}/logs")["items"]
        return {(line["attempt"], line["message"]) for line in lines}

    wanted = {(attempt, text) for attempt in (1, 2) for text in ("to stdout", "to logging", "to ctx.log")}
    kit.until(lambda: wanted <= said())


def test_permanent_and_retry_after(server, real_worker, kit):
    """R17: `Permanent` ends at the first attempt, `RetryAfter(s)` sets the wait."""
    ended = server.ended(server.submit("never")["job_id"], "failed")
    assert (ended["error"]["message"], server.task(ended["job_id"], "permanent")["attempt"]) == ("never", 1)
    ended = server.ended(server.submit("soon")["job_id"], "completed")
    assert ended["result"] == 2
    [event] = [event for event in server.events(ended["job_id"]) if event["type"] == "task.retrying"]
    assert event["data"]["wait_s"] == 0.2


def test_a_map_in_python(server, real_worker, kit):
    """R13 through the authoring side, an empty one too; params that do not fit name the field."""
    for numbers, result in (([1, 2, 3], 12), ([], 0)):
        assert server.ended(server.submit("doubled", {"numbers": numbers})["job_id"], "completed")["result"] == result
    refused = server.submit("doubled", {"numbers": [1, "x"]}, status=422)
    assert (refused["code"], refused["details"][0]["path"]) == ("invalid_params", "/params/numbers/1")


def test_a_handler_past_its_time_is_stopped(server, real_worker, kit):
    """R5: `timeout_start_to_close`, and the worker is free again."""
    ended = server.ended(server.submit("long")["job_id"], "failed")
    assert ended["error"]["code"] == "timeout_start_to_close"
    kit.until(lambda: all(row["running"] == 0 for row in server.get("/workers")["items"] if row["alive"]))


def test_a_restart_of_the_server_loses_no_work(server, real_worker, kit):
    """R7, promise 1: SIGKILL while jobs run; the worker keeps its work, comes back and reports."""
    jobs = [server.submit("doubled", {"numbers": list(range(20))})["job_id"] for _ in range(5)]
    server.kill()
    server.start()
    for job_id in jobs:
        assert server.ended(job_id, "completed")["result"] == 380


def test_a_job_that_kills_its_worker_ends_as_failed(server, real_worker, kit):
    """R9, promise 3: each lost worker costs one attempt; last here, as it takes the module's worker with it."""
    job_id = server.submit("crash")["job_id"]
    kit.until(lambda: real_worker.poll() is not None)
    assert real_worker.returncode == -signal.SIGKILL
    second = kit.start_worker(server, wait=False)  # it may be dead before it can be seen
    kit.until(lambda: second.poll() is not None, 60)
    ended = server.ended(job_id, "failed")
    assert (ended["error"]["code"], ended["error"]["task"]) == ("worker_lost", "deadly")
    attempts = server.task(job_id, "deadly")["attempts"]
    assert [(one["attempt"], one["outcome"]) for one in attempts] == [(1, "lost"), (2, "lost")]
