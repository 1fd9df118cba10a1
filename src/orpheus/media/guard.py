"""The child process that opens foreign files: little memory, little time, no files to write, nothing to tell but JSON.

It is given `{"operation": "validate", "arguments": {"path": …, "name": …}}`, and prints `{"value": …}` or
`{"refused": {"code", "message", "hint"}}`. A decoder that crashes or eats memory ends this process and becomes a verdict
about the file, instead of ending a worker.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from orpheus.media.errors import BY_CODE, CorruptMedia, Refused, TooLarge, UnsupportedMedia
from orpheus.media.limits import CHILD_MEMORY_BYTES, CHILD_TIME_S

_BOOT: Final = """
import sys, types
package = types.ModuleType("orpheus.media")
package.__path__ = [sys.argv[1]]
sys.modules["orpheus.media"] = package
from orpheus.media.guard import main
main(sys.argv[2])
"""
"""Starts this module without `orpheus.media`'s own menu, which would import every task first: 0.06 s instead of 0.25 s."""


def argv(operation: str, **arguments: Any) -> list[str]:
    """The command line that runs one of `validate`, `extract` and `place` in a child; `arguments` are those of `opening.py`."""
    request = {"operation": operation, "arguments": {key: str(value) for key, value in arguments.items()}}
    return [sys.executable, "-P", "-c", _BOOT, str(Path(__file__).parent), json.dumps(request)]


def read(returncode: int, stdout: str) -> dict[str, Any]:
    """Read what the child said.

    Raises:
        Refused: its verdict, or what its end means.
    """
    with contextlib.suppress(ValueError, AttributeError, IndexError):
        said = json.loads(stdout.strip().splitlines()[-1])
        if "refused" in said:
            verdict = said["refused"]
            raise BY_CODE.get(verdict["code"], UnsupportedMedia)(verdict["message"], hint=verdict["hint"])
        value: dict[str, Any] = said["value"]
        return value
    if -returncode in (signal.SIGXCPU, signal.SIGKILL):
        raise TooLarge("opening the file took more time or memory than is allowed")
    raise CorruptMedia(
        f"the file broke the program that opened it (exit status {returncode})",
        hint="It is damaged, or made to do harm. Export it again from where it came from.",
    )


def call(operation: str, **arguments: Any) -> dict[str, Any]:
    """Run an operation in a child and wait for it. Tasks use `ctx.run_process` instead, so that a cancel reaches the child."""
    try:
        done = subprocess.run(  # noqa: S603 (an argv list of our own)
            argv(operation, **arguments), capture_output=True, text=True, timeout=CHILD_TIME_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise took_too_long() from None
    return read(done.returncode, done.stdout)


def took_too_long() -> TooLarge:
    """The verdict when the child did not end in time."""
    return TooLarge(f"opening the file took more than {CHILD_TIME_S:.0f} s", hint="Shorten it, or scale it down.")


def confine(memory_bytes: int = CHILD_MEMORY_BYTES, cpu_s: int = int(CHILD_TIME_S)) -> None:
    """Limit this process for good. What a system does not know (Windows, macOS) is left out."""
    try:
        import resource  # noqa: PLC0415 (not on Windows)
    except ImportError:
        return
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, memory_bytes),
    ):
        with contextlib.suppress(ValueError, OSError):
            _, hard = resource.getrlimit(limit)
            wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(limit, (wanted, wanted))


def main(request: str) -> None:
    confine()
    from orpheus.media import opening  # noqa: PLC0415 (decoders come in under the limits)

    operations: dict[str, Callable[..., dict[str, Any]]] = {
        "validate": opening.validate,
        "extract": opening.extract,
        "place": opening.place,
    }
    asked = json.loads(request)
    arguments = asked["arguments"]
    arguments["path"] = Path(arguments["path"])
    try:
        said: dict[str, Any] = {"value": operations[asked["operation"]](**arguments)}
    except Refused as refused:
        said = {"refused": {"code": refused.code, "message": refused.message, "hint": refused.hint}}
    except MemoryError:
        said = {
            "refused": {"code": "too_large", "message": "opening the file took more memory than is allowed", "hint": ""}
        }
    print(json.dumps(said))
