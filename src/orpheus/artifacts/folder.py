"""An object store in a folder.

A put writes to a temporary name in `.tmp/`, fsyncs the file, renames it into place and fsyncs the folder, so that a
crash leaves either the old object, the new one, or a temporary file that the next start removes. Publishing makes a
hard link (a copy where the file system has none): the bytes are written once. All file work runs in a few threads of
its own, so a slow disk does not hold up the event loop.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
import shutil
import stat as stat_module
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from orpheus.artifacts.errors import MissingObject, ObjectTooLarge, UnsafeKey
from orpheus.artifacts.keys import check_key
from orpheus.artifacts.store import ObjectInfo

P = ParamSpec("P")
T = TypeVar("T")

PIECE_BYTES = 1 << 20
"""Written and read in pieces of this size: large enough that a hop to a thread is cheap beside it."""
QUICK_BYTES = 1 << 18
"""Up to this size a look whether an object is intact reads it: about 0.2 ms."""
CLOCK_SLACK_S = 2.0
"""A file system's clock may be that much ahead of ours."""
TEMPORARY = ".tmp"
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


class FolderStore:
    """Keeps objects under `root`.

    Args:
        root: made when missing; temporary files of a crashed server in it are removed.
        sync: False skips every fsync; for tests.
    """

    def __init__(self, root: str | os.PathLike[str], *, sync: bool = True, threads: int = 4) -> None:
        self._root = Path(root).resolve()
        self._sync = sync
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="objects")
        self._temporary = self._root / TEMPORARY
        self._root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(exist_ok=True)

    @property
    def root(self) -> str | None:
        return str(self._root)

    def close(self) -> None:
        """Let the threads end. Safe to call twice."""
        self._threads.shutdown(wait=True)

    # Writing ---------------------------------------------------------------------------------------------------------

    async def put_stream(self, key: str, chunks: AsyncIterable[bytes], *, max_bytes: int | None = None) -> ObjectInfo:
        target = self._path(key)
        temporary, file = await self._run(self._open_temporary)
        digest = hashlib.sha256()
        size = 0
        try:
            pending = bytearray()
            async for chunk in chunks:
                size += len(chunk)
                if max_bytes is not None and size > max_bytes:
                    raise ObjectTooLarge(
                        f"the file is larger than the limit of {max_bytes} bytes",
                        hint="send a smaller file or raise the server's upload limit",
                    )
                pending += chunk
                if len(pending) >= PIECE_BYTES:
                    piece, pending = bytes(pending), bytearray()
                    await self._run(_write, file, digest, piece)
            await self._run(self._finish, file, digest, bytes(pending), temporary, target)
        except BaseException:
            # Not awaited: a cancelled request must not leave its half behind either.
            self._threads.submit(_abandon, file, temporary)
            raise
        return ObjectInfo(key, size, 0.0, digest.hexdigest())

    async def put_bytes(self, key: str, data: bytes) -> ObjectInfo:
        return await self._run(self.put_now, key, data)

    def put_now(self, key: str, data: bytes) -> ObjectInfo:
        """Do what `put_bytes` does, blocking."""
        target = self._path(key)
        temporary, file = self._open_temporary()
        digest = hashlib.sha256()
        try:
            self._finish(file, digest, data, temporary, target)
        except BaseException:
            _abandon(file, temporary)
            raise
        return ObjectInfo(key, len(data), 0.0, digest.hexdigest())

    def _open_temporary(self) -> tuple[Path, BinaryIO]:
        path = self._temporary / secrets.token_hex(16)
        return path, path.open("xb", buffering=0)

    def _finish(self, file: BinaryIO, digest: hashlib._Hash, rest: bytes, temporary: Path, target: Path) -> None:
        _write(file, digest, rest)
        if self._sync:
            _fsync(file.fileno())
        file.close()
        self._make_folder(target.parent)
        temporary.replace(target)
        self._sync_folder(target.parent)

    async def link(self, pairs: list[tuple[str, str]]) -> None:
        if pairs:
            await self._run(self.link_now, pairs)

    def link_now(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Do what `link` does, blocking."""
        folders: dict[Path, None] = {}
        for source_key, target_key in pairs:
            source, target = self._path(source_key), self._path(target_key)
            self._make_folder(target.parent)
            self._link_one(source, target, target_key)
            folders[target.parent] = None
        for folder in folders:
            self._sync_folder(folder)

    def _link_one(self, source: Path, target: Path, target_key: str) -> None:
        try:
            found = source.lstat()
        except (FileNotFoundError, NotADirectoryError):
            if target.is_file():
                return  # an earlier publication that a crash interrupted after the sweep
            raise MissingObject(f"there is no file to publish as {target_key!r}") from None
        if not stat_module.S_ISREG(found.st_mode):
            raise UnsafeKey(f"what should be published as {target_key!r} is not a regular file")
        self._inside(source.parent)
        try:
            os.link(source, target, follow_symlinks=False)
            return
        except FileExistsError:
            standing = target.lstat()
            if (standing.st_dev, standing.st_ino) == (found.st_dev, found.st_ino):
                return
            if not stat_module.S_ISREG(standing.st_mode):
                raise
            # A new generation made the file anew (R20), or a copy stands where links are not possible.
            self._replace_by_link(source, target)
            return
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EACCES):
                raise
        self._copy(source, target)

    def _replace_by_link(self, source: Path, target: Path) -> None:
        temporary = self._temporary / secrets.token_hex(16)
        os.link(source, temporary, follow_symlinks=False)
        temporary.replace(target)

    def _copy(self, source: Path, target: Path) -> None:
        temporary, file = self._open_temporary()
        try:
            with file, source.open("rb") as original:
                shutil.copyfileobj(original, file, PIECE_BYTES)
                if self._sync:
                    _fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    async def delete(self, key: str) -> bool:
        return await self._run(self._delete, key)

    def _delete(self, key: str) -> bool:
        path = self._path(key)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
        folder = path.parent
        while folder != self._root:  # leave no empty folders behind
            try:
                folder.rmdir()
            except OSError:
                break
            folder = folder.parent
        return True

    async def delete_prefix(self, prefix: str) -> None:
        await self._run(self.delete_prefix_now, prefix)

    def delete_prefix_now(self, prefix: str) -> None:
        """Do what `delete_prefix` does, blocking."""
        shutil.rmtree(self._path(prefix), ignore_errors=True)

    # Reading ---------------------------------------------------------------------------------------------------------

    async def stat(self, key: str) -> ObjectInfo | None:
        return await self._run(self._stat, key)

    def _stat(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        try:
            found = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat_module.S_ISREG(found.st_mode):
            return None
        return ObjectInfo(key, found.st_size, found.st_mtime)

    def intact_now(self, key: str, *, sha256: str, size_bytes: int, since: float) -> bool:
        """Tell whether an object is as it was at an instant, as far as a quick look can tell: size, time of change, and the
        content of a small one. Blocking."""
        try:
            path = self._path(key)
            found = path.lstat()
            if not stat_module.S_ISREG(found.st_mode) or found.st_size != size_bytes:
                return False
            if size_bytes > QUICK_BYTES or not sha256:
                return found.st_mtime <= since + CLOCK_SLACK_S
            return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        except (OSError, UnsafeKey):
            return False

    async def read(self, key: str, *, max_bytes: int | None = None) -> bytes:
        def read() -> bytes:
            with self._open(key) as file:
                data = file.read() if max_bytes is None else file.read(max_bytes + 1)
            if max_bytes is not None and len(data) > max_bytes:
                raise ObjectTooLarge(f"object {key!r} is larger than {max_bytes} bytes")
            return data

        return await self._run(read)

    async def open_range(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        file = await self._run(self._open, key)
        try:
            if start:
                file.seek(start)
            left = length
            while left is None or left > 0:
                piece = await self._run(file.read, PIECE_BYTES if left is None else min(PIECE_BYTES, left))
                if not piece:
                    return
                if left is not None:
                    left -= len(piece)
                yield piece
        finally:
            file.close()

    def _open(self, key: str) -> BinaryIO:
        path = self._path(key)
        try:
            self._inside(path.parent)
            descriptor = os.open(path, os.O_RDONLY | _NOFOLLOW | getattr(os, "O_CLOEXEC", 0))
        except (FileNotFoundError, NotADirectoryError, OSError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR):
                raise MissingObject(f"there is no object {key!r}") from None
            raise
        if not stat_module.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise MissingObject(f"there is no object {key!r}")
        return os.fdopen(descriptor, "rb", buffering=0)

    async def walk(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        for info in await self._run(self._found_under, prefix):
            yield info

    def _found_under(self, prefix: str) -> list[ObjectInfo]:
        found = []
        for folder, _folders, names in os.walk(self._path(prefix)):
            for name in names:
                path = Path(folder, name)
                try:
                    status = path.lstat()
                except FileNotFoundError:
                    continue
                if stat_module.S_ISREG(status.st_mode):
                    key = path.relative_to(self._root).as_posix()
                    found.append(ObjectInfo(key, status.st_size, status.st_mtime))
        return found

    async def children(self, prefix: str) -> list[tuple[str, float]]:
        return await self._run(self.children_now, prefix)

    def children_now(self, prefix: str) -> list[tuple[str, float]]:
        """Do what `children` does, blocking."""
        try:
            entries = list(os.scandir(self._path(prefix)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = []
        for entry in entries:
            try:
                found.append((entry.name, entry.stat(follow_symlinks=False).st_mtime))
            except FileNotFoundError:
                continue
        return found

    # Safety ----------------------------------------------------------------------------------------------------------

    def _path(self, key: str) -> Path:
        check_key(key)
        if key.split("/", 1)[0] == TEMPORARY:
            raise UnsafeKey(f"key {key!r} is reserved")
        return self._root / key

    def _inside(self, folder: Path) -> None:
        """Refuse a folder that a symbolic link leads out of the root: a handler may have made one in its run's
        folder."""
        if not folder.resolve().is_relative_to(self._root):
            raise UnsafeKey("the file lies outside the object store")

    def _make_folder(self, folder: Path) -> None:
        missing = []
        step = folder
        while not step.is_dir():
            missing.append(step)
            step = step.parent
        for made in reversed(missing):
            made.mkdir(exist_ok=True)
            self._sync_folder(made.parent)
        self._inside(folder)

    def _sync_folder(self, folder: Path) -> None:
        if self._sync and os.name == "posix":
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if kwargs:
            raise TypeError("keyword arguments are not passed on")
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def _write(file: BinaryIO, digest: hashlib._Hash, piece: bytes) -> None:
    digest.update(piece)
    view = memoryview(piece)
    while view:  # an unbuffered write may take less than all
        view = view[file.write(view) :]


def _fsync(descriptor: int) -> None:
    full = getattr(__import__("fcntl"), "F_FULLFSYNC", None) if os.name == "posix" else None
    if full is not None:  # macOS: fsync alone leaves the data in the drive's cache
        __import__("fcntl").fcntl(descriptor, full)
    else:
        os.fsync(descriptor)


def _abandon(file: BinaryIO, temporary: Path) -> None:
    file.close()
    temporary.unlink(missing_ok=True)
