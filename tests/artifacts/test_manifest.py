"""Publishing a job's artifacts and telling of them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from orpheus.artifacts import FolderStore, Publisher, build_manifest, sources
from orpheus.artifacts.sniff import sniff
from orpheus.core.job import Job, JobState

FILE = {"name": "night.png", "key": "k", "size_bytes": 3, "sha256": "a" * 64, "content_type": "image/png"}


@dataclass
class Delivery:
    job: Job
    params: Any
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    unpublished: list[dict[str, Any]] = field(default_factory=list)
    outcome: str | None = None
    finished_at: float | None = None


@pytest.fixture
def job():
    return Job(
        job_id="j1",
        tenant="acme",
        workflow="media",
        workflow_version=2,
        definition_id="d",
        state=JobState.RUNNING,
        created_at=1_700_000_000.0,
        started_at=1_700_000_001.5,
        correlation_id="c",
        has_files=True,
    )


def row(name, run="r1"):
    return {
        "name": name,
        "node": "thumbs",
        "index": -1,
        "run_id": run,
        "key": f".runs/{run}/{name}",
        "sha256": "b" * 64,
        "size_bytes": 1,
        "content_type": "image/webp",
        "metadata": {"w": 1},
    }


def test_a_manifest_has_the_fields_of_the_contract(job):
    """design.md section 6, word for word."""
    manifest = build_manifest(job, {"source": {"$file": FILE}}, [row("z"), row("a/b")], env="prod")
    assert {name: manifest[name] for name in ("job_id", "tenant", "env", "workflow", "version", "state", "correlation_id")} == {
        "job_id": "j1", "tenant": "acme", "env": "prod", "workflow": "media", "version": 2, "state": "running", "correlation_id": "c",
    }  # fmt: skip
    assert manifest["created_at"] == "2023-11-14T22:13:20.000Z"
    assert manifest["source"]["name"] == "night.png"
    assert manifest["source"]["param"] == "/source"
    assert [each["name"] for each in manifest["artifacts"]] == ["a/b", "z"]
    fields = {"name", "path", "task", "run_id", "sha256", "size_bytes", "content_type", "metadata"}
    assert fields <= set(manifest["artifacts"][0])
    assert manifest["artifacts"][0]["path"] == "prod/acme/j1/a/b"


def test_every_file_of_the_params_is_a_source():
    """In lists and objects too, in order."""
    params = {"a": [{"$file": FILE}, {"x": {"$file": FILE}}], "b/c": {"$file": FILE}, "d": {"$file": "no", "e": 1}}
    assert [each["param"] for each in sources(params)] == ["/a/0", "/a/1/x", "/b~1c"]


def test_a_delivery_publishes_and_writes_the_final_manifest(tmp_path, job):
    """Twice the same changes nothing; the outcome stands in the manifest before the job's row says it."""
    store = FolderStore(tmp_path, sync=False)
    publisher = Publisher(store, env="dev")
    asyncio.run(store.put_bytes(".runs/r1/a.webp", b"x"))
    delivery = Delivery(job, {"source": {"$file": FILE}}, [row("a.webp")], [row("a.webp")])
    for outcome, finished_at in ((None, None), (None, None), ("completed", 1_700_000_009.0)):
        delivery.outcome, delivery.finished_at = outcome, finished_at
        publisher.deliver(delivery)
    manifest = json.loads((tmp_path / "dev/acme/j1/manifest.json").read_text())
    assert (manifest["state"], manifest["finished_at"]) == ("completed", "2023-11-14T22:13:29.000Z")
    assert (tmp_path / "dev/acme/j1/a.webp").read_bytes() == b"x"


def test_a_sweep_removes_what_nobody_needs(tmp_path, job):
    """Old folders are named, young ones are not; what is discarded is gone. Which are needed is for the engine to say."""
    store = FolderStore(tmp_path, sync=False)
    for run in ("old", "young"):
        asyncio.run(store.put_bytes(f".runs/{run}/f", b"x"))
    now = max(at for _, at in store.children_now(".runs"))
    publisher = Publisher(store, clock=lambda: now + 7200)
    import os

    os.utime(tmp_path / ".runs/young", (now + 7000, now + 7000))
    assert publisher.attempts(older_than_s=3600) == ["old"]
    publisher.discard(["old"])
    assert {name for name, _ in store.children_now(".runs")} == {"young"}


@pytest.mark.parametrize(
    ("head", "declared", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image/png", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", None, "image/png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", None, "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None, "audio/wav"),
        (b"\x00\x00\x00\x18ftypheic", None, "image/heic"),
        (b"\x00\x00\x00\x18ftypisom", "text/html", "video/mp4"),
        (b"%PDF-1.7", None, "application/pdf"),
        (b"<html><script>", "image/png", "text/plain"),
        (b"hello", None, "text/plain"),
        (b"{}", "application/json", "application/json"),
        (b"\x00\x01\x02", "x/y; charset=z", "x/y"),
        (b"\x00\x01\x02", "not a type", "application/octet-stream"),
        (b"", "image/png", "application/octet-stream"),
    ],
)
def test_types_are_sniffed(head, declared, kind):
    """The content decides; the sender is believed only where it says nothing and claims no medium."""
    assert sniff(head, declared) == kind
