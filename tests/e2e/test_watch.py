"""`orpheus watch` with real processes: each file once, whatever ends in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from . import conftest
from .conftest import Deployment

FLOWS = """
from orpheus import Context, File, task, workflow


@task
def measure(ctx: Context, source: File, unit: str) -> str:
    return f"{len(ctx.path(source).read_bytes())} {unit}"


@workflow
def weigh(source: File, unit: str = "bytes") -> str:
    return measure(source, unit)


@workflow
def other(source: File) -> str:
    return measure(source, "bytes")
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watch")
    (folder / "flows.py").write_text(FLOWS)
    deployment = Deployment(folder, "--import", "flows.py")
    deployment.folder = folder
    yield deployment
    deployment.stop()


class Watch:
    """A watch of a folder, as a process."""

    def __init__(self, url, inbox, *options, workflow="weigh"):
        self.inbox = inbox
        argv = [
            "watch",
            str(inbox),
            "-w",
            workflow,
            "--server",
            url,
            "--interval-s",
            "0.05",
            "--settle-s",
            "0.3",
            "--json",
        ]
        self.log = (inbox.parent / "watch.log").open("a+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orpheus.cli", *argv, *options],
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def next(self):
        """Return the next file that was submitted."""
        return json.loads(self.process.stdout.readline())

    def stop(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(20)
        rest = self.process.stdout.read()
        self.process.stdout.close()
        self.log.close()
        return status, [json.loads(line)["path"] for line in rest.splitlines()]


@pytest.fixture
def watch(up, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    made = []

    def start(*options, url=up.url, **more):
        made.append(Watch(url, inbox, *options, **more))
        return made[-1]

    start.inbox = inbox
    start.said = (tmp_path / "watch.log").read_text
    start.state = inbox / ".orpheus-watch.jsonl"
    yield start
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


def until(true):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def jobs_of(up, watch):
    """Return the files of the jobs that came from this inbox."""
    found = []
    for job in up.client.list(label={"inbox": str(watch.inbox)[-60:]}, limit=100):
        found.append(up.client.get(job.job_id).params["source"]["$file"]["name"])
    return sorted(found)


def label(watch):
    return ("--label", f"inbox={str(watch.inbox)[-60:]}")


def test_files_that_appear_are_submitted_once(up, watch):
    """Not those that were there, hidden or unfinished ones; a restart submits what came meanwhile, and nothing again."""
    inbox = watch.inbox
    (inbox / "old.txt").write_text("old")
    first = watch(*label(watch), "-p", "unit=octets")
    until(lambda: watch.state.exists() and "old.txt" in watch.state.read_text())
    (inbox / ".hidden").write_text("x")
    (inbox / "half.txt.part").write_text("hal")
    (inbox / "empty.txt").touch()
    (inbox / "new.txt").write_text("new")
    said = first.next()
    assert said["path"] == "new.txt"
    assert up.client.result(said["job_id"], timeout_s=30) == "3 octets"
    (inbox / "half.txt.part").rename(inbox / "half.txt")
    assert first.next()["path"] == "half.txt"
    assert first.stop() == (0, [])
    (inbox / "meanwhile.txt").write_text("meanwhile")
    second = watch(*label(watch), "-p", "unit=octets")
    assert second.next()["path"] == "meanwhile.txt"
    assert second.stop(signal.SIGTERM) == (0, [])
    assert jobs_of(up, watch) == ["half.txt", "meanwhile.txt", "new.txt"]


def test_what_changes_names_or_times_is_no_new_file(up, watch):
    """A touched or renamed file is not submitted again; other content under the name is."""
    inbox = watch.inbox
    running = watch(*label(watch), "--existing")
    (inbox / "a.txt").write_text("one")
    assert running.next()["path"] == "a.txt"
    os.utime(inbox / "a.txt", (1, 1))
    time.sleep(0.6)
    (inbox / "a.txt").rename(inbox / "b.txt")
    until(lambda: "called b.txt" in watch.said())
    (inbox / "b.txt").write_text("two!")
    assert running.next()["path"] == "b.txt"
    assert running.stop() == (0, [])
    assert jobs_of(up, watch) == ["a.txt", "b.txt"]


def test_a_file_is_complete_before_it_is_submitted(up, watch):
    """One that grows is waited for."""
    running = watch(*label(watch), "--existing")
    with (watch.inbox / "growing.txt").open("w") as file:
        for _ in range(12):
            file.write("x" * 10)
            file.flush()
            time.sleep(0.1)
    said = running.next()
    assert up.client.result(said["job_id"], timeout_s=30) == "120 bytes"
    assert running.stop() == (0, [])


def test_a_killed_watch_makes_no_second_job(up, watch):
    """Even if it forgot what it had submitted: the key of content and path is remembered by the server (R21)."""
    (watch.inbox / "a.txt").write_text("kill me")
    first = watch(*label(watch), "--existing")
    job_id = first.next()["job_id"]
    first.stop(signal.SIGKILL)
    (watch.inbox / ".orpheus-watch.jsonl").write_text('{"path": "a.tx')
    second = watch(*label(watch), "--existing", "--once")
    assert second.next()["job_id"] == job_id
    assert second.stop()[0] == 0
    assert jobs_of(up, watch) == ["a.txt"]


def test_folders_and_patterns(up, watch):
    """Only what is asked for; links lead elsewhere and are left alone."""
    inbox = watch.inbox
    (inbox / "deep" / "er").mkdir(parents=True)
    for name in ("a.MP4", "b.txt", "deep/er/c.mp4", "deep/.d.mp4"):
        (inbox / name).write_text(name)
    (inbox / "link.mp4").symlink_to("/etc/hostname")
    once = watch(*label(watch), "--existing", "--once", "--recursive", "--pattern", "*.mp4")
    assert once.process.wait(30) == 0
    assert once.stop() == (0, ["a.MP4", "deep/er/c.mp4"])
    assert jobs_of(up, watch) == ["a.MP4", "c.mp4"]


def test_a_bad_file_holds_up_nobody(up, watch):
    """One that cannot be read is told and tried again; a refused one is told."""
    (watch.inbox / "a.txt").write_text("a")
    (watch.inbox / "b.txt").write_text("b")
    once = watch(*label(watch), "--existing", "--once", "-p", "unti=x", "--state", str(watch.inbox.parent / "s"))
    assert once.process.wait(30) == 0
    assert once.stop() == (0, []) and watch.said().count("invalid_params") >= 2
    assert jobs_of(up, watch) == []


def test_a_single_look_ends_when_there_is_no_such_workflow(up, watch):
    """Who looks for ever waits for a workflow to come; who looks once says so and ends."""
    (watch.inbox / "a.txt").write_bytes(b"1")
    process = watch("--once", workflow="wiegh").process
    assert process.wait(30) != 0
    assert "weigh" in watch.said()


def test_two_watches_of_a_folder_are_told(up, watch):
    """The second one ends with what to do."""
    first = watch()
    until(watch.state.exists)
    second = watch()
    assert second.process.wait(20) == 6 and "--state" in watch.said()
    assert first.stop() == (0, [])


def test_a_server_that_is_away_comes_back(tmp_path, watch, monkeypatch):
    """What appears meanwhile is submitted when it is there again."""
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "flows.py").write_text(FLOWS)
    port = conftest.free_port()
    monkeypatch.setattr(conftest, "free_port", lambda: port)
    running = watch("--existing", url=f"http://127.0.0.1:{port}")
    (watch.inbox / "a.txt").write_text("patience")
    until(lambda: "trying again" in watch.said())
    deployment = Deployment(folder, "--import", "flows.py")
    try:
        said = running.next()
        assert deployment.client.result(said["job_id"], timeout_s=30) == "8 bytes"
        assert running.stop() == (0, [])
    finally:
        deployment.stop()
