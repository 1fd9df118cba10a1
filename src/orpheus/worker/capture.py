"""Whose output is this? A task's `logging`, `print` and `sys.stderr` become its attempt's log (design section 9).

Threads and coroutines of several attempts share one `sys.stdout`, so what is written is told apart by a context variable:
it holds the log of the attempt at work, and whatever is written where none is set goes where it always went. A thread
that a handler starts by itself does not inherit the context; its output goes to the worker's own log.

Logs are bounded per attempt, and known secret values never reach them.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, Literal, TextIO

import msgspec

from orpheus.protocol.worker import LogLine

Stream = Literal["log", "stdout", "stderr"]

LINE_CHARS_MAX = 8192
LINES_MAX = 20_000
SECRET_CHARS_MIN = 4
"""Shorter secrets would blank out half of any text; they are told apart by nothing anyway."""

current_log: ContextVar[AttemptLog | None] = ContextVar("orpheus_attempt_log", default=None)


class Redactor(msgspec.Struct, eq=False):
    """Replace secret values in text by `***`."""

    _shared: Redactor | None = None
    """Another one, whose values are replaced too: an attempt's sensitive arguments are its own, the secrets of the worker are
    everybody's."""
    _values: tuple[str, ...] = ()

    __repr__ = object.__repr__  # what it hides is not to be shown by it

    @property
    def values(self) -> tuple[str, ...]:
        """Everything that is replaced, the longest first, so that a part never hides the whole."""
        if self._shared is None or not self._shared.values:
            return self._values
        if not self._values:
            return self._shared.values
        return tuple(sorted({*self._values, *self._shared.values}, key=len, reverse=True))

    def add(self, values: Iterable[str]) -> None:
        known = {*self._values, *(value for value in values if len(value) >= SECRET_CHARS_MIN)}
        self._values = tuple(sorted(known, key=len, reverse=True))

    def __call__(self, text: str) -> str:
        for value in self.values:
            if value in text:
                text = text.replace(value, "***")
        return text


def _nobody() -> None:
    """Nobody is told."""


class AttemptLog(msgspec.Struct, kw_only=True, eq=False):
    """The log of one attempt: lines wait here until the next report takes them. Safe from any thread."""

    redact: Callable[[str], str]
    """Applied to every message."""
    bytes_max: int
    """What comes after so many bytes is counted and dropped."""
    on_line: Callable[[], None] = _nobody
    """Called after a line was added (a report has something to take)."""
    _bytes: int = 0
    _lines_left: int = LINES_MAX
    _dropped: int = 0
    _began: float = msgspec.field(default_factory=time.monotonic)
    _lines: list[LogLine] = []
    _partial: dict[Stream, str] = {}
    lock: threading.Lock = msgspec.field(default_factory=threading.Lock)
    """Held for a moment by whoever changes what there is to say; the attempt's other words are under it too."""

    __repr__ = object.__repr__

    def add(
        self, message: str, *, level: str = "info", stream: Stream = "log", fields: dict[str, Any] | None = None
    ) -> None:
        """Add one line; over-long ones are cut, and say so."""
        self.take_line(
            LogLine(
                at_offset_s=round(time.monotonic() - self._began, 3),
                level=level,
                message=message,
                stream=stream,
                fields=fields or {},
            )
        )

    def take_line(self, line: LogLine) -> None:
        """Add a line that may come from a child process."""
        message = self.redact(line.message)
        if len(message) > LINE_CHARS_MAX:
            message = f"{message[:LINE_CHARS_MAX]}… ({len(message) - LINE_CHARS_MAX} more characters)"
        line.message = message
        if line.fields:
            line.fields = {
                key: self.redact(value) if isinstance(value, str) else value for key, value in line.fields.items()
            }
        with self.lock:
            size = len(message) + 64
            if self._bytes + size > self.bytes_max or self._lines_left <= 0:
                self._dropped += 1
                return
            self._bytes += size
            self._lines_left -= 1
            self._lines.append(line)
        self.on_line()

    def write(self, text: str, stream: Stream) -> None:
        """Take what was written to a stream; complete lines become log lines."""
        with self.lock:
            text = self._partial.pop(stream, "") + text
            *lines, rest = text.split("\n")
            while len(rest) > LINE_CHARS_MAX:
                lines.append(rest[:LINE_CHARS_MAX])
                rest = rest[LINE_CHARS_MAX:]
            if rest:
                self._partial[stream] = rest
        for line in lines:
            # A progress bar redraws its line with carriage returns; what stood last is what a person would have seen.
            self.add(line.rstrip("\r").rsplit("\r", 1)[-1], stream=stream)

    def tell_nobody(self) -> None:
        """Its attempt is over: what still comes is told to nobody. (And nothing here refers to the attempt any more, so that
        neither waits for the garbage collector.)"""
        self.on_line = _nobody

    @property
    def is_empty(self) -> bool:
        """Nothing was said that has not been taken."""
        return not (self._lines or self._partial or self._dropped)

    def take(self) -> list[LogLine]:
        """Hand over what has gathered."""
        with self.lock:
            lines, self._lines = self._lines, []
        return lines

    def close(self) -> list[LogLine]:
        """Hand over the rest: unfinished lines, and how many were dropped."""
        with self.lock:
            partial, self._partial = self._partial, {}
        for stream, text in partial.items():
            self.add(text.rstrip("\r").rsplit("\r", 1)[-1], stream=stream)
        lines = self.take()
        if self._dropped:
            lines.append(
                LogLine(
                    level="warning",
                    message=f"{self._dropped} more lines were dropped: the log of an attempt is bounded",
                )
            )
            self._dropped = 0
        return lines


