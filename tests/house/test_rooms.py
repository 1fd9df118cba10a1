"""Who may import whom, where import-linter cannot look: the core needs nothing but the standard library and msgspec, and importing
is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "orpheus"
EXTRAS = ("PIL", "pillow_heif", "blurhash", "av", "numpy", "imageio_ffmpeg", "pypdfium2")


def imported(path: Path) -> set[str]:
    """Top-level names a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", sorted((SOURCE / "core").rglob("*.py")), ids=lambda path: path.name)
def test_the_core_needs_the_standard_library_and_msgspec_only(path: Path) -> None:
    assert imported(path) <= set(sys.stdlib_module_names) | {"orpheus", "msgspec"}


@pytest.mark.parametrize("path", sorted((SOURCE / "core").rglob("*.py")), ids=lambda path: path.name)
def test_the_core_knows_no_clock_no_dice_and_no_outside(path: Path) -> None:
    """Promise 8: time and randomness come as arguments."""
    outside = {"time", "random", "secrets", "os", "socket", "sqlite3", "asyncio", "threading", "subprocess", "pathlib"}
    assert not imported(path) & outside


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_media_imports_without_any_extra() -> None:
    """A worker without the extras starts, offers the tasks, and says `extra_missing` when one is needed."""
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in EXTRAS)
    run(f"import sys\n{blocked}import orpheus.media, orpheus.media.opening, orpheus.media.guard")


def test_importing_orpheus_configures_nothing() -> None:
    """No handler, no thread, no child, no event loop policy: whoever imports us stays the master of the house."""
    told = run(
        "import logging, threading, sys\n"
        "before = (len(logging.root.handlers), threading.active_count(), sys.excepthook)\n"
        "import orpheus\n"
        "assert before == (len(logging.root.handlers), threading.active_count(), sys.excepthook)\n"
        "print([name for name in ('PIL', 'av', 'numpy', 'fastapi', 'uvicorn', 'sqlite3') if name in sys.modules])"
    )
    assert told.strip() == "[]"
