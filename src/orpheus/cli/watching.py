"""Which files of a folder are to be submitted, and which were? What `orpheus watch` knows, apart from sockets and waiting.

A file is submitted once it has kept its size and time for a while. What became of it is remembered in a state file, line by
line; beside it, each submission carries an idempotency key made of path and content, so a crash between the server's answer
and the line that remembers it makes no second job.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

STATE = ".orpheus-watch.jsonl"
UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".download", ".filepart", ".swp")
"""How programs name what they have not finished writing."""
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Look:
    """A file as it was seen. The same again means that nobody has written to it."""

    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Look:
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


@dataclass(frozen=True, slots=True)
class Known:
    """What became of a file: its job, or none because it was there before the watch began or was refused."""

    look: Look
    sha256: str | None = None
    job_id: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files are meant."""

    patterns: tuple[str, ...] = ()
    """Of names, whatever their case; none means all."""
    recursive: bool = False

    def takes(self, name: str) -> bool:
        """Tell whether a file of this name is meant; hidden and unfinished ones never are."""
        lowered = name.lower()
        if lowered.startswith((".", "~$")) or lowered.endswith((*UNFINISHED, "~")):
            return False
        return not self.patterns or any(fnmatch.fnmatchcase(lowered, pattern.lower()) for pattern in self.patterns)


def scan(folder: Path, selection: Selection) -> dict[str, Look]:
    """Return the files that are meant, by their path in the folder. Links are not followed: they lead elsewhere.

    Raises:
        OSError: the folder itself cannot be read.
    """
    return dict(_scan(folder, "", selection))


def _scan(folder: Path, prefix: str, selection: Selection) -> Iterator[tuple[str, Look]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    if selection.recursive and not entry.name.startswith("."):
                        yield from _scan(Path(entry.path), f"{prefix}{entry.name}/", selection)
                elif stat.S_ISREG(found.st_mode) and selection.takes(entry.name):
                    yield f"{prefix}{entry.name}", Look.of(found)
            except OSError:  # it is gone again, or not ours to read: the next look tells
                continue


class Memory:
    """The state file: what became of each file, appended line by line and synced.

    Raises:
        OSError: it cannot be read or written; `BlockingIOError` when another watch holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_new = not path.exists()
        self._file: IO[str] = path.open("a+", encoding="utf-8")
        try:
            _lock(self._file)
        except OSError:
            self._file.close()
            raise
        self.known: dict[str, Known] = {}
        self._file.seek(0)
        for line in self._file:
            self._read(line)

    def _read(self, line: str) -> None:
        try:
            said = json.loads(line)
            self.known[said["path"]] = Known(Look(**said["look"]), said.get("sha256"), said.get("job_id"))
        except (ValueError, KeyError, TypeError):
            return  # the last line of a watch that was killed while it wrote; the key prevents a second job

    def remember(self, path: str, known: Known) -> None:
        """Write down what became of a file; what was refused is tried again by the next watch."""
        self.known[path] = known
        if known.refused is None:
            self._file.write(_line(path, known))
            self._file.flush()
            os.fsync(self._file.fileno())

    def forget_all_but(self, paths: Mapping[str, Any]) -> None:
        """Drop files that are gone, and write the state file anew in its shortest form."""
        self.known = {path: known for path, known in self.known.items() if path in paths}
        # In its place and not by a rename, which would leave the lock with a file that is gone. A crash in between loses
        # lines; the keys prevent second jobs then.
        self._file.seek(0)
        self._file.truncate()
        self._file.write("".join(_line(path, known) for path, known in self.known.items()))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _line(path: str, known: Known) -> str:
    told = {"path": path, "look": asdict(known.look), "sha256": known.sha256, "job_id": known.job_id}
    return json.dumps(told) + "\n"


def _lock(file: IO[str]) -> None:
    try:
        import fcntl  # noqa: PLC0415 (not on Windows, where two watches of a folder share its keys all the same)
    except ImportError:
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Watched:
    """The files of a folder over time.

    Args:
        settle_s: how long a file has to stay as it is.
        existing: also submit what was there before the first watch.
    """

    def __init__(self, memory: Memory, *, settle_s: float, existing: bool) -> None:
        self._memory = memory
        self._settle_s = settle_s
        self._existing = existing
        self._since: dict[str, tuple[Look, float]] = {}
        self._began = False
        self.renamed: list[tuple[str, str]] = []
        """Files that were submitted under another name: `(before, now)`, since the last look."""

    def see(self, files: Mapping[str, Look], now: float) -> list[str]:
        """Take in what the folder holds now; return the files that are ready to be submitted, in order."""
        if not self._began:
            self._began = True
            if self._memory.is_new and not self._existing:
                for path, look in files.items():
                    self._memory.remember(path, Known(look))
        self.renamed = []
        ready = []
        for path in sorted(files):
            look = files[path]
            known = self._memory.known.get(path)
            if known is not None and known.look == look and (known.job_id or known.refused or not self._existing):
                self._since.pop(path, None)
                continue
            if known is None and self._was_renamed(path, look, files):
                continue
            before = self._since.get(path)
            if before is None or before[0] != look:
                self._since[path] = (look, now)
                before = (look, now)
            if look.size_bytes and now - before[1] >= self._settle_s:
                ready.append(path)
        for path in [path for path in self._since if path not in files]:
            del self._since[path]
        return ready

    def is_quiet(self) -> bool:
        """Tell whether no file waits to settle or to be submitted; an empty one waits for somebody to write to it."""
        return all(look.size_bytes == 0 for look, _since in self._since.values())

    def _was_renamed(self, path: str, look: Look, files: Mapping[str, Look]) -> bool:
        for before, known in self._memory.known.items():
            if known.look == look and before not in files:
                self._memory.remember(path, known)
                self.renamed.append((before, path))
                return True
        return False


def sha256_of(path: Path) -> str:
    """Return a file's hash.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def key_of(path: Path, sha256: str, workflow: str, params: Mapping[str, Any]) -> str:
    """Return the idempotency key of one content under one name for one use (R21)."""
    told = json.dumps([str(path.resolve()), sha256, workflow.partition("@")[0], params], sort_keys=True, default=str)
    return f"watch:{hashlib.sha256(told.encode()).hexdigest()}"
