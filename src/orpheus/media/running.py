"""How the shipped tasks run FFmpeg, retry, and turn a verdict about a file into a final error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar, cast

from orpheus import Context, Permanent, ProcessFailed, Retry
from orpheus.authoring.own_thread import begin
from orpheus.media import guard, video
from orpheus.media.errors import Refused, TooLarge
from orpheus.media.limits import CHILD_TIME_S

T = TypeVar("T")

_KILL_AFTER_S: Final = 0.5
"""FFmpeg that is told to stop flushes its encoder and ends its file first, which of a large picture takes seconds; nobody wants that file."""

RETRY: Final = Retry(max_retries=2, initial_s=1.0)
"""A verdict about a file is final whatever this says; what is retried is a full disk or a machine out of memory."""

PATIENT: Final = Retry(max_retries=4, initial_s=1.0)
"""Of tasks that may ask a service, which may be away for some seconds."""


@contextlib.contextmanager
def verdicts(what: str) -> Iterator[None]:
    """Make a verdict about a file the final error of the attempt, naming the file."""
    try:
        yield
    except Refused as refused:
        raise Permanent(
            f"{what}: {refused.message}" if what else refused.message, hint=refused.hint, code=refused.code
        ) from None


def run_ffmpeg(ctx: Context, argv: list[str], *, duration_s: float, what: str, timeout_s: float) -> bool:
    """Run FFmpeg with its limits, and tell true progress as it goes.

    Returns:
        False when FFmpeg refused the file; its reason is in the attempt's log.

    Raises:
        TooLarge: it took longer than `timeout_s`.
        ProcessFailed: it was killed, which says nothing about the file; the attempt is retried.
    """

    def heed(line: str) -> None:
        fraction = video.progress_of(line, duration_s)
        if fraction is not None:
            ctx.progress(fraction, f"{what}: {fraction * duration_s:.0f} of {duration_s:.0f} s" if what else None)

    try:
        done = ctx.run_process(
            video.limited(argv), on_line=heed, timeout_s=timeout_s, check=False, kill_after_s=_KILL_AFTER_S
        )
    except ProcessFailed as failed:
        raise TooLarge(f"converting it took more than {timeout_s:.0f} s") from failed
    if done.returncode < 0:
        raise RuntimeError(f"FFmpeg was ended by signal {-done.returncode}")
    if done.returncode:
        ctx.log.warning("FFmpeg ended with status %d: %s", done.returncode, video.why(done.stderr))
    return done.returncode == 0


def guarded(ctx: Context, operation: str, **arguments: Any) -> dict[str, Any]:
    """Run an operation of `opening.py` in a child that a cancel reaches."""
    try:
        argv = guard.argv(operation, **arguments)
        done = ctx.run_process(argv, timeout_s=CHILD_TIME_S, check=False, kill_after_s=_KILL_AFTER_S)
    except ProcessFailed as failed:  # despite check=False: its time is over
        raise guard.took_too_long() from failed
    return guard.read(done.returncode, done.stdout)


def interruptibly(call: Callable[[], T]) -> T:
    """Run native code that may take long, in a task with `executor="process"`, so that a cancel is heard at once.

    A signal reaches Python between two instructions only, and a page of OCR or a stretch of speech is one of them. So the call has a
    thread of its own while this one waits. What is still running when the wait is broken off ends with the process, which is
    not used again after a cancel.
    """
    return begin(call, name="interruptibly").result()


def each(pending: Iterator[T]) -> Iterator[T]:
    """Yield what `pending` yields, and make each of it interruptibly."""
    nothing: Final = object()
    while (one := interruptibly(lambda: next(pending, nothing))) is not nothing:
        yield cast("T", one)
