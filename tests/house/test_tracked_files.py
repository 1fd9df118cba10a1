"""Nothing of the machine it was written on is in the repository."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT_BYTES_MAX = 2_000_000

# Written in two halves, so that this file is not its own culprit.
HOSTS = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "deb.debian" + ".org",
    "proxy.golang" + ".org",
    "hugging" + "face.co",
]
PATHS = re.compile(r"(?<![\w.~/-])/(?:work" + r"|root|home/\w+|Users/\w+)/")


def texts() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.stat().st_size < TEXT_BYTES_MAX:
            data = path.read_bytes()
            if b"\0" not in data[:4096]:
                yield name, data.decode("utf-8", "replace")


def test_no_package_index_is_named() -> None:
    found = [f"{name}: {host}" for name, text in texts() for host in HOSTS if host in text]
    assert not found


def test_no_absolute_path_of_a_machine_is_named() -> None:
    found = [f"{name}: {match[0]}" for name, text in texts() if (match := PATHS.search(text))]
    assert not found


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_scripts_can_be_run() -> None:
    for name in (".ci/run", "scripts/env.sh", "scripts/lock.sh"):
        assert (ROOT / name).stat().st_mode & 0o111, name
