"""The supervisor on tiny processes: what it starts again, what it gives up, and that stopping ends everything."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from orpheus.cli import supervise
from orpheus.cli.exits import ExitCode
from orpheus.cli.supervise import Child, Supervisor


def child(code: str, *, name: str = "child", stop_s: float = 5.0) -> Child:
    return Child(name, [sys.executable, "-c", code], stop_s)


async def until(condition: object, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "gave up waiting"
        await asyncio.sleep(0.02)


def test_a_child_that_dies_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines reach the sink under its name, and so does what happened."""
    monkeypatch.setattr(supervise, "RESTART_FIRST_S", 0.05)
    lines: list[tuple[str, str]] = []

    async def scene() -> None:
        supervisor = Supervisor(lambda name, line: lines.append((name, line)))
        dying = child("print('hello', flush=True); import os; os.kill(os.getpid(), 9)")
        await supervisor.start(dying)
        await until(lambda: dying.starts >= 3)
        await supervisor.stop()
        assert supervisor.failure() is None

    asyncio.run(scene())
    assert ("child", "hello") in lines
    assert any("SIGKILL" in line for _name, line in lines)


def test_a_child_that_cannot_work_is_given_up() -> None:
    """A status that another start cannot change is the end, with the last words kept."""

    async def scene() -> None:
        supervisor = Supervisor(lambda _name, _line: None)
        hopeless = child(f"print('no such module'); raise SystemExit({int(ExitCode.USAGE)})")
        await supervisor.start(hopeless)
        verdict = await asyncio.wait_for(supervisor.failed(), 20)
        assert verdict.status == ExitCode.USAGE
        assert list(hopeless.last_lines) == ["no such module"]
        assert hopeless.starts == 1
        await supervisor.stop()

    asyncio.run(scene())


def test_stopping_ends_the_workers_before_the_server(tmp_path: Path) -> None:
    """The first child started is the server: it ends last. Stopping twice is harmless."""
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    open({0!r}, 'a').write({1!r} + '\\n'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    order = tmp_path / "order"

    async def scene() -> None:
        up: list[str] = []
        supervisor = Supervisor(lambda name, _line: up.append(name))
        for name in ("server", "worker-1", "worker-2"):
            await supervisor.start(child(code.format(str(order), name), name=name))
        await until(lambda: len(up) == 3)
        await supervisor.stop()
        await supervisor.stop()

    asyncio.run(scene())
    assert order.read_text().splitlines()[-1] == "server"
    assert len(order.read_text().splitlines()) == 3


def test_a_stubborn_child_is_killed() -> None:
    """SIGTERM ignored: after its time the whole process group goes."""

    async def scene() -> None:
        up: list[str] = []
        supervisor = Supervisor(lambda name, _line: up.append(name))
        code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
        stubborn = child(code, stop_s=0.2)
        await supervisor.start(stubborn)
        await until(lambda: up)
        await supervisor.stop()
        assert stubborn.pid is None

    asyncio.run(scene())


def test_children_see_the_end_of_the_supervisor() -> None:
    """Their standard input is a pipe that we hold: it ends when we do."""

    async def scene() -> None:
        lines: list[str] = []
        supervisor = Supervisor(lambda _name, line: lines.append(line))
        watching = child("import sys; print('up', flush=True); sys.stdin.read(); print('alone', flush=True)")
        await supervisor.start(watching)
        await until(lambda: lines)
        assert watching.process is not None
        assert watching.process.stdin is not None
        watching.stopping = True
        watching.process.stdin.close()
        await until(lambda: "alone" in lines)
        await supervisor.stop()

    asyncio.run(scene())
