"""Who holds the data directory? One server at a time, by a lock the kernel gives back when the process dies.

`orpheus.lock` holds JSON about the live server: `pid`, and once it listens, `url`. What the file says counts only while
somebody holds its lock, so a file left by a killed process misleads nobody and never has to be removed.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from orpheus.store.errors import DataInUse

FILE_NAME = "orpheus.lock"
_TRIES = 10
_PAUSE_S = 0.01


class DataLock:
    """The exclusive lock on a data directory, held until `release` or the end of the process."""

    def __init__(self, handle: int, path: Path, info: dict[str, Any]) -> None:
        self.path = path
        self._handle = handle
        self._info = info
        self._released = False

    @classmethod
    def acquire(cls, directory: Path, **info: Any) -> DataLock:
        """Take the lock; the directory is made if it is missing.

        Args:
            info: told to whoever reads the lock, beside the pid (`url` …).

        Raises:
            DataInUse: another process (or another lock of this one) holds it; the message names the pid.
        """
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / FILE_NAME
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(handle)
        except BlockingIOError:
            holder = _parse(_content(handle))
            os.close(handle)
            pid, url = holder.get("pid", "unknown"), holder.get("url")
            where = f" at {url}" if url else ""
            raise DataInUse(
                f"{directory} is in use by the server with pid {pid}{where}",
                hint="use that server, stop it, or name another directory with --data",
            ) from None
        except BaseException:
            os.close(handle)
            raise
        lock = cls(handle, path, {"pid": os.getpid()})
        lock.update(**info)
        return lock

    def update(self, **info: Any) -> None:
        """Tell more about the server, such as its `url` once it listens. None takes a field away."""
        assert not self._released, "the lock was released"
        self._info.update(info)
        self._info = {key: value for key, value in self._info.items() if value is not None}
        text = json.dumps(self._info).encode() + b"\n"
        # Padded rather than shortened first: a reader in between never sees an empty file.
        os.pwrite(self._handle, text.ljust(os.fstat(self._handle).st_size), 0)
        os.ftruncate(self._handle, len(text))

    def release(self) -> None:
        """Give the lock back. Safe to call twice."""
        if self._released:
            return
        self._released = True
        os.ftruncate(self._handle, 0)
        os.close(self._handle)

    def __enter__(self) -> DataLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def live_server(directory: Path) -> Mapping[str, Any] | None:
    """Return what the server that holds the directory tells of itself (`pid`, `url` …), or None when none is alive."""
    try:
        handle = os.open(directory / FILE_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _parse(_content(handle))
    finally:
        os.close(handle)
    return None


def _lock(handle: int) -> None:
    """Take the exclusive lock, trying for a moment: `live_server` holds a shared one for an instant."""
    for _ in range(_TRIES - 1):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        else:
            return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _content(handle: int) -> bytes:
    return os.pread(handle, 65_536, 0)


def _parse(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
