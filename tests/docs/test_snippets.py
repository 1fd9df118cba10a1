"""Every page of the docs is tried out: its files are written, its commands run, its Python executed.

Fences and what is done with them, in order, page by page, in an empty folder with a server of its own:

    ```python file=flows.py     written to that file
    ```python                   executed (one interpreter for the page's snippets together)
    ```sh                       run with bash -e; must succeed
    ```sh fails                 run; must fail
    ```sh norun, ```text, …     shown only
    ```json                     must be JSON
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUNNABLE = ("python", "sh", "json")


def snippets(page: Path) -> list[tuple[list[str], str]]:
    return [(match["info"].split(), match["body"]) for match in FENCE.finditer(page.read_text())]


def runnable(page: Path) -> bool:
    return any(info[0] in RUNNABLE and "norun" not in info for info, _ in snippets(page))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", [p for p in PAGES if runnable(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_page(page: Path, tmp_path: Path) -> None:
    """What the page tells a reader to type works as it stands."""
    port = free_port()
    binaries = Path(sys.executable).parent
    env = os.environ | {
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "ORPHEUS_URL": f"http://127.0.0.1:{port}",
        "ORPHEUS_PORT": str(port),
        "PYTHONPATH": str(tmp_path),
        "NO_COLOR": "1",
        "COLUMNS": "160",
    }
    python: list[str] = []
    server: subprocess.Popen[bytes] | None = None
    try:
        for info, text in snippets(page):
            kind, flags = info[0], info[1:]
            body = text if kind == "json" else text.replace("http://127.0.0.1:8700", env["ORPHEUS_URL"])
            target = next((flag[5:] for flag in flags if flag.startswith("file=")), None)
            if target is not None:
                (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / target).write_text(body)
            elif "norun" in flags:
                continue
            elif "server" in flags:  # starts a server that the rest of the page uses
                server = subprocess.Popen(
                    ["bash", "-c", f"exec {body.strip()}"], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL
                )
                wait_ready(port, server)
            elif kind == "sh":
                run(["bash", "-euo", "pipefail", "-c", body], tmp_path, env, fails="fails" in flags)
            elif kind == "python":
                python.append(body)
                (tmp_path / "_snippet.py").write_text("\n".join(python))
                run([sys.executable, "_snippet.py"], tmp_path, env, fails="fails" in flags)
            elif kind == "json":
                json.loads(body)
    finally:
        if server is not None:
            server.terminate()
            server.wait(30)


def run(argv: list[str], cwd: Path, env: dict[str, str], *, fails: bool) -> None:
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert (done.returncode != 0) == fails, f"{argv[-1]}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"


def wait_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server of the page ended"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server of the page did not become ready")


def test_every_link_between_pages_leads_somewhere() -> None:
    """A relative link names a file that is there."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"
