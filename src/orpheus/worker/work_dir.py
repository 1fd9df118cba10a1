"""Where do attempts keep what is temporary? A private folder per worker process; leftovers of killed ones are removed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path


class WorkDir:
    """The worker's folder, as a context manager.

    `base/` holds `cache/` (shared by all workers of this user) and one `w-{pid}-{random}/` per worker process.
    """

    def __init__(self, base: Path | None) -> None:
        self._base = base or Path(tempfile.gettempdir()) / f"orpheus-{os.getuid()}"
        self.cache = self._base / "cache"
        self.path = self._base / f"w-{os.getpid()}-{secrets.token_hex(4)}"

    def __enter__(self) -> WorkDir:
        self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._base.stat().st_uid != os.getuid():
            raise PermissionError(f"{self._base} belongs to somebody else; choose another work_dir")
        self._remove_leftovers()
        self.path.mkdir(mode=0o700)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _remove_leftovers(self) -> None:
        for entry in self._base.glob("w-*-*"):
            pid = entry.name.split("-")[1]
            if pid.isdigit() and not _alive(int(pid)):
                shutil.rmtree(entry, ignore_errors=True)


def _alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True
        return True
    return False
