"""What can be chosen about a worker. The command line fills this in; nothing below it reads flags or settings files."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MIB = 1024 * 1024


def _default_concurrency() -> int:
    return max(2, os.cpu_count() or 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Options of one worker process."""

    server: str = "http://127.0.0.1:8700"
    """Base URL of the server, with its root path if it has one."""
    name: str = ""
    """For people; need not be unique. Default: `host-pid`."""
    queues: tuple[str, ...] = ()
    """Queues to serve; empty is all."""
    concurrency: int = field(default_factory=_default_concurrency)
    """Attempts that run at the same time."""
    resources: Mapping[str, int] = field(default_factory=dict)
    """What tasks may ask for, e.g. `{"gpu": 2, "vram_mb": 24000}`."""
    imports: tuple[str, ...] = ()
    """Modules (`flows`, `pkg.flows`) or files (`path/flows.py`) whose tasks and workflows this worker offers."""
    drain_s: float = 30.0
    """How long running attempts may go on after the first SIGTERM."""
    api_key: str | None = field(default=None, repr=False)
    """A key with the role `worker`."""
    supervised: bool = False
    """Started by `orpheus up` or `orpheus run`: /readyz waits for it, and it drains when its parent process is gone."""
    log_json: bool = False
    """Write this worker's own log as JSON lines instead of text."""
    log_level: str = "info"
    prefetch: int | None = None
    """Attempts to hold ready beyond `concurrency`; their leases and time limits already run while they wait here. None is
    as many as short tasks are worked off in a tenth of a second, and none of long ones or where there are `resources`."""
    child_memory_bytes: int | None = None
    """Address space limit (RLIMIT_AS) of each child process; None is no limit."""
    child_max_runs: int | None = None
    """Replace a child process after so many attempts; None never."""
    work_dir: Path | None = None
    """Where temporary folders and the file cache live. Default: a private folder under the system's temporary folder."""
    cache_bytes: int = 10 * 1024 * MIB
    """Bound of the cache of downloaded files; used only when the object store's folder cannot be read directly."""
    objects: Literal["auto", "http"] = "auto"
    """`http` downloads and uploads even where the object store's folder is shared."""
    secrets_file: Path | None = None
    """JSON object or `NAME=value` lines, looked at after the environment (`ORPHEUS_SECRET_NAME`)."""
    log_bytes_max: int = MIB
    """Bound of one attempt's log; what comes after is counted and dropped."""
    margin_s: float | None = None
    """How long before the end of its lease a worker without contact stops its work (R7). Default: a fifth of the lease."""

    @property
    def display_name(self) -> str:
        return self.name or f"{platform.node() or 'worker'}-{os.getpid()}"
