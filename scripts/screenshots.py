"""Take a picture of every view of the page, from real jobs, at three sizes and in both themes.

python scripts/screenshots.py FOLDER [--file FILE …]       needs the packages `playwright` and `httpx`, and a Chromium
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
from playwright.sync_api import Browser, sync_playwright

SIZES = {"wide": (1360, 860), "tablet": (820, 1100), "phone": (390, 844)}
VIEWS = (
    "jobs",
    "submit/media",
    "workflows",
    "workflows/media",
    "queues",
    "schedules",
    "approvals",
    "failures",
    "settings",
)
TABS = ("", "/files", "/events", "/logs", "/data")


def seed(url: str, files: list[Path]) -> list[str]:
    """Make something to look at. Return the jobs whose own views are wanted."""
    with httpx.Client(base_url=url, timeout=120) as http:
        texts = [
            http.post("/jobs", json={"workflow": "wordcount", "params": {"text": "to be or not"}}) for _ in range(6)
        ]
        http.post("/jobs", json={"workflow": "sum_range", "params": {"n": 9}, "requires_approval": True})
        http.post(
            "/jobs", json={"workflow": "sum_range", "params": {"n": 9}, "delay_s": 3600, "labels": {"for": "docs"}}
        )
        job = {"workflow": "wordcount", "params": {"text": "good night"}}
        http.post("/schedules", json={"name": "nightly", "cron": "0 3 * * *", "job": job})
        uploads = [http.post("/jobs", files={"file": (file.name, file.read_bytes())}) for file in files]
        wanted = [answer.raise_for_status().json()["job_id"] for answer in [*uploads, texts[0]]]
        for job_id in wanted:
            http.get(f"/jobs/{job_id}", params={"wait_s": 60})
        return wanted


def shoot(browser: Browser, url: str, jobs: list[str], folder: Path) -> None:
    """Write `<view>-<size>-<theme>.png` for all of them."""
    views = {view.replace("/", "-"): view for view in VIEWS}
    views |= {
        f"job{place}{tab.replace('/', '-')}": f"jobs/{job}{tab}" for place, job in enumerate(jobs) for tab in TABS
    }
    for theme in ("light", "dark"):
        for size, (width, height) in SIZES.items():
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light"
            )
            page = context.new_page()
            for name, view in views.items():
                page.goto(f"{url}/#/{view}")
                page.wait_for_selector("main h1")
                page.wait_for_timeout(700)  # pictures and fonts, which nothing tells of
                page.screenshot(path=str(folder / f"{name}-{size}-{theme}.png"))
            context.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--file", type=Path, action="append", default=[], help="upload this too; may be repeated")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("ORPHEUS_TEST_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "-m", "orpheus.cli", "up", "--port", "0", "--data", data]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
        try:
            assert server.stdout is not None, "it is a pipe"
            found = next(match for line in server.stdout if (match := re.search(r"is ready: (\S+)", line)))
            jobs = seed(found[1], asked.file)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                shoot(browser, found[1], jobs, asked.folder)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
