"""Where do files come from and go to? The object store's folder when it is shared with the server, HTTP otherwise.

Everything here blocks and may be used from any thread, in the worker and in its child processes alike.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol
from urllib.parse import quote

import urllib3

from orpheus.artifacts.errors import UnsafeKey
from orpheus.artifacts.keys import RUNS, check_artifact_name, check_key
from orpheus.worker.failures import AttemptError, BadName

CHUNK_BYTES = 1024 * 1024
TRIES = 4


def check_name(name: str) -> str:
    """Return a file name as an artifact may have it.

    Raises:
        BadName: final; the message names the fault.
    """
    try:
        return check_artifact_name(name)
    except UnsafeKey as unsafe:
        raise BadName(unsafe.message, hint=unsafe.hint, final=True, type_name="ValueError") from None


class Objects(Protocol):
    """What an attempt needs of the object store."""

    def path(self, key: str, sha256: str | None, size_bytes: int | None, into: Path) -> Path:
        """Return a local path with the object's content; `into` may be used to hold it."""

    def read(self, key: str) -> bytes:
        """Return a whole (small) object."""

    def folder(self, attempt_folder: Path) -> Path:
        """Return the folder in which the attempt's files are written."""

    def deliver(self, path: Path, name: str, sha256: str) -> None:
        """Make the file, which lies at `folder/name`, the run's for good: durable before the report (R10)."""

    def discard(self, folder: Path) -> None:
        """Remove the files of an attempt that came to nothing."""


class SharedObjects:
    """The object store's folder itself: nothing is copied."""

    def __init__(self, root: Path, run_id: str) -> None:
        self._root = root
        self._run_id = run_id

    def path(self, key: str, sha256: str | None, size_bytes: int | None, into: Path) -> Path:
        path = self._root / _safe_key(key)
        if not path.is_file():
            raise AttemptError(f"the object {key!r} is not in the object store", hint="Was its job pruned?")
        return path

    def read(self, key: str) -> bytes:
        return self.path(key, None, None, self._root).read_bytes()

    def folder(self, attempt_folder: Path) -> Path:
        return self._root / RUNS / self._run_id

    def deliver(self, path: Path, name: str, sha256: str) -> None:
        # The content was synced as it was written; now the directories on the way, so that the entries are there too.
        top = self._root / RUNS
        for folder in [path.parent, *path.parent.parents]:
            sync_directory(folder)
            if folder == top:
                break

    def discard(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)


