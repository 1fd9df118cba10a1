"""Every long task stops within two seconds after its job is cancelled: programs, speech, OCR, renders, downloads; and leaves no file behind."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from tests.media.real import Cluster, board, make_sound, make_video, stops_soon, until

from orpheus.media import video

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cancelled"), ORPHEUS_FETCH_ALLOW_PRIVATE="1")
    yield made
    made.stop()
    until(lambda: not made.processes(), "the end of every process", timeout_s=20)


@pytest.fixture
def silent_site() -> Iterator[str]:
    """The address of a file whose server takes the question, and says no more."""
    over = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            over.wait(60)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/a.mp4"
    over.set()
    server.shutdown()
    server.server_close()


def long_page(folder: Path) -> Path:
    """A page that Tesseract reads for many seconds, in one call."""
    page = Image.new("L", (3300, 4600), 255)
    text = "\n".join(["It was the best of times, it was the worst of times, it was the age of wisdom. " * 2] * 80)
    ImageDraw.Draw(page).multiline_text((100, 100), text, fill=0, font_size=36)
    page.save(folder / "long.pdf", resolution=400)
    return folder / "long.pdf"


CASES: dict[str, tuple[str, str, Callable[[Cluster, Path], dict[str, Any]]]] = {
    "the sound": ("media", "extract_audio", lambda _, folder: {"source": make_sound(folder / "a.wav", seconds=2000)}),
    "a rendition": (
        "video",
        "encode_rendition",
        lambda _, folder: {"source": make_video(folder / "a.mp4", seconds=120), "renditions": True},
    ),
    "ocr": ("pdf", "ocr_page", lambda _, folder: {"source": long_page(folder), "most_pages": 0}),
    "the cut": (
        "talk",
        "render_cut",
        lambda _, folder: {"source": make_video(folder / "b.mp4", seconds=150, sound=True)},
    ),
    "a scene": (
        "storyboard",
        "render_scene",
        lambda cluster, folder: {"storyboard": board(cluster.client, folder, count=1, seconds=100)},
    ),
}


@pytest.mark.parametrize("kind", list(CASES))
def test_a_cancel_stops(cluster: Cluster, tmp_path: Path, kind: str) -> None:
    workflow, task, params = CASES[kind]
    stops_soon(cluster, workflow, task, params(cluster, tmp_path), in_child=task in ("ocr_page", "render_scene"))


def test_a_cancel_stops_a_download_of_which_nothing_comes(cluster: Cluster, silent_site: str) -> None:
    stops_soon(cluster, "media", "fetch.source", {"source": {"url": silent_site}})


@pytest.mark.samples
def test_a_cancel_stops_listening(cluster: Cluster, samples: Path, tmp_path: Path) -> None:
    target = tmp_path / "long.mp3"
    argv = [
        video.ffmpeg(),
        "-nostdin",
        "-loglevel",
        "error",
        "-stream_loop",
        "30",
        "-i",
        str(samples / "audio/austen.mp3"),
    ]
    subprocess.run([*argv, "-c", "copy", str(target)], check=True)
    stops_soon(cluster, "video", "transcribe", {"source": target}, in_child=True)
