"""Fetches files by URL, for jobs whose params name them so: `orpheus.fetch`, which every worker offers. Needs no extra.

A URL is somebody else's word, so what is reached is checked, not what is written: see `download.py`. Three settings bound
it: `ORPHEUS_FETCH_MAX_BYTES`, `ORPHEUS_FETCH_TIMEOUT_S` and `ORPHEUS_FETCH_ALLOW_PRIVATE`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import wait
from typing import Any, Final

from orpheus import Cancelled, Context, File, Permanent, Retry, RetryAfter, task
from orpheus.authoring.own_thread import begin
from orpheus.core.fetching import TASK, URL
from orpheus.fetch.download import Download, Failed, Limits, download

_MB: Final = 1_000_000
_LOOK_S: Final = 0.1


def limits() -> Limits:
    """Return the limits that this worker was told."""
    usual = Limits()
    return Limits(
        max_bytes=int(os.environ.get("ORPHEUS_FETCH_MAX_BYTES") or usual.max_bytes),
        timeout_s=float(os.environ.get("ORPHEUS_FETCH_TIMEOUT_S") or usual.timeout_s),
        allow_private=os.environ.get("ORPHEUS_FETCH_ALLOW_PRIVATE", "").strip().lower() in ("1", "true", "yes", "on"),
    )


@task(
    name=TASK,
    retry=Retry(max_retries=4, initial_s=2.0, factor=3.0, max_s=60.0),
    start_to_close_s=14_400,
)
def fetch_files(ctx: Context, value: Any) -> Any:
    """Return the value with files in the place of URLs; what is a file already stays as it is."""
    return _Walk(ctx, limits()).value(value)


class _Walk:
    """One walk over one param's value."""

    def __init__(self, ctx: Context, bounds: Limits) -> None:
        self._ctx = ctx
        self._bounds = bounds
        self._names: set[str] = set()
        self._known: dict[str, File] = {}

    def value(self, value: Any) -> Any:
        if isinstance(value, dict):
            if value.keys() == {URL}:
                return self._file(str(value[URL]))
            return {key: self.value(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        return value

    def _file(self, url: str) -> File:
        if url not in self._known:
            self._known[url] = self._fetched(url)
        return self._known[url]

    def _fetched(self, url: str) -> File:
        ctx = self._ctx
        target = ctx.temp_dir / f"download-{len(self._known)}"
        try:
            found = _left_behind_by_a_cancel(ctx, lambda: download(url, target, self._bounds, heard=self._heard))
        except Failed as failed:
            if failed.retry_after_s is not None:
                raise RetryAfter(failed.retry_after_s, failed.message) from None
            if failed.final:
                raise Permanent(failed.message, hint=failed.hint, code=failed.code) from None
            raise
        ctx.log.info("fetched %s: %d bytes, %s", found.name, found.size_bytes, found.content_type)
        file = ctx.save(self._artifact_name(found), target, found.content_type, {"url": found.shown_url})
        target.unlink()
        # People see the file's own name; its place among the artifacts is another matter.
        return File(
            name=found.name,
            key=file.key,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            content_type=file.content_type,
        )

    def _heard(self, done: int, size: int | None) -> None:
        if self._ctx.is_cancelled:
            raise Failed("the fetch was cancelled")
        total = f" of {size / _MB:.1f}" if size else ""
        self._ctx.progress(done / size if size else None, f"fetched {done / _MB:.1f}{total} MB")

    def _artifact_name(self, found: Download) -> str:
        folder = self._ctx.task.removeprefix("fetch.")
        name, number = f"fetched/{folder}/{found.name}", 1
        while name in self._names:
            number += 1
            name = f"fetched/{folder}/{number}/{found.name}"
        self._names.add(name)
        return name


def _left_behind_by_a_cancel(ctx: Context, call: Callable[[], Download]) -> Download:
    """Make the call in a thread of its own: a name that is looked up and a server that is silent hear nothing of a cancel.

    What goes on without anybody waiting ends with the next bytes it hears, or after its time of silence; its file is gone by then.
    """
    outcome = begin(call, name="fetch")
    while not wait([outcome], timeout=_LOOK_S).done:
        if ctx.is_cancelled:
            raise Cancelled("the fetch was told to stop")
    return outcome.result()
