"""R24: a rolling deploy with real processes, old and new code side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = {"lease_s": 5.0}

CODE = """
import time
from pathlib import Path
from orpheus import task, workflow

GATE = Path({gate!r})


@task
def first(text: str) -> str:
    while not GATE.exists():
        time.sleep(0.02)
    return text


@task(version={version})
def transcribe(text: str) -> str:
    return text + " by {version}"


@workflow(version={version})
def transcripts(text: str) -> str:
    return transcribe(first(text))
"""


def write(server, name: str, version: int) -> None:
    code = CODE.format(gate=str(server.folder / "gate"), version=version)
    (server.folder / name).write_text(code)


class Fleet:
    """Workers of one kind of code each."""

    def __init__(self, server, kit) -> None:
        self.server, self.kit = server, kit
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *, wait: bool = True) -> subprocess.Popen[bytes]:
        with (self.server.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "orpheus.cli", "worker", "--server", self.server.url),
                    *("--no-shipped", "--import", str(self.server.folder / name), "--concurrency", "2"),
                ],
                stdout=log,
                stderr=log,
                cwd=self.server.folder,
                env=os.environ | {"NO_COLOR": "1"},
            )
        self.running.append(process)
        if wait:
            self.kit.until(lambda: self.alive(process.pid), 60)
        return process

    def alive(self, pid: int) -> bool:
        return any(row["alive"] and row["pid"] == pid for row in self.server.get("/workers")["items"])

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        process.wait(20)


@pytest.fixture
def fleet(server, kit):
    made = Fleet(server, kit)
    yield made
    for process in made.running:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_old_jobs_finish_with_old_code(server, kit, fleet):
    write(server, "old.py", 1)
    write(server, "new.py", 2)
    old = fleet.start("old.py")
    before = server.submit("transcripts", {"text": "a"})["job_id"]
    waiting = server.submit("transcripts", {"text": "b"})["job_id"]
    new = fleet.start("new.py")
    after = server.submit("transcripts", {"text": "c"})
    assert after["workflow_version"] == 2
    (server.folder / "gate").touch()
    assert server.ended(before, "completed")["result"] == "a by 1"
    assert server.ended(waiting, "completed")["result"] == "b by 1"
    assert server.ended(after["job_id"], "completed")["result"] == "c by 2"

    # The old worker goes too early: the old job waits and says so, and goes on when old code comes back.
    (server.folder / "gate").unlink()
    late = server.submit("transcripts@1", {"text": "d"})["job_id"]
    server.state(late, "running")
    (server.folder / "gate").touch()
    server.ended(late, "completed")
    fleet.stop(old)
    stranded = server.submit("transcripts@1", {"text": "e"})["job_id"]
    reason = server.reason(stranded, "worker")
    assert "transcribe@1" in reason["detail"], reason
    assert server.job(stranded)["state"] == "running", "the part whose version both offer was done by the new worker"
    fleet.start("old.py")
    assert server.ended(stranded, "completed")["result"] == "e by 1"
    fleet.stop(new)


def test_changed_code_under_an_old_version_does_not_start(server, kit, fleet):
    """`definition_conflict`, with what differs, in the worker's own words."""
    write(server, "base.py", 5)
    fleet.start("base.py")
    changed = Path(server.folder / "base.py").read_text().replace("@task(version=5)", '@task(version=5, queue="other")')
    (server.folder / "changed.py").write_text(changed)
    process = fleet.start("changed.py", wait=False)
    assert process.wait(30) != 0
    log = (server.folder / "changed.py.log").read_text()
    assert "definition_conflict" in log or "another content" in log
    assert "transcribe" in log or "queue" in log
