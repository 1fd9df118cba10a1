"""A real server and a real worker, what they leave behind, and small files of every kind that keep them busy for a while."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PIL import Image, ImageDraw

from orpheus.client import Client, ClientError
from orpheus.media import video

T = TypeVar("T")
LEASE_S = 2.0
_MARK = "MARK_OF_A_TEST"


def until(found: Callable[[], T], what: str, *, timeout_s: float = 60.0) -> T:
    """Wait until something is true, and return it."""
    end = time.monotonic() + timeout_s
    while True:
        if value := found():
            return value
        assert time.monotonic() < end, f"{what} did not happen in {timeout_s:g} s"
        time.sleep(0.02)


class Cluster:
    """A server and one worker, whose processes are known by a mark in their environment and share a folder for what is temporary."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._mark = uuid.uuid4().hex
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ORPHEUS_", "REPLICATE_"))}
        self._environment = inherited | {
            "TMPDIR": str(self.temporary),
            "NO_COLOR": "1",
            "ORPHEUS_LEASE_S": str(LEASE_S),
        }
        self._environment |= environment
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._server = self._start(folder / "server.log", "server", "--port", str(port), "--data", str(folder / "data"))
        self.client = Client(self.url)
        self.worker = self.start_worker()

    def _start(self, log: Path, *words: str) -> subprocess.Popen[bytes]:
        environment = self._environment | {_MARK: f"{self._mark} {words[0]}"}
        with log.open("ab") as out:
            argv = [sys.executable, "-m", "orpheus.cli", *words]
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, cwd=self.folder
            )

    def start_worker(self) -> subprocess.Popen[bytes]:
        self.worker = self._start(self.folder / "worker.log", "worker", "--server", self.url, "--concurrency", "4")
        until(self._is_there, "a worker that has said hello")
        return self.worker

    def _is_there(self) -> bool:
        try:
            return any(one.pid == self.worker.pid for one in self.client.workers())
        except ClientError:
            return False  # the server is about to begin

    def kill_worker(self) -> set[int]:
        """SIGKILL: no handler, no goodbye. Returns the processes that it had started."""
        started = self.processes("worker") - {self.worker.pid}
        self.worker.send_signal(signal.SIGKILL)
        self.worker.wait()
        return started

    def processes(self, of: str = "") -> set[int]:
        """Return the processes that live in this cluster's environment, its `server` and its `worker` and what they have started.

        Args:
            of: only those of the `server` or the `worker`.
        """
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if (
                        f"{self._mark} {of}".encode() in (entry / "environ").read_bytes()
                        and " Z " not in (entry / "stat").read_text()
                    ):
                        found.add(int(entry.name))
                except OSError:
                    continue
        return found

    def programs(self) -> list[str]:
        """Return the command lines of what the worker's tasks have started."""
        found = []
        for pid in self.processes():
            line = _command_line(pid)
            if "ffmpeg" in line.partition(" ")[0] or "orpheus.media.guard" in line:
                found.append(line)
        return found

    def children(self) -> set[int]:
        """Return the worker's child processes that make attempts."""
        return {pid for pid in self.processes() if "orpheus.worker.child" in _command_line(pid)}

    def left(self) -> list[str]:
        """Return temporary files of attempts."""
        folders = self.temporary.glob("orpheus-*/w-*/*")
        strange = (one for one in self.temporary.iterdir() if not one.name.startswith("orpheus-"))
        dead = (one for one in self.temporary.glob("orpheus-*/w-*") if one.name.split("-")[1] != str(self.worker.pid))
        return [str(one.relative_to(self.temporary)) for one in (*folders, *strange, *dead)]

    def stop(self) -> None:
        for process in (self.worker, self._server):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.client.close()

    def told(self) -> str:
        return (self.folder / "worker.log").read_text(errors="replace")[-3000:]


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:
        return ""  # it has ended


SOON_S = 2.0
"""From the order to cancel until nothing of the task is left."""
TRIES = 3
"""Other work on this machine may hold up one of them; what does not heed a cancel is late in all."""


