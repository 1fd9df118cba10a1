"""What does a one-task job cost a worker? `python benchmarks/worker_cost.py [jobs] [lines]`: CPU time, then bytecodes by function.

A whole worker, but for its connection: in its place stands a server that grants what is asked for and takes every end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from bytecodes import Count

from orpheus.protocol.worker import Assignment, Poll, PollReply, Report, ReportReply, ReportResult, Welcome
from orpheus.worker import turns
from orpheus.worker import worker as worker_module
from orpheus.worker.definitions import load_definitions
from orpheus.worker.main import _spare_the_collector
from orpheus.worker.options import WorkerOptions
from orpheus.worker.worker import Worker

GRANT = 400
CONCURRENCY = 100
ROUNDS, ROUND = 7, 20_000
TASKS = """
from orpheus import task

@task
async def noop(value: int) -> int:
    return value
"""


class Server(worker_module.Link):
    """The server, and the connection to it."""

    root = ""
    left = given = requests = 0
    spent_s = 0.0
    """What is not the worker's."""

    def __init__(self, *_: object) -> None:
        super().__init__("http://127.0.0.1:1", None)
        Server.only = self
        self.all_ended = asyncio.Event()
        self._ended = 0
        self._answered = PollReply(seq=0)
        self._news = asyncio.Event()

    async def give(self, jobs: int) -> None:
        """Grant so many tasks and wait for their ends."""
        self.all_ended.clear()
        self.left += jobs
        self._news.set()
        await self.all_ended.wait()

    async def hello(self, hello: Any) -> Welcome:
        return Welcome(
            protocol=hello.protocol,
            server="in memory",
            env="dev",
            lease_s=60,
            poll_wait_s=20,
            grace_s=5,
            poll_reports=True,
            objects_root=self.root,
            objects_probe="probe",
            objects_probe_text="shared",
        )

    async def poll(self, poll: Poll, *, wait_s: float) -> PollReply:
        self.requests += 1
        self._encoder.encode(poll)
        self._took(len(poll.reports))
        self._newest = poll
        self._news.set()
        await asyncio.sleep(0.004)
        if poll.seq == self._answered.seq:  # asked again while its answer was under way
            return PollReply(seq=poll.seq, tasks=self._answered.tasks, reported=[_TAKEN] * len(poll.reports))
        while self._newest is poll and not (self.left and poll.free) and not poll.reports:
            self._news.clear()
            await self._news.wait()
        if self._newest is not poll:
            return PollReply(seq=poll.seq, superseded=True, reported=[_TAKEN] * len(poll.reports))
        with self._aside():
            answer = self._grant(poll)
        self._answered = _POLLED.decode(answer)
        return self._answered

    async def report(self, report: Report) -> ReportReply:
        self.requests += 1
        self._encoder.encode(report)
        await asyncio.sleep(0.002)
        with self._aside():
            answer = msgspec.json.encode(ReportReply(items=[_TAKEN] * len(report.items)))
        self._took(len(report.items))
        return _REPORTED.decode(answer)

    async def bye(self, bye: Any) -> None:
        pass

    def _grant(self, poll: Poll) -> bytes:
        count = min(poll.free, GRANT, self.left)
        self.left -= count
        tasks = [_assignment(number) for number in range(self.given, self.given + count)]
        self.given += count
        return msgspec.json.encode(PollReply(seq=poll.seq, tasks=tasks, reported=[_TAKEN] * len(poll.reports)))

    def _took(self, count: int) -> None:
        self._ended += count
        if self._ended == self.given and not self.left:
            self.all_ended.set()

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        tracing, profiling = sys.gettrace(), sys.getprofile()
        sys.settrace(None)
        sys.setprofile(None)
        began = time.thread_time()
        try:
            yield
        finally:
            self.spent_s += time.thread_time() - began
            sys.settrace(tracing)
            sys.setprofile(profiling)


_POLLED = msgspec.json.Decoder(PollReply)
_REPORTED = msgspec.json.Decoder(ReportReply)
_TAKEN = ReportResult(ok=True)


def _assignment(number: int) -> Assignment:
    return Assignment(
        run_id=f"01a20390-7a7a-72e9-8000-{number:012x}",
        run_token="x" * 43,
        job_id=f"01a20390-7a7a-72e9-9000-{number:012x}",
        task="noop",
        index=None,
        handler="noop",
        version=1,
        attempt=1,
        max_retries=3,
        tenant="default",
        correlation_id="64af439d0fadc0a58c95b6f413bd27a1",
        traceparent="00-64af439d0fadc0a58c95b6f413bd27a1-c61f131cbde4ed87-01",
        args={"value": number},
        start_to_close_s=3600.0,
        object_prefix=f"dev/default/01a20390-7a7a-72e9-9000-{number:012x}",
    )


async def measure(jobs: int, lines: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Server.root = folder
        (Path(folder) / "probe").write_text("shared")
        tasks = Path(folder) / "tasks_of_the_benchmark.py"
        tasks.write_text(TASKS)
        worker_module.Link = Server  # type: ignore[misc]
        options = WorkerOptions(
            imports=(str(tasks),), concurrency=CONCURRENCY, prefetch=500, work_dir=Path(folder) / "work"
        )
        worker = Worker(options, load_definitions(options.imports))
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(0)
        server = Server.only
        await server.give(2000)
        _spare_the_collector()
        times = []
        for _ in range(ROUNDS):
            server.requests, server.spent_s, began = 0, 0.0, time.thread_time()
            collected = sum(generation["collections"] for generation in gc.get_stats())
            await server.give(ROUND)
            times.append((time.thread_time() - began - server.spent_s) / ROUND * 1e6)
        collected = sum(generation["collections"] for generation in gc.get_stats()) - collected
        print(f"CPU per job: {min(times):.1f} µs at least, median {sorted(times)[ROUNDS // 2]:.1f}", end="; ")
        print(f"{server.requests / ROUND:.4f} requests, {collected / ROUND:.5f} collections")
        count = Count()
        turns.TURN_S = 1.0  # counting slows everything down
        with count.counting():
            await server.give(jobs)
        count.show("worker", jobs, lines)
        worker.drain()
        await running


def main() -> None:
    numbers = [int(arg) for arg in sys.argv[1:]]
    jobs, lines = (*numbers, *(2000, 40)[len(numbers) :])
    uvloop.install()
    asyncio.run(measure(jobs, lines))


if __name__ == "__main__":
    main()
