"""The core (authoring, client, server, worker) installs under 60 MB, without numpy or PyAV."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIZE_MAX = 60 * 1024 * 1024
NOT_IN_THE_CORE = ("numpy", "av", "PIL", "pypdfium2", "imageio_ffmpeg", "pydantic_settings", "torch")


def find_uv() -> str:
    for candidate in (shutil.which("uv"), ROOT / ".tools/bin/uv"):
        if candidate and subprocess.run([candidate, "--version"], capture_output=True).returncode == 0:
            return str(candidate)
    pytest.skip("uv is not there to measure with")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_core_is_small(tmp_path: Path) -> None:
    uv, target = find_uv(), tmp_path / "core"
    names = tmp_path / "core.txt"
    subprocess.run(
        [
            uv,
            "pip",
            "compile",
            "--quiet",
            "pyproject.toml",
            "--constraints",
            "constraints/dev.txt",
            "--no-header",
            "-o",
            names,
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    packages = re.findall(r"^([a-z0-9.-]+)==", names.read_text(), re.MULTILINE)
    assert "fastapi" in packages
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--target", target, "-r", names],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=240,
    )
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--target", target, "."], cwd=ROOT, check=True, timeout=240
    )
    assert (target / "orpheus" / "__init__.py").is_file()
    assert not [name for name in NOT_IN_THE_CORE if (target / name).exists()]
    sizes = {
        entry.name: sum(f.stat().st_size for f in [entry, *entry.rglob("*")] if f.is_file())
        for entry in target.iterdir()
    }
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:8]
    assert sum(sizes.values()) < SIZE_MAX, largest
