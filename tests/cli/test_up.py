"""The whole system in real processes: `up`, what happens when parts of it die, `run`, and how all of it stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orpheus.cli.connect import live_server
from orpheus.client import Client, NotFound, Patience

pytestmark = pytest.mark.timeout(180)

FLOWS = '''
import asyncio
import time
from pathlib import Path
from orpheus import Context, File, Permanent, task, workflow

@task
def shout(ctx: Context, text: str) -> str:
    ctx.log.info("shouting %s", text)
    print("out loud")
    return text.upper()

@task
async def linger(ctx: Context, seconds: float) -> str:
    for step in range(int(seconds * 20)):
        ctx.progress(step / (seconds * 20), "lingering")
        await asyncio.sleep(0.05)
    return "done"

@task
def fail(why: str) -> str:
    raise Permanent(why)

@task
def copy(ctx: Context, source: File) -> File:
    return ctx.save("copies/the copy.bin", Path(ctx.path(source)).read_bytes())

@workflow
def talk(text: str) -> str:
    """Shout."""
    return shout(text)

@workflow
def slow(seconds: float) -> str:
    return linger(seconds)

@workflow
def broken(why: str) -> str:
    return fail(why)

@workflow
def copied(source: File) -> File:
    return copy(source)
'''


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "orpheus.cli", *arguments]


def until(condition: Callable[[], Any], what: str, timeout_s: float = 40.0) -> Any:
    """Wait for a sign, not for a second."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {timeout_s} s")


