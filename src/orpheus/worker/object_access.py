"""Which way do this worker's files go? Decided once, at the welcome: the shared folder if it is one, else HTTP."""

from __future__ import annotations

from pathlib import Path

import urllib3

from orpheus.protocol.worker import Assignment, Welcome
from orpheus.worker.objects import Cache, Objects, RemoteObjects, SharedObjects, shares_folder
from orpheus.worker.options import WorkerOptions


class ObjectAccess:
    """How attempts of this process reach the object store."""

    def __init__(self, options: WorkerOptions, welcome: Welcome, cache_dir: Path) -> None:
        self.root = Path(welcome.objects_root)
        self.remote = options.objects == "http" or not shares_folder(
            welcome.objects_root, welcome.objects_probe, welcome.objects_probe_text
        )
        self.cache_dir = cache_dir
        self._options = options
        self._cache = Cache(cache_dir, options.cache_bytes)
        self._pool = urllib3.PoolManager(retries=False, maxsize=max(4, options.concurrency))

    def of(self, assignment: Assignment) -> Objects:
        if not self.remote:
            return SharedObjects(self.root, assignment.run_id)
        return RemoteObjects(
            self._options.server,
            self._options.api_key,
            run_id=assignment.run_id,
            run_token=assignment.run_token,
            cache=self._cache,
            pool=self._pool,
        )
