"""How many bytecodes does a one-task job cost in the engine alone? `python benchmarks/bytecodes.py [jobs] [lines]`

Counts what `machine.py` times: core, engine and store on one thread, without HTTP. The figures are the same on a busy machine as on
a quiet one, so two states of the code can be compared while others work. A bytecode takes some 12 ns here, what a Python call costs
beside its bytecodes some 50, a call of C 30 to 60; SQLite's own work is not in it.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from machine import BATCH, Driver

from orpheus.engine import clock
from orpheus.engine.collector import collect_rarely

SLOWER = 1000.0
"""Tracing slows everything down; by this clock no batch takes too long and no lease lapses."""


class SlowClock(clock.SystemClock):
    """The machine's clocks, slowed down from when it was made."""

    def __init__(self) -> None:
        self._began, self._began_at = time.monotonic(), time.time()

    def monotonic(self) -> float:
        return self._began + (time.monotonic() - self._began) / SLOWER

    def now(self) -> float:
        return self._began_at + (time.monotonic() - self._began) / SLOWER


class Count:
    """Bytecodes, Python calls and C calls by function."""

    def __init__(self) -> None:
        self.bytecodes: Counter[CodeType] = Counter()
        self.calls: Counter[CodeType] = Counter()
        self.c_calls: Counter[CodeType] = Counter()

    def of(self, work: Callable[[], None]) -> None:
        with self.counting():
            work()

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        sys.settrace(self._enter)
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.settrace(None)
            sys.setprofile(None)

    def _enter(self, frame: FrameType, _event: str, _arg: Any) -> Callable[[FrameType, str, Any], Any]:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.calls[frame.f_code] += 1
        return self._step

    def _step(self, frame: FrameType, event: str, _arg: Any) -> Callable[[FrameType, str, Any], Any]:
        if event == "opcode":
            self.bytecodes[frame.f_code] += 1
        return self._step

    def _profile(self, frame: FrameType, event: str, _arg: Any) -> None:
        if event == "c_call":
            self.c_calls[frame.f_code] += 1

    def show(self, name: str, jobs: int, lines: int) -> None:
        counters = (self.bytecodes, self.calls, self.c_calls)
        total, calls, c_calls = (sum(counter.values()) / jobs for counter in counters)
        print(f"{name}: {total:.0f} bytecodes, {calls:.1f} Python calls, {c_calls:.1f} C calls per job")
        for code, count in self.bytecodes.most_common(lines):
            where = f"{code.co_filename.rpartition('orpheus/')[2]}:{code.co_firstlineno} {code.co_qualname}"
            print(f"  {count / jobs:7.1f} in {self.calls[code] / jobs:5.1f} calls  {where}")


def main() -> None:
    numbers = [int(arg) for arg in sys.argv[1:]]
    jobs, lines = (*numbers, *(500, 40)[len(numbers) :])
    with tempfile.TemporaryDirectory() as folder:
        driver = Driver(Path(folder), SlowClock())
        driver.submit(0, BATCH)
        driver.work(BATCH)
        collect_rarely()

        def submit() -> None:
            for first in range(0, jobs, BATCH):
                driver.submit(first, min(BATCH, jobs - first))
                while driver.machine.has_work():
                    driver.turn()

        for name, work in (("submit", submit), ("claim and report", lambda: driver.work(jobs))):
            count = Count()
            count.of(work)
            count.show(name, jobs, lines)
        driver.store.close()


if __name__ == "__main__":
    main()