def stops_soon(
    cluster: Cluster,
    workflow: str,
    task: str,
    params: dict[str, Any],
    *,
    in_child: bool = False,
    under_way: Callable[[str], object] = lambda _job_id: True,
    gone: Callable[[str], object] = lambda _job_id: True,
) -> None:
    """Cancel a job in the middle of a task: in one of three tries its processes, files and the task itself are gone in time.

    Args:
        in_child: the task has a process of its own, which ends with it.
        under_way: of the job, tells that the task is at what takes long.
        gone: of the job, tells what else has to be over.
    """
    took = []
    for _ in range(TRIES):
        took.append(_stops_in(cluster, workflow, task, params, in_child=in_child, under_way=under_way, gone=gone))
        if took[-1] <= SOON_S:
            return
    pytest.fail(f"{task} took {', '.join(f'{one:.1f}' for one in took)} s to stop, not {SOON_S:g} s\n{cluster.told()}")


def _stops_in(
    cluster: Cluster,
    workflow: str,
    task: str,
    params: dict[str, Any],
    *,
    in_child: bool,
    under_way: Callable[[str], object],
    gone: Callable[[str], object],
) -> float:
    client = cluster.client
    job_id = client.submit(workflow, params, requires_approval=False).job_id
    until(
        lambda: any(one.state == "running" and one.run_id for one in client.tasks(job_id, node=task)),
        f"a running {task}",
    )
    until(lambda: under_way(job_id), f"the long part of {task}")
    time.sleep(0.7)  # into the call that takes long
    assert client.get(job_id).state == "running"
    children = cluster.children()
    client.cancel(job_id, reason="enough")
    began = time.monotonic()
    until(lambda: client.get(job_id).state == "cancelled", "the end of the job", timeout_s=20)
    until(lambda: not cluster.programs(), "the end of its programs", timeout_s=20)
    until(lambda: not in_child or children - cluster.children(), "the end of its process", timeout_s=20)
    until(lambda: not cluster.left(), "the end of its files", timeout_s=20)
    until(lambda: gone(job_id), "the end of what it had begun elsewhere", timeout_s=20)
    took_s = time.monotonic() - began
    assert not any(one.running for one in client.workers()), "a slot is still taken"
    return took_s


# Files
# -------------------------------------------------------------------------------------------------------------


def make_photo(path: Path, number: int = 0, size: tuple[int, int] = (1600, 1200)) -> Path:
    """A picture that takes a while to encode; another one for every number."""
    noise = Image.effect_noise((size[0] // 4, size[1] // 4), 90).resize(size)
    picture = Image.merge("RGB", (noise, noise.rotate(90 + number, expand=False), noise.rotate(180)))
    ImageDraw.Draw(picture).ellipse((100, 100, 900 + number, 900), fill=(200, 40, number % 255))
    picture.save(path, quality=80)
    return path


def make_video(path: Path, *, seconds: float, size: str = "640x360", sound: bool = False) -> Path:
    """Moving bars; silent, or with a tone."""
    argv = [
        video.ffmpeg(),
        "-nostdin",
        "-loglevel",
        "error",
        "-y",
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=s={size}:r=25:d={seconds}",
        *(("-f", "lavfi", "-i", f"sine=d={seconds}") if sound else ()),
    ]
    subprocess.run([*argv, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)], check=True)
    return path


def make_sound(path: Path, *, seconds: float) -> Path:
    """A tone."""
    argv = [video.ffmpeg(), "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", f"sine=d={seconds}:r=22050"]
    subprocess.run([*argv, str(path)], check=True)
    return path


def make_scan(path: Path, text: str) -> Path:
    """A PDF of one page that is a picture of text."""
    page = Image.new("L", (1240, 1754), 255)
    ImageDraw.Draw(page).multiline_text((120, 140), "\n".join([text] * 20), fill=0, font_size=32)
    page.save(path, resolution=150)
    return path


def first_seconds(source: Path, target: Path, seconds: float) -> Path:
    """The beginning of a video or recording."""
    argv = [video.ffmpeg(), "-nostdin", "-loglevel", "error", "-y", "-i", str(source), "-t", str(seconds)]
    subprocess.run([*argv, "-c:v", "libx264", "-preset", "ultrafast", str(target)], check=True)
    return target


def board(client: Client, folder: Path, *, count: int = 2, seconds: float = 2.0, **changes: Any) -> dict[str, Any]:
    """A storyboard of uploaded pictures."""
    scenes = []
    for number in range(count):
        file = client.upload(make_photo(folder / f"still-{number}.jpg", number, (640, 400)))
        scene = {"id": f"s{number}", "image": {"file_id": file.file_id}, "duration_s": seconds, "motion": "zoom_in"}
        scenes.append(scene | changes.get(f"s{number}", {}))
    return {"size": [480, 270], "fps": 25, "scenes": scenes}
