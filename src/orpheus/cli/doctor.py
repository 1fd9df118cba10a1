"""`orpheus doctor`"""

from __future__ import annotations

import importlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from orpheus.cli.connect import live_server
from orpheus.cli.exits import ExitCode
from orpheus.cli.output import JsonFlag, note, print_json, say
from orpheus.cli.worker import tell_tasks
from orpheus.media.available import available
from orpheus.settings import Settings, load

app = typer.Typer(add_completion=False)

SQLITE_LEAST = (3, 37, 0)
"""STRICT tables."""
PYTHON_LEAST = (3, 11)
CLOCK_LEAST_YEAR = 2025
FREE_LEAST_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `missing` is something optional that is not there; only `bad` makes the command fail."""

    name: str
    state: Literal["ok", "missing", "bad"]
    found: str
    hint: str = ""


@app.command()
def doctor(
    *,
    data: Annotated[
        Path | None, typer.Option(help="Data directory, or a backup. (default: ./orpheus-data)", metavar="DIR")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read the whole database and every file; no server may work on them.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Check what this machine has and lacks, and say what to install."""
    settings = load({"data": data}).settings
    checks = [*system_checks(), clock_check(), *data_checks(settings), port_check(settings), *media_checks(settings)]
    if deep:
        checks.append(deep_check(settings))
    bad = any(one.state == "bad" for one in checks)
    if json:
        print_json({"ok": not bad, "checks": checks})
    else:
        marks = {"ok": "ok     ", "missing": "missing", "bad": "BAD    "}
        for one in checks:
            say(f"{marks[one.state]}  {one.name:<16} {one.found}")
            if one.hint:
                say(f"{'':9}{'':<16} → {one.hint}")
        note("something needs attention" if bad else "all is well")
    raise typer.Exit(ExitCode.FAILED if bad else ExitCode.OK)


def system_checks() -> Iterator[Check]:
    """Python and SQLite are new enough."""
    version = ".".join(map(str, sys.version_info[:3]))
    new = sys.version_info[:2] >= PYTHON_LEAST
    yield Check("python", "ok" if new else "bad", version, "" if new else "Python 3.11 or newer is needed.")
    enough = sqlite3.sqlite_version_info >= SQLITE_LEAST
    yield Check(
        "sqlite",
        "ok" if enough else "bad",
        sqlite3.sqlite_version,
        "" if enough else "Use a Python with SQLite 3.37 or newer.",
    )


def clock_check() -> Check:
    """The clock is not off by years; leases don't depend on it, but times that people read do."""
    now = datetime.now(UTC)
    sound = now.year >= CLOCK_LEAST_YEAR
    shown = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Check("clock", "ok" if sound else "bad", shown, "" if sound else "Set the clock, e.g. by NTP.")


def deep_check(settings: Settings) -> Check:
    """Every page of the database and every file it names is as it was written."""
    from orpheus.store.backup import DATABASE, check  # noqa: PLC0415 (not on Windows)

    live = live_server(settings.data)
    if live is not None:
        hint = "Stop it, or check a backup: orpheus backup DIR, then doctor --data DIR --deep."
        return Check("integrity", "missing", f"process {live.pid} works in {settings.data}", hint)
    if not (settings.data / DATABASE).is_file():
        return Check("integrity", "missing", f"there is no database in {settings.data}")
    faults = check(settings.data, deep=True)
    if not faults:
        return Check("integrity", "ok", f"database and files of {settings.data} are sound")
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Check("integrity", "bad", faults[0] + more, "Restore a backup: docs/backup.md.")


def data_checks(settings: Settings) -> Iterator[Check]:
    """The data directory can be written, lies on a disk that locks, and has room."""
    live = live_server(settings.data)
    if live is not None:
        yield Check("server", "ok", f"process {live.pid} serves {settings.data} at {live.url}")
    folder = settings.data.absolute()
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            os.fsync(file.fileno())
    except OSError as error:
        yield Check("data directory", "bad", f"{settings.data}: {error.strerror}", "Name another one with --data.")
        return
    free = shutil.disk_usage(folder).free
    roomy = free >= FREE_LEAST_BYTES
    kind = _file_system(folder)
    if kind in ("nfs", "nfs4", "cifs", "smbfs", "9p"):
        yield Check("data directory", "bad", f"{settings.data} on {kind}", "SQLite needs a local disk.")
        return
    yield Check(
        "data directory",
        "ok" if roomy else "bad",
        f"{settings.data} can be written, {free / 1e9:.1f} GB free",
        "" if roomy else "Free some space, or name another one with --data.",
    )


def _file_system(folder: Path) -> str:
    """Return the kind of file system, where Linux tells."""
    best, kind = "", ""
    try:
        for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
            _device, mount, found, *_rest = line.split()
            if folder.is_relative_to(mount) and len(mount) >= len(best):
                best, kind = mount, found
    except (OSError, ValueError):
        return ""
    return kind


def port_check(settings: Settings) -> Check:
    """The usual port is free, or ours already."""
    live = live_server(settings.data)
    if live is not None and live.url.endswith(f":{settings.port}"):
        return Check("port", "ok", f"{settings.port} is served by process {live.pid}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return Check(
                "port", "missing", f"{settings.host}:{settings.port}: {error.strerror}", "Choose one with --port."
            )
    return Check("port", "ok", f"{settings.host}:{settings.port} is free")


def media_checks(settings: Settings) -> Iterator[Check]:
    """What the shipped workflows need beside the core."""
    tell_tasks(settings)
    yield from (Check(one.name, one.state, one.found, one.hint) for one in available())
    yield _ffmpeg(settings)


def _ffmpeg(settings: Settings) -> Check:
    program = str(settings.ffmpeg) if settings.ffmpeg else _bundled_ffmpeg() or shutil.which("ffmpeg")
    if not program:
        return Check(
            "ffmpeg", "missing", "none found", "pip install 'orpheus-jobs[video]', or point ORPHEUS_FFMPEG to one."
        )
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        return Check(
            "ffmpeg", "bad" if settings.ffmpeg else "missing", f"{program}: {error}", "Point ORPHEUS_FFMPEG to one."
        )
    return Check("ffmpeg", "ok", " ".join(done.stdout.split()[:3]))


def _bundled_ffmpeg() -> str | None:
    try:
        module = importlib.import_module("imageio_ffmpeg")
        return str(module.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None