@dataclass
class Up:
    """A running `orpheus up`."""

    process: subprocess.Popen[str]
    folder: Path
    url: str
    log: Path

    def orpheus(self, *arguments: str, code: int | None = 0, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(*arguments), cwd=self.folder, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert code is None or done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def client(self) -> Client:
        return Client(self.url, patience=Patience(reconnect_s=40.0))

    def children(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(one) for one in listed.split()]


def begin(folder: Path, *arguments: str) -> Up:
    (folder / "flows.py").write_text(FLOWS)
    log = folder / "up.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command("up", "--port", "0", "--import", "flows.py", "--json", *arguments),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, log.read_text()
    return Up(process, folder, json.loads(line)["url"], log)


def end(up: Up) -> None:
    if up.process.poll() is None:
        up.process.send_signal(signal.SIGTERM)
        try:
            up.process.wait(40)
        except subprocess.TimeoutExpired:
            up.process.kill()
            up.process.wait()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = begin(tmp_path_factory.mktemp("up"))
    yield running
    end(running)


def test_a_job_goes_through(up: Up) -> None:
    """Submit by the command line, which finds the server by its data directory; result on stdout, status 0."""
    done = up.orpheus("submit", "talk", "-p", "text=hello", "--wait", "--json")
    job = json.loads(done.stdout)
    assert (job["state"], job["result"]) == ("completed", "HELLO")
    listed = json.loads(up.orpheus("jobs", "list", "--json").stdout)["items"]
    assert job["job_id"] in [one["job_id"] for one in listed]
    events = [json.loads(line) for line in up.orpheus("jobs", "events", job["job_id"], "--json").stdout.splitlines()]
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "job.completed"
    assert "shouting hello" in up.orpheus("jobs", "logs", job["job_id"]).stdout
    assert "completed" in up.orpheus("jobs", "show", job["job_id"]).stdout


def test_a_failing_job_says_why_and_exits_with_1(up: Up) -> None:
    """Code, message, no traceback; retry begins another generation."""
    done = up.orpheus("submit", "broken", "-p", "why=no speech in it", "--wait", code=1)
    assert "no speech in it" in done.stderr
    job_id = done.stderr.split()[0]
    shown = json.loads(up.orpheus("jobs", "retry", job_id, "--follow", "--json", code=1).stdout)
    assert shown["generation"] == 2


def test_refusals_have_their_statuses(up: Up) -> None:
    """Unknown job 4, wrong params and unknown workflow 2; the hint helps."""
    assert "unknown_job" in up.orpheus("jobs", "show", "nothing", code=4).stderr
    assert "talk" in up.orpheus("submit", "tolk", code=2).stderr
    assert "invalid_params" in up.orpheus("submit", "talk", "-p", "txt=x", code=2).stderr


def test_following_sees_everything_once(up: Up) -> None:
    """Events and logs are followed to the job's end; the exit status tells how it went."""
    with up.client() as client:
        job = client.submit("slow", {"seconds": 1.0})
        followed = list(client.events(job.job_id, follow=True))
        assert [one.seq for one in followed] == list(range(1, len(followed) + 1))
        assert followed[-1].type == "job.completed"
        talk = client.submit("talk", {"text": "x"})
        assert "out loud" in [line.message for line in client.logs(talk.job_id, follow=True)]
    lines = up.orpheus("jobs", "events", job.job_id, "--follow").stdout.splitlines()
    assert len(lines) == len(followed)


def test_many_jobs_are_submitted_and_waited_for(up: Up) -> None:
    """2 batches and one stream; a repeated batch doubles nothing."""
    with up.client() as client:
        wanted = [{"workflow": "talk", "params": {"text": str(n)}, "idempotency_key": f"many-{n}"} for n in range(60)]
        made = client.submit_many(wanted, batch=30)
        again = client.submit_many(wanted, batch=30)
        assert [one.job_id for one in made] == [one.job_id for one in again]
        done = client.wait_many([one.job_id for one in made], timeout_s=60)
        assert [one.result for one in done] == [str(n) for n in range(60)]
        assert set(client.wait_states([one.job_id for one in made], timeout_s=5).values()) == {"completed"}


def test_a_file_goes_in_and_comes_out(up: Up, tmp_path: Path) -> None:
    """`run` joins the live server, uploads, downloads under safe names, and writes the manifest."""
    source = up.folder / "odd name; $(id).bin"
    source.write_bytes(os.urandom(300_000))
    done = up.orpheus("run", str(source), "-w", "copied", "--out", str(tmp_path / "out"), "--json")
    assert (tmp_path / "out" / "copies" / "the copy.bin").read_bytes() == source.read_bytes()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["job_id"] == json.loads(done.stdout)["job"]["job_id"]
    assert manifest["source"]["sha256"] == manifest["artifacts"][0]["sha256"]


def test_the_directory_and_the_port_are_one_servers(up: Up) -> None:
    """A second `up` and a second `server` are refused with status 6, and name the holder."""
    again = up.orpheus("up", "--port", "0", code=6)
    assert "data_in_use" in again.stderr
    alone = up.orpheus("server", "--port", "0", code=6)
    assert "data_in_use" in alone.stderr
    taken = up.orpheus("server", "--port", up.url.rpartition(":")[2], "--data", "elsewhere", code=6)
    assert "port_in_use" in taken.stderr
    refused = up.orpheus("server", "--host", "0.0.0.0", "--port", "0", "--data", "elsewhere", code=2)
    assert "--insecure" in refused.stderr


def test_cancel_stops_running_work(up: Up) -> None:
    """The job ends as cancelled long before it would have ended by itself."""
    with up.client() as client:
        job = client.submit("slow", {"seconds": 60})
        until(lambda: client.get(job.job_id).state == "running", "running")
        up.orpheus("jobs", "cancel", job.job_id, "--reason", "enough")
        assert client.wait(job.job_id, timeout_s=30).state == "cancelled"


def test_ctrl_c_cancels_what_run_began(up: Up) -> None:
    """SIGINT to `run` cancels its job; status 130."""
    process = subprocess.Popen(
        command("run", "slow", "-p", "seconds=60"), cwd=up.folder, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    job_id = ""
    while not job_id:
        line = process.stderr.readline()
        assert line, "run ended early"
        job_id = line.split()[0] if line.rstrip().endswith(" slow") else ""
    with up.client() as client:
        until(lambda: client.get(job_id).state == "running", "running")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)
        assert process.returncode == 130
        assert client.get(job_id).state == "cancelled"


def test_a_killed_server_comes_back_and_loses_nothing(up: Up) -> None:
    """SIGKILL of the server in the middle of a job: it is started again, the clients wait, the job completes."""
    with up.client() as client:
        job = client.submit("slow", {"seconds": 2.0})
        until(lambda: client.get(job.job_id).state == "running", "running")
        live = live_server(up.folder / "orpheus-data")
        assert live is not None
        os.kill(live.pid, signal.SIGKILL)
        other = client.submit("talk", {"text": "while you were away"})
        assert client.result(other.job_id, timeout_s=60) == "WHILE YOU WERE AWAY"
        assert client.result(job.job_id, timeout_s=60) == "done"
        now = live_server(up.folder / "orpheus-data")
        assert now is not None
        assert now.pid != live.pid


def test_a_killed_worker_comes_back(up: Up) -> None:
    """SIGKILL of the worker: another takes its place and new jobs run."""
    with up.client() as client:
        before = {one.pid for one in client.workers() if one.alive}
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        job = client.submit("talk", {"text": "still here"})
        assert client.result(job.job_id, timeout_s=60) == "STILL HERE"


def test_what_a_killed_worker_held_begins_anew_at_once(up: Up) -> None:
    """`up` has seen it die, so nobody waits for its lease (30 s): the second attempt has begun long before."""
    with up.client() as client:
        job = client.submit("slow", {"seconds": 0.5})
        until(lambda: client.get(job.job_id).state == "running", "running")
        for one in client.workers():
            if one.alive:
                os.kill(one.pid, signal.SIGKILL)
        assert client.result(job.job_id, timeout_s=60) == "done"
        (task,) = client.tasks(job.job_id, attempts=True)
        assert not isinstance(task.attempts, msgspec.UnsetType)
        lost, done = task.attempts
        assert (lost.outcome, done.outcome) == ("lost", "completed")
        assert _seconds(lost.started_at, done.started_at) < 20


def _seconds(begin: str | None, end: str | None) -> float:
    assert begin is not None and end is not None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def test_stopping_lets_running_work_finish(tmp_path: Path) -> None:
    """SIGTERM to `up`: the running task ends and is reported, then everything is gone; status 0."""
    mine = begin(tmp_path)
    try:
        with mine.client() as client:
            job = client.submit("slow", {"seconds": 1.5})
            until(lambda: client.get(job.job_id).state == "running", "running")
        children = mine.children()
        assert len(children) == 2
        mine.process.send_signal(signal.SIGTERM)
        assert mine.process.wait(40) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    finally:
        end(mine)
    again = begin(tmp_path)
    try:
        with again.client() as client:
            assert client.wait(job.job_id, timeout_s=30).state == "completed"
            assert [one.attempt for one in client.tasks(job.job_id)] == [1]
        children = again.children()
        again.process.kill()
        again.process.wait()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "the children left behind end")
    finally:
        end(again)


