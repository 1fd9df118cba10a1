"""When is a `Resource` loaded, and when closed? Once, by the first attempt that needs it; closed when the process drains.

Each process has its own: the worker for handlers that run in it, every child process for its handlers. (Memory is not
shared, so in a child both scopes mean the child.)
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from orpheus.authoring.resources import ResourceSpec

logger = logging.getLogger("orpheus.worker")


class Resources:
    """What this process has loaded. Its methods block, and are safe from any thread but the loop's.

    Args:
        run_coroutine: runs a coroutine to its end in the loop in which handlers run, so that what an async factory made
            belongs to that loop.
    """

    def __init__(self, run_coroutine: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._run_coroutine = run_coroutine
        self._loaded: dict[Any, Any] = {}
        self._locks: dict[Any, threading.Lock] = {}
        self._lock = threading.Lock()

    def load_all(self, wanted: Mapping[str, ResourceSpec]) -> dict[str, Any]:
        """Return the value of each by parameter, loading what is missing."""
        return {name: self._load(spec) for name, spec in wanted.items()}

    def ready(self, wanted: Mapping[str, ResourceSpec]) -> dict[str, Any] | None:
        """Return the values when all are loaded already, else None. Does not block."""
        try:
            return {name: self._loaded[spec.key] for name, spec in wanted.items()}
        except KeyError:
            return None

    def close(self) -> None:
        """Close everything, the latest first. What fails to close is logged and left."""
        loaded = list(self._loaded.items())
        self._loaded.clear()
        for (factory, _), value in reversed(loaded):
            try:
                closer = getattr(value, "aclose", None) or getattr(value, "close", None)
                if callable(closer):
                    self._finish(closer())
            except Exception:
                logger.exception("resource %s did not close", getattr(factory, "__name__", factory))

    def _load(self, spec: ResourceSpec) -> Any:
        with self._lock:
            lock = self._locks.setdefault(spec.key, threading.Lock())
        with lock:  # a second attempt waits for the first to load it, and does not load it twice
            if spec.key not in self._loaded:
                self._loaded[spec.key] = self._finish(spec.factory())
            return self._loaded[spec.key]

    def _finish(self, made: Any) -> Any:
        if inspect.isawaitable(made):

            async def wait() -> Any:
                return await made

            return self._run_coroutine(wait())
        return made
