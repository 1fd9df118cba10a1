"""A real server and a real worker as processes, as a user starts them, and the public client to talk to them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from orpheus.client import Client


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Deployment:
    """`orpheus up` in a folder of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = (folder / "up.log").open("wb")
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "orpheus.cli",
                "up",
                "--data",
                str(folder / "data"),
                "--port",
                str(self.port),
                *arguments,
            ],
            stdout=self.log,
            stderr=self.log,
            cwd=folder,
            env=os.environ | {"NO_COLOR": "1"},
        )
        self._wait_ready()
        self.client = Client(self.url)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, Path(self.log.name).read_text()
            try:
                urllib.request.urlopen(f"{self.url}/readyz", timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"not ready:\n{Path(self.log.name).read_text()}")

    def stop(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.log.close()


FLOWS = """
from orpheus import Retry, Sensitive, task, workflow


@task
def step(name: str, before: list[str]) -> str:
    return name


@task
def double(x: int) -> int:
    return 2 * x


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@workflow
def doubled(numbers: list[int]) -> int:
    return total(double.map(numbers))


@task(executor="process", retry=Retry(max_retries=0))
def sign(text: str, key: Sensitive[str]) -> Sensitive[str]:
    print("signing with", key)
    if not text:
        raise ValueError(f"{key} signs nothing")
    return f"{text} by {key}"


@workflow
def signed(text: str, key: Sensitive[str], spare: list[Sensitive[str]] = []) -> Sensitive[str]:
    return sign(text, key)
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("up")
    (folder / "flows.py").write_text(FLOWS)
    deployment = Deployment(folder, "--import", "flows.py")
    yield deployment
    deployment.stop()
