"""Which programs did a handler's thread start by itself, past `ctx.run_process`? (promise 4)

A plain handler may call `subprocess.run`, or a library that does, and block in it: no exception reaches the thread, and
the program is in the worker's own process group, which nobody may signal. The kernel keeps the children of each thread
apart, so they are found there and ended with everything below them. Linux only; elsewhere there is nothing to see.

Programs that a coroutine starts belong to the loop's thread, as everything else of the worker does, and are not told apart.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

_DEPTH_MAX = 64
_WNOTHREAD = 0x20000000
"""Of this thread only (Linux's waitid(2)); Python has no name for it."""


class Offspring:
    """The programs that the current thread starts from now on. Make it in that thread; ask from any.

    Args:
        spared: returns a process of the worker's own that may begin in the thread, or None.
    """

    def __init__(self, spared: Callable[[], int | None]) -> None:
        self._thread = threading.get_native_id()
        self._spared = spared
        # Of resources, which outlive the attempt. Mostly there are none, and the kernel says so in 2 µs; /proc takes 20.
        self._before = frozenset(self._children() if _has_children() else ())

    def signal(self, number: int) -> int:
        """Signal every program and what it started; return how many. Those that are gone are fine."""
        count = 0
        for pid in self._children():
            if pid not in self._before and pid != self._spared():
                for one in (pid, *_below(pid, _DEPTH_MAX)):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(one, number)
                        count += 1
        return count

    def _children(self) -> list[int]:
        return _pids(Path(f"/proc/self/task/{self._thread}/children"))


def _has_children() -> bool:
    """Tell whether the current thread has started a program that still runs, or that nobody has waited for."""
    if sys.platform != "linux":
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WNOTHREAD)
    except ChildProcessError:
        return False
    return True


def _below(pid: int, depth: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in _pids(thread / "children"):
                found.append(child)
                if depth > 0:
                    found.extend(_below(child, depth - 1))
    return found


def _pids(path: Path) -> list[int]:
    try:
        return [int(word) for word in path.read_text().split()]
    except OSError:
        return []