class RemoteObjects:
    """Over HTTP, with the token of the run; downloads go through a cache that attempts share."""

    def __init__(
        self,
        server: str,
        api_key: str | None,
        *,
        run_id: str,
        run_token: str,
        cache: Cache,
        pool: urllib3.PoolManager,
    ) -> None:
        self._server = server.rstrip("/")
        self._run_id = run_id
        self._headers = {"X-Run-Token": run_token, "X-Run-Id": run_id}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._cache = cache
        self._pool = pool

    def path(self, key: str, sha256: str | None, size_bytes: int | None, into: Path) -> Path:
        into.mkdir(parents=True, exist_ok=True)
        # The attempt gets a link of its own: the cache may drop the file meanwhile without harm.
        target = into / f"{secrets.token_hex(4)}{PurePosixPath(key).suffix}"
        if sha256 and self._cache.link(sha256, target):
            return target
        part = target.with_name(target.name + ".part")
        self._download(key, part, sha256)
        part.rename(target)
        if sha256:
            self._cache.add(sha256, target)
        return target

    def read(self, key: str) -> bytes:
        return b"".join(self._chunks(key))

    def folder(self, attempt_folder: Path) -> Path:
        return attempt_folder / "files"

    def deliver(self, path: Path, name: str, sha256: str) -> None:
        url = f"{self._server}/worker/runs/{quote(self._run_id)}/files/{quote(name)}"
        size = path.stat().st_size
        headers = self._headers | {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        for attempt in range(TRIES):
            with path.open("rb") as content:
                try:
                    response = self._pool.request("PUT", url, body=content, headers=headers, timeout=_TIMEOUT)
                except urllib3.exceptions.HTTPError as broken:
                    why = str(broken)
                else:
                    if response.status in (200, 201, 204):
                        return
                    why = f"HTTP {response.status} {response.data[:300]!r}"
                    if response.status < 500 and response.status not in (408, 429):
                        raise AttemptError(f"uploading {name!r} was refused: {why}")
            time.sleep(0.2 * 4**attempt)
        raise AttemptError(f"uploading {name!r} failed {TRIES} times: {why}")

    def discard(self, folder: Path) -> None:
        """Nothing: the folder goes with the attempt's own, and the server sweeps what was uploaded."""

    def _download(self, key: str, target: Path, sha256: str | None) -> None:
        digest = hashlib.sha256()
        with target.open("wb") as out:
            for chunk in self._chunks(key):
                digest.update(chunk)
                out.write(chunk)
        if sha256 and digest.hexdigest() != sha256:
            target.unlink()
            raise AttemptError(f"the object {key!r} arrived with another sha256 than was promised")

    def _chunks(self, key: str) -> Iterator[bytes]:
        url = f"{self._server}/worker/objects/{quote(_safe_key(key))}"
        for attempt in range(TRIES):
            try:
                response = self._pool.request(
                    "GET", url, headers=self._headers, preload_content=False, timeout=_TIMEOUT
                )
            except urllib3.exceptions.HTTPError as broken:
                why = str(broken)
            else:
                with contextlib.closing(response):
                    if response.status == 200:
                        yield from response.stream(CHUNK_BYTES, decode_content=False)
                        return
                    why = f"HTTP {response.status} {response.data[:300]!r}"
                    if response.status < 500 and response.status not in (408, 429):
                        break
            time.sleep(0.2 * 4**attempt)
        raise AttemptError(f"downloading {key!r} failed: {why}")


_TIMEOUT = urllib3.Timeout(connect=10, read=120)


class Cache:
    """Downloaded files by sha256, bounded; the least recently used go first. Several processes may share the folder."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self._folder = folder
        self._bytes_max = bytes_max

    def link(self, sha256: str, target: Path) -> bool:
        """Link the cached file to `target`, if there is one."""
        try:
            os.link(self._folder / sha256, target)
            os.utime(self._folder / sha256)
        except OSError:
            return target.exists()
        return True

    def add(self, sha256: str, path: Path) -> None:
        """Keep a file whose content was checked. Its size may not exceed half of the bound."""
        try:
            if path.stat().st_size * 2 > self._bytes_max:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            path.chmod(0o444)  # shared by all attempts that read it
            with contextlib.suppress(FileExistsError):
                os.link(path, self._folder / sha256)
            self._trim()
        except OSError:
            return  # a cache that cannot be written is only slower

    def _trim(self) -> None:
        entries = []
        for entry in os.scandir(self._folder):
            with contextlib.suppress(OSError):
                found = entry.stat()
                entries.append((found.st_mtime, found.st_size, entry.path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._bytes_max:
                return
            with contextlib.suppress(OSError):
                Path(path).unlink()
            total -= size


def write_synced(source: BinaryIO, target: Path) -> tuple[str, int]:
    """Write `source` to `target`, synced, in one pass; return sha256 and size. A crash leaves at most a `.part` file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    digest = hashlib.sha256()
    size = 0
    try:
        with part.open("wb") as out:
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                out.write(chunk)
                size += len(chunk)
            out.flush()
            os.fsync(out.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return digest.hexdigest(), size


def sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def shares_folder(root: str, probe: str, text: str) -> bool:
    """Tell whether `root` here is the server's object store: the file it wrote there reads the same, and we may write."""
    if not root or not probe or not text:
        return False
    try:
        folder = Path(root)
        return (folder / _safe_key(probe)).read_text() == text and os.access(folder, os.W_OK)
    except (OSError, UnicodeDecodeError, AttemptError):
        return False


def _safe_key(key: str) -> str:
    try:
        return check_key(key)
    except UnsafeKey as unsafe:
        raise AttemptError(unsafe.message, hint=unsafe.hint, final=True) from None
