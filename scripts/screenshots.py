"""Take pictures of every view of the page, from real jobs.

python scripts/screenshots.py FOLDER           every view at three sizes and in both themes, as PNG
python scripts/screenshots.py FOLDER --docs    those that stand in docs/dashboard.md, small, as WebP (make pictures)

Needs the development packages and a Chromium.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import demo
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from screenshot_jobs import IMPORTS, Seeded, busy, seed

SIZES = {"wide": (1440, 900), "tablet": (1024, 768), "phone": (390, 844)}
DOCS_SIZES = {"wide": (1200, 750), "phone": (390, 844)}
THEMES = ("light", "dark")
WEBP_QUALITY = 55
SETTLES_MS = 1200  # pictures, waveforms and fonts, which nothing tells of


@dataclass(frozen=True)
class Scene:
    """One view. `view` names jobs by what they are there for: `{talk}`."""

    name: str
    view: str
    act: Callable[[Any], None] = lambda page: None
    """What is done before the picture is taken."""
    theme: str = "light"
    """In the docs."""
    size: str = "wide"


def _review(page: Any) -> None:
    page.get_by_role("button", name="Review and approve …").first.click()
    page.locator("dialog .cuts-list li.filler").first.scroll_into_view_if_needed()


def _signal(page: Any) -> None:
    page.get_by_role("button", name="Send it …").click()


def _palette(page: Any) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type("re")


def _node(name: str) -> Callable[[Any], None]:
    def act(page: Any) -> None:
        page.locator(f".node[data-node={name}]").click()

    return act


SCENES = (
    Scene("queues", "queues"),  # the first, while there is something to do
    Scene("jobs", "jobs"),
    Scene("jobs-phone", "jobs", theme="dark", size="phone"),
    Scene("job", "jobs/{storyboard}", _node("render_scene")),
    Scene("job-waits", "jobs/{order}", theme="dark"),
    Scene("job-signal", "jobs/{order}", _signal),
    Scene("job-failed", "jobs/{holiday}"),
    Scene("job-files", "jobs/{talk}/files", theme="dark"),
    Scene("job-pages", "jobs/{orpheus}/files"),
    Scene("job-events", "jobs/{talk}/events"),
    Scene("job-logs", "jobs/{talk}/logs", theme="dark"),
    Scene("job-data", "jobs/{mountains}/data"),
    Scene("cut-plan", "jobs/{review}", _review),
    Scene("cut-plan-phone", "jobs/{review}", _review, size="phone"),
    Scene("submit", "submit/talk"),
    Scene("approvals", "approvals"),
    Scene("failures", "failures"),
    Scene("workflows", "workflows"),
    Scene("workflow", "workflows/media"),
    Scene("schedules", "schedules", theme="dark"),
    Scene("settings", "settings"),
    Scene("palette", "jobs", _palette, theme="dark"),
)


def take(browser: Browser, made: Seeded, scene: Scene, size: tuple[int, int], theme: str) -> bytes:
    """Return a PNG."""
    width, height = size
    scheme: Any = theme
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    try:
        page = context.new_page()
        page.goto(f"{made.url}/#/{scene.view.format_map(made.jobs)}")
        page.wait_for_selector("main h1")
        page.wait_for_selector("#live.on", state="attached")
        page.wait_for_timeout(SETTLES_MS)
        scene.act(page)
        page.wait_for_timeout(SETTLES_MS)
        return page.screenshot()
    finally:
        context.close()


def every(browser: Browser, made: Seeded, folder: Path) -> None:
    """Write `<scene>-<size>-<theme>.png` for all of them."""
    for scene in SCENES:
        for theme in THEMES:
            for name, size in SIZES.items():
                picture = take(browser, made, scene, size, theme)
                (folder / f"{scene.name}-{name}-{theme}.png").write_bytes(picture)


def for_docs(browser: Browser, made: Seeded, folder: Path) -> None:
    """Write `<scene>.webp`, each in the size and theme that the docs show."""
    total = 0
    for scene in SCENES:
        data = take(browser, made, scene, DOCS_SIZES[scene.size], scene.theme)
        target = folder / f"{scene.name}.webp"
        with Image.open(io.BytesIO(data)) as picture:
            picture.convert("RGB").save(target, "WEBP", quality=WEBP_QUALITY, method=6)
        total += target.stat().st_size
        print(f"{target}: {target.stat().st_size / 1000:.0f} kB")
    print(f"{len(SCENES)} pictures, {total / 1000:.0f} kB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--docs", action="store_true", help="only those of the docs, as WebP")
    parser.add_argument("--files", type=Path, help="keep the files that are made for it here")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("ORPHEUS_TEST_CHROMIUM") or shutil.which("chromium")
    imports = [word for path in IMPORTS for word in ("--import", str(path))]
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        demo.server(Path(folder, "data"), "--concurrency", "4", *imports) as url,
    ):
        made = seed(url, asked.files or Path(folder, "files"))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        busy(made)
        (for_docs if asked.docs else every)(browser, made, asked.folder)
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
