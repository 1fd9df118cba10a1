"""Keys on the command line: made without a server, then asked for by one, and known to its own workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orpheus.cli.errors import CommandError
from orpheus.cli.sockets import check_exposure
from orpheus.client import Client, Forbidden, NotFound, Unauthorized
from orpheus.core.access import digest_of, key_id_of
from orpheus.settings import load

pytestmark = pytest.mark.timeout(180)


def orpheus(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORPHEUS_")}
    return subprocess.run(
        [sys.executable, "-m", "orpheus.cli", *arguments],
        cwd=cwd,
        env={**clean, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


def make(cwd: Path, *arguments: str, **env: str) -> dict[str, str]:
    done = orpheus("keys", "create", *arguments, "--json", cwd=cwd, **env)
    assert done.returncode == 0, done.stderr
    made: dict[str, str] = json.loads(done.stdout)
    return made


def test_without_a_server_the_data_directory_itself_is_used(tmp_path: Path) -> None:
    """Made, listed, revoked; the key is in no file."""
    assert json.loads(orpheus("keys", "list", "--json", cwd=tmp_path).stdout) == {"items": []}
    assert not (tmp_path / "orpheus-data").exists(), "looking makes nothing"
    made = make(tmp_path, "--role", "submit", "--tenant", "acme", "--name", "night", "--expires", "30d")
    assert key_id_of(made["key"]) == made["key_id"]
    assert (made["role"], made["tenant"], made["name"], made["created_by"]) == ("submit", "acme", "night", "local")
    content = b"".join(path.read_bytes() for path in (tmp_path / "orpheus-data").iterdir() if path.is_file())
    assert made["key"].encode() not in content
    assert digest_of(made["key"]).encode() in content
    [listed] = json.loads(orpheus("keys", "list", "--json", cwd=tmp_path).stdout)["items"]
    assert listed["prefix"] == f"orph_{made['key_id']}"
    assert "key" not in listed
    assert orpheus("keys", "revoke", listed["prefix"], cwd=tmp_path).returncode == 0
    [listed] = json.loads(orpheus("keys", "list", "--json", cwd=tmp_path).stdout)["items"]
    assert listed["revoked_at"] is not None
    unknown = orpheus("keys", "revoke", "nothing", "--json", cwd=tmp_path)
    assert json.loads(unknown.stdout)["error"]["code"] == "unknown_key"
    wrong = orpheus("keys", "create", "--role", "root", "--json", cwd=tmp_path)
    assert json.loads(wrong.stdout)["error"]["code"] == "invalid_request"


def test_another_address_needs_keys(tmp_path: Path) -> None:
    """Refused until a key was made, required, or `--insecure` was said."""

    def exposed(**settings: object) -> None:
        check_exposure(load({"host": "0.0.0.0", "data": tmp_path / "data", **settings}, environ={}).settings)

    with pytest.raises(CommandError) as refused:
        exposed()
    assert refused.value.code == "insecure_address"
    assert "keys create" in refused.value.hint
    exposed(insecure=True)
    exposed(require_keys=True)
    make(tmp_path, "--role", "admin", "--data", "data")
    exposed()
    with pytest.raises(CommandError):
        exposed(require_keys=False)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[tuple[str, dict[str, str], Path]]:
    """A server with keys and a worker of its own; gives `(url, the administrator's key, folder)`."""
    (tmp_path / "flows.py").write_text(
        "from orpheus import task, workflow\n\n@task\ndef shout(text: str) -> str:\n"
        "    return text.upper()\n\n@workflow\ndef loud(text: str) -> str:\n    return shout(text)\n"
    )
    admin = make(tmp_path, "--role", "admin", "--name", "root")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORPHEUS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "orpheus.cli", "up", "--port", "0", "--import", "flows", "--json"],
        cwd=tmp_path,
        env=clean,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield ready["url"], admin, tmp_path
    finally:
        process.terminate()
        process.wait(60)


def test_up_gives_its_own_workers_a_key(up: tuple[str, dict[str, str], Path]) -> None:
    """The supervised worker works, jobs carry the key's name, and everybody else is asked for a key."""
    url, admin, folder = up
    with Client(url) as nobody, pytest.raises(Unauthorized):
        list(nobody.list())
    with Client(url, api_key=admin["key"]) as root:
        assert [key.key_id for key in root.api_keys()] == [admin["key_id"]], "keys of its own are not stored"
        acme = make(folder, "--role", "submit", "--tenant", "acme", "--name", "anna", ORPHEUS_API_KEY=admin["key"])
        with Client(url, api_key=acme["key"]) as anna:
            job = anna.submit("loud", {"text": "hi"})
            assert anna.result(job.job_id, timeout_s=60) == "HI"
            assert next(iter(anna.events(job.job_id))).actor == "anna"
            with pytest.raises(Forbidden):
                anna.cancel(job.job_id)
            with pytest.raises(Forbidden):
                anna.submit("loud", {"text": "hi"}, tenant="other")
        other = root.submit("loud", {"text": "hi"}, tenant="other")
        with Client(url, api_key=acme["key"]) as anna, pytest.raises(NotFound):
            anna.get(other.job_id)
        assert {entry.type for entry in root.audit(limit=100)} >= {"key.created", "job.created", "workflow.published"}
    told = orpheus("jobs", "list", "--json", cwd=folder, ORPHEUS_API_KEY=admin["key"])
    assert len(json.loads(told.stdout)["items"]) == 2
    (folder / "key.txt").write_text(acme["key"] + "\n")
    told = orpheus("jobs", "list", "--json", cwd=folder, ORPHEUS_API_KEY_FILE="key.txt")
    assert len(json.loads(told.stdout)["items"]) == 1
    assert orpheus("--key", admin["key"], "audit", cwd=folder).returncode == 0
    assert orpheus("jobs", "list", cwd=folder).returncode != 0


def test_a_worker_with_the_wrong_key_says_so_and_ends(up: tuple[str, dict[str, str], Path]) -> None:
    url, admin, folder = up
    done = orpheus("worker", "--server", url, "--key", admin["key"], cwd=folder)
    assert done.returncode != 0
    assert "forbidden" in done.stderr
    done = orpheus("worker", "--server", url, cwd=folder)
    assert "unauthorized" in done.stderr


def test_a_one_shot_run_gets_into_its_own_server(tmp_path: Path) -> None:
    """`orpheus run` starts a server over a directory with keys: whoever may read the directory may."""
    make(tmp_path, "--role", "read")
    done = orpheus("run", "wordcount", "-p", "text=one two two", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
