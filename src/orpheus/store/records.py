"""Logs, uploaded files, queues and workers: written as they come, no decision in between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orpheus.store import rows
from orpheus.store.cache import JobEntry
from orpheus.store.rows import ABSENT
from orpheus.store.unit import Unit


class Records:
    """Writes what needs no decision, within one transaction."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def add_logs(
        self, job: JobEntry, *, node: str, index: int, attempt: int, run_id: str, lines: Iterable[Mapping[str, Any]]
    ) -> list[int]:
        """Append lines to an attempt's log; the caller has bounded them. Returns the numbers given to them.

        Args:
            lines: `at` (seconds since the epoch), `level`, `stream`, `message`, `fields`.
        """
        numbers: list[int] = []
        for line in lines:
            self._unit.counters.log_no += 1
            number = self._unit.counters.log_no
            fields = line.get("fields")
            self._unit.insert(
                "insert_log",
                (
                    *(number, job.job_no, node, index, attempt, run_id, line["at"], line["level"], line["stream"]),
                    *(line["message"], rows.to_json(fields) if fields else ABSENT),
                ),
            )
            numbers.append(number)
        return numbers

    def add_file(self, record: Mapping[str, Any]) -> None:
        """Record an uploaded file: `file_id`, `tenant`, `name`, `key`, `size_bytes`, `sha256`, `content_type`,
        `created_at`."""
        names = ("file_id", "tenant", "name", "key", "size_bytes", "sha256", "content_type", "created_at")
        self._unit.insert("put_file", tuple(record[name] for name in names))

    def file(self, file_id: str) -> dict[str, Any] | None:
        row = self._unit.execute("file", (file_id,)).fetchone()
        return None if row is None else file_record(row)

    def put_queue_settings(self, name: str, settings: Mapping[str, Any], now: float) -> None:
        """Set a queue's settings, whole: `paused` and whatever limits there are."""
        limits = {key: value for key, value in settings.items() if key != "paused"}
        self._unit.wrote = True
        self._unit.execute("put_queue", (name, int(bool(settings.get("paused"))), rows.to_json(limits), now))

    def queue_settings(self) -> dict[str, dict[str, Any]]:
        """Return the settings of every queue that has any."""
        return {row[0]: queue_record(row) for row in self._unit.execute("all_queues")}

    def record_worker(self, session_id: str, worker: str, hello: Mapping[str, Any], now: float) -> None:
        """Remember a worker's session; `hello` is what it said of itself."""
        self._unit.wrote = True
        self._unit.execute("put_worker", (session_id, worker, rows.to_json(hello), now, now))

    def end_worker(self, session_id: str, now: float) -> None:
        self._unit.wrote = True
        self._unit.execute("end_worker", (now, now, session_id))

    def forget_workers(self, ended_before: float) -> None:
        """Delete sessions that ended before the instant."""
        self._unit.wrote = True
        self._unit.execute("forget_workers", (ended_before,))

    def worker_name(self, session_id: str) -> str | None:
        """Return what the worker of a session is called; None when it was forgotten long ago."""
        row = self._unit.execute("worker_names", (rows.to_json([session_id]),)).fetchone()
        return None if row is None else str(row[1])

    def workers(self) -> list[dict[str, Any]]:
        return [worker_record(row) for row in self._unit.execute("all_workers")]


def file_record(row: rows.Row) -> dict[str, Any]:
    names = ("file_id", "tenant", "name", "key", "size_bytes", "sha256", "content_type", "created_at")
    return dict(zip(names, row, strict=True))


def queue_record(row: rows.Row) -> dict[str, Any]:
    name, paused, settings, updated_at = row
    return {**rows.read_mapping(settings), "name": name, "paused": bool(paused), "updated_at": updated_at}


def worker_record(row: rows.Row) -> dict[str, Any]:
    session_id, worker, hello, started_at, last_seen_at, ended_at = row
    return {
        **rows.read_mapping(hello),
        "session_id": session_id,
        "worker": worker,
        "started_at": started_at,
        "last_seen_at": last_seen_at,
        "ended_at": ended_at,
    }


def artifact_record(row: rows.Row) -> dict[str, Any]:
    names = (
        "name",
        "node",
        "index",
        "generation",
        "run_id",
        "key",
        "sha256",
        "size_bytes",
        "content_type",
        "metadata",
        "accepted_at",
        "published_at",
    )
    record = dict(zip(names, row, strict=True))
    record["metadata"] = rows.read_mapping(record["metadata"])
    return record
