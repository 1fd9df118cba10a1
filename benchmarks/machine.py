"""What does a one-task job cost in the engine alone? `python benchmarks/machine.py [jobs] [--profile]`

Core, engine and store on a real file at synchronous=FULL, on one thread, without HTTP: jobs are submitted in batches, claimed by
one session with free slots and reported in batches, as a busy server does. Prints CPU microseconds per job, and of these what
is spent in COMMIT. With `--profile` cProfile's view of it.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from orpheus.core.errors import OrpheusError
from orpheus.engine.base import PollAnswer, RunReport, Submission, WorkerHello
from orpheus.engine.clock import Clock, SystemClock
from orpheus.engine.collector import collect_rarely
from orpheus.engine.machine import Machine
from orpheus.engine.submissions import Submit, prepare
from orpheus.store import Store
from orpheus.store.library import count_no_memory

SLOTS = 100
BATCH = 250
GRAPH = {
    "format": 1,
    "name": "one",
    "version": 1,
    "params": {"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]},
    "nodes": [{"name": "noop", "kind": "task", "task": "noop", "version": 1, "args": {"value": {"$param": "value"}}}],
    "output": {"$ref": "noop"},
}


class Driver:
    """A machine, a client and a worker in one loop."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.store = Store.open(folder / "orpheus.db", now=time.time(), epoch="bench")
        self.machine = Machine(self.store, clock=clock or SystemClock(), rng=Random(1), run_key=b"k" * 32)
        self.machine.recover()
        self.commit_s = 0.0
        self.done = 0
        self._seq = 0
        self._answer: PollAnswer | None = None
        hello = WorkerHello(
            session_id="s" * 32, worker="w", host="h", pid=1, queues=(), slots=SLOTS, resources={},
            handlers=("noop@1",), task_specs=(), workflows=(GRAPH,), held=(),
        )  # fmt: skip
        self.machine.workers.hello(hello, lambda _outcome: None)
        self.turn()

    def turn(self) -> None:
        """One batch: run, commit, finish."""
        machine = self.machine
        batch = machine.run_batch()
        if batch is None:
            return
        before = time.thread_time()
        machine.commit()
        self.commit_s += time.thread_time() - before
        machine.finish(batch)

    def leave(self) -> None:
        """The worker says goodbye."""
        self.machine.workers.bye("s" * 32, lambda _outcome: None)
        while self.machine.has_work():
            self.turn()

    def submit(self, first: int, count: int) -> None:
        wanted = [
            Submission(workflow="one", params={"value": n}, correlation_id="c") for n in range(first, first + count)
        ]
        machine = self.machine
        machine.queue(
            Submit(
                prepare(wanted),
                checker=machine.checker,
                rng=machine.rng,
                params_max_bytes=1 << 20,
                tenants=machine.tenants,
            )
        )

    def poll(self, free: int, held: Sequence[str] = ()) -> None:
        self._seq += 1
        self._answer = None
        self.machine.workers.poll(
            "s" * 32, self._seq, held=held, free=free, resources_free={}, wait_s=30.0, answer=self._answered
        )

    def _answered(self, answer: PollAnswer | OrpheusError) -> None:
        assert isinstance(answer, PollAnswer)
        self._answer = answer

    def work(self, total: int) -> None:
        """Poll and report until `total` jobs are done."""
        goal = self.done + total
        self.poll(SLOTS)
        while self.done < goal:
            while self._answer is None:
                self.turn()
            grants = self._answer.grants
            reports = [RunReport(run_id=g.run_id, kind="completed", result=g.args["value"]) for g in grants]
            self.machine.workers.report("s" * 32, reports, lambda _outcomes: None)
            self.done += len(reports)
            self.poll(SLOTS, [report.run_id for report in reports])
        while self.machine.has_work():
            self.turn()


def cost(folder: Path, count: int) -> float:
    """Return the CPU microseconds per job, of `count` jobs after a warm-up."""
    driver = Driver(folder)
    driver.submit(0, BATCH)
    driver.work(BATCH)
    begin = time.thread_time()
    for first in range(0, count, BATCH):
        driver.submit(first, BATCH)
        driver.turn()
    driver.work(count)
    took = time.thread_time() - begin
    driver.store.close()
    return 1e6 * took / count


def main() -> None:
    count_no_memory()
    count = int(next((arg for arg in sys.argv[1:] if arg.isdigit()), 5000))
    with tempfile.TemporaryDirectory() as folder:
        driver = Driver(Path(folder))
        driver.submit(0, BATCH)
        driver.work(BATCH)
        driver.commit_s = 0.0
        collect_rarely()
        profile = cProfile.Profile() if "--profile" in sys.argv else None
        if profile:
            profile.enable()
        begin = time.thread_time()
        for first in range(0, count, BATCH):
            driver.submit(first, BATCH)
            driver.turn()
        submitted = time.thread_time() - begin
        driver.work(count)
        took = time.thread_time() - begin
        if profile:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(int(sys.argv[-1]) if sys.argv[-1].isdigit() else 60)
        print(
            f"{1e6 * took / count:.1f} µs CPU per job: {1e6 * submitted / count:.1f} to submit, "
            f"{1e6 * (took - submitted) / count:.1f} to claim and report; of all {1e6 * driver.commit_s / count:.1f} in COMMIT"
        )


if __name__ == "__main__":
    main()
