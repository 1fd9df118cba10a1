"""`orpheus doctor`: what is looked at, and what makes it fail."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from orpheus.store import Store


def doctor(folder: Path, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = subprocess.run(
        [sys.executable, "-m", "orpheus.cli", "doctor", "--json", *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("ORPHEUS_")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_it_looks_at_the_machine(tmp_path):
    _status, found = doctor(tmp_path, "--data", "new")
    assert {"python", "sqlite", "clock", "data directory", "port", "ffmpeg"} <= found.keys()
    assert found["python"]["state"] == found["sqlite"]["state"] == found["clock"]["state"] == "ok"
    assert "integrity" not in found
    _status, found = doctor(tmp_path, "--data", "new", "--deep")
    assert found["integrity"]["state"] == "missing"


def test_deep_finds_what_is_damaged(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    key = "dev/t/.files/f/content"
    (data / "objects" / key).parent.mkdir(parents=True)
    (data / "objects" / key).write_bytes(b"whole")
    store = Store.open(data / "orpheus.db", now=time.time(), epoch="e")
    tx = store.begin()
    tx.add_file({"file_id": "f", "tenant": "t", "name": "f", "key": key, "size_bytes": 5,
                 "sha256": hashlib.sha256(b"whole").hexdigest(), "content_type": "x/y", "created_at": 0.0})  # fmt: skip
    tx.flush()
    store.commit()
    store.close()
    _status, found = doctor(tmp_path, "--data", "data", "--deep")
    assert found["integrity"]["state"] == "ok"
    for content, word in ((b"other", "is not what it was"), (b"short?", "bytes")):
        (data / "objects" / key).write_bytes(content)
        status, found = doctor(tmp_path, "--data", "data", "--deep")
        assert status != 0 and found["integrity"]["state"] == "bad" and word in found["integrity"]["found"]
    (data / "objects" / key).unlink()
    assert "missing" in doctor(tmp_path, "--data", "data", "--deep")[1]["integrity"]["found"]
