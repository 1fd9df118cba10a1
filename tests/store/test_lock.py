"""One server per data directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orpheus.store import DataInUse
from orpheus.store.lock import FILE_NAME, DataLock, live_server

HOLDER = """
import sys, time
from pathlib import Path
from orpheus.store.lock import DataLock
lock = DataLock.acquire(Path(sys.argv[1]), url="http://127.0.0.1:8700")
print("held", flush=True)
time.sleep(60)
"""


def hold(directory: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(directory)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    """And may begin as soon as the first is killed: the file it left misleads nobody."""
    process = hold(tmp_path)
    try:
        with pytest.raises(DataInUse, match=rf"pid {process.pid} at http://127.0.0.1:8700") as caught:
            DataLock.acquire(tmp_path)
        assert (caught.value.code, caught.value.status) == ("data_in_use", 409)
        assert live_server(tmp_path) == {"pid": process.pid, "url": "http://127.0.0.1:8700"}
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (tmp_path / FILE_NAME).read_text().startswith("{")
    assert live_server(tmp_path) is None
    with DataLock.acquire(tmp_path):
        pass


def test_what_it_tells_can_be_changed(tmp_path: Path) -> None:
    lock = DataLock.acquire(tmp_path / "new")
    assert live_server(tmp_path / "new") == {"pid": os.getpid()}
    lock.update(url="http://127.0.0.1:1234", note="a long word about it")
    assert live_server(tmp_path / "new")["url"] == "http://127.0.0.1:1234"
    lock.update(note=None)
    assert live_server(tmp_path / "new") == {"pid": os.getpid(), "url": "http://127.0.0.1:1234"}
    with pytest.raises(DataInUse):
        DataLock.acquire(tmp_path / "new")
    lock.release()
    lock.release()
    assert live_server(tmp_path / "new") is None


def test_a_directory_nobody_uses(tmp_path: Path) -> None:
    assert live_server(tmp_path) is None
    assert live_server(tmp_path / "missing") is None
    (tmp_path / FILE_NAME).write_text("not json")
    assert live_server(tmp_path) is None
    DataLock.acquire(tmp_path).release()