def test_run_alone_starts_what_it_needs_and_leaves_nothing(tmp_path: Path) -> None:
    """No server: `run` starts one, does the job from the user's own module, and stops it; the job is in the file."""
    (tmp_path / "flows.py").write_text(FLOWS)
    done = subprocess.run(
        command("run", "flows.py:talk", "-p", "text=alone", "--json"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["job"]["result"] == "ALONE"
    assert live_server(tmp_path / "orpheus-data") is None
    failed = subprocess.run(
        command("run", "flows.py:broken", "-p", "why=on purpose"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert failed.returncode == 1
    assert "on purpose" in failed.stderr


def test_a_module_that_does_not_load_ends_up_at_once(tmp_path: Path) -> None:
    """No restart can mend it: `up` ends with status 2 and the reason, and leaves nothing running."""
    (tmp_path / "wrong.py").write_text("import nothing_of_this_name\n")
    done = subprocess.run(
        command("up", "--port", "0", "--import", "wrong.py"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 2
    assert "nothing_of_this_name" in done.stderr
    assert live_server(tmp_path / "orpheus-data") is None


def test_unknown_jobs_are_not_found(up: Up) -> None:
    """The client's typed error."""
    with up.client() as client, pytest.raises(NotFound):
        client.get("01890000-0000-7000-8000-000000000000")