class StreamTee(io.TextIOBase):
    """Stand in for `sys.stdout` or `sys.stderr`: an attempt's writes go to its log, all others to the real stream."""

    def __init__(self, real: TextIO, stream: Stream) -> None:
        self._real = real
        self._stream = stream

    def write(self, text: str) -> int:
        log = current_log.get()
        if log is None:
            return self._real.write(text)
        log.write(text, self._stream)
        return len(text)

    def flush(self) -> None:
        self._real.flush()

    def fileno(self) -> int:
        return self._real.fileno()

    def isatty(self) -> bool:
        return current_log.get() is None and self._real.isatty()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the base class declares a plain attribute
        return self._real.encoding


class AttemptLogHandler(logging.Handler):
    """Bring records that are logged inside an attempt to its log."""

    def emit(self, record: logging.LogRecord) -> None:
        log = current_log.get()
        if log is None:
            return
        try:
            message = record.getMessage()
            if record.exc_info:
                message = f"{message}\n{(self.formatter or logging.Formatter()).formatException(record.exc_info)}"
        except Exception as broken:  # a bad format string in user code is not our failure
            message = f"{record.msg} (not formatted: {broken})"
        log.add(message, level=record.levelname.lower(), fields={"logger": record.name})


class _OutsideAttempts(logging.Filter):
    """Let a handler of the worker's own log pass what no attempt has logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        return current_log.get() is None


def install() -> Callable[[], None]:
    """Route output of attempts to their logs, in this process.

    Returns:
        A function that puts everything back, for tests and for embedding.
    """
    root = logging.getLogger()
    handler = AttemptLogHandler()
    before = sys.stdout, sys.stderr, root.level
    sys.stdout, sys.stderr = StreamTee(sys.stdout, "stdout"), StreamTee(sys.stderr, "stderr")
    root.addHandler(handler)
    if root.level == logging.NOTSET or root.level > logging.INFO:
        root.setLevel(logging.INFO)  # a task's `logging.info` is what people look for in its log

    def restore() -> None:
        sys.stdout, sys.stderr = before[0], before[1]
        root.setLevel(before[2])
        root.removeHandler(handler)

    return restore


def outside_attempts(handler: logging.Handler) -> logging.Handler:
    """Keep attempts' records out of `handler`, which shows the worker's own log."""
    handler.addFilter(_OutsideAttempts())
    return handler
