"""Who ends the process groups of a worker that was killed? (promise 4)

A worker that gets SIGKILL cannot tidy up, and the programs its handlers started are in groups of their own. So the worker
keeps one tiny helper process and tells it each group as it comes and goes (`+pgid`, `-pgid`, one a line, over a pipe). The
pipe's end means that the worker is gone, however that came about: the helper ends the groups that are left, and itself.

The helper is started with `-I -S`, so it imports nothing but a little of the standard library.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

_HELPER = """
import os, signal, sys
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
groups = set()
for line in sys.stdin.buffer:
    (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
for number in (signal.SIGTERM, signal.SIGKILL):
    for group in groups:
        try:
            os.killpg(group, number)
        except OSError:
            pass
    if groups and number == signal.SIGTERM:
        import time
        time.sleep(0.5)
"""


class Reaper:
    """The worker's end of it. Starts the helper at the first group; safe from any thread; safe to close twice."""

    def __init__(self) -> None:
        self._helper: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The helper's, once it was needed."""
        helper = self._helper
        return None if helper is None else helper.pid

    def add(self, pgid: int) -> None:
        with self._lock:
            self._start()
            self._groups.add(pgid)
            self._tell(f"+{pgid}\n")

    def remove(self, pgid: int) -> None:
        with self._lock:
            self._groups.discard(pgid)
            self._tell(f"-{pgid}\n")

    def kill_all(self) -> None:
        """End every known group at once: for a worker that stops hard."""
        with self._lock:
            for pgid in self._groups:
                with contextlib.suppress(OSError):
                    os.killpg(pgid, signal.SIGKILL)

    def close(self) -> None:
        with self._lock:
            helper, self._helper = self._helper, None
        if helper is not None and helper.stdin is not None:
            with contextlib.suppress(OSError):
                helper.stdin.close()
            helper.wait()

    def _start(self) -> None:
        if self._helper is None:
            self._helper = subprocess.Popen(  # noqa: S603 (our own text)
                [sys.executable, "-I", "-S", "-c", _HELPER],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _tell(self, line: str) -> None:
        if self._helper is None or self._helper.stdin is None:
            return
        try:
            os.write(self._helper.stdin.fileno(), line.encode())  # one small write to a pipe is atomic
        except OSError:
            # It was killed: another is started, and told what is there (this line's group is among it already).
            self._helper = None
            self._start()
            whole = "".join(f"+{pgid}\n" for pgid in self._groups)
            helper: subprocess.Popen[bytes] | None = self._helper
            if helper is not None and helper.stdin is not None:
                os.write(helper.stdin.fileno(), whole.encode())
