"""The storyboard: scenes to the frame, transitions, captions, and a renderer elsewhere that fails in every way it can."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from orpheus import File
from orpheus.media.boards import film, tasks
from orpheus.media.boards.board import storyboard
from orpheus.media.boards.scenes import Scene, Storyboard, Transition, check
from orpheus.media.errors import InvalidInput
from orpheus.testing import Kit
from orpheus.testing.inline import InlineRun, JobFailed, run_job
from orpheus.testing.kit.jobs import KitJob

SIZE = [96, 54]
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def still(tmp_path: Path) -> Callable[..., File]:
    def make(name: str, colour: str = "red", size: tuple[int, int] = (120, 80)) -> File:
        path = tmp_path / name
        Image.new("RGB", size, colour).save(path)
        return File.from_path(path)

    return make


def run(board: Storyboard, folder: Path, **params: Any) -> InlineRun:
    return run_job(storyboard, {"storyboard": board, "start_delay_ms": 0, **params}, folder=folder)


@dataclass
class Seen:
    """What is in a video: the mean colour of each frame, the brightest value of each, and the kinds of stream."""

    frames: int
    size: tuple[int, int]
    means: list[tuple[int, int, int]]
    brightest: list[int]
    kinds: set[str]


def seen(path: Path) -> Seen:
    with av.open(str(path)) as container:
        kinds = {stream.type for stream in container.streams}
        pictures = [frame.to_image() for frame in container.decode(video=0)]
    means: list[Any] = [picture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0)) for picture in pictures]
    brightest = [max(high for _, high in picture.getextrema()) for picture in pictures]
    return Seen(len(pictures), pictures[0].size, means, brightest, kinds)


def test_scenes_are_stitched_to_the_frame(still: Callable[..., File], tmp_path: Path) -> None:
    board = Storyboard(
        scenes=[
            Scene("a", still("a.png", "red"), 1.0, motion="zoom_in", transition=Transition("dissolve", 0.4)),
            Scene(
                "b", still("b.png", "blue"), 1.0, image_end=still("c.png", "lime"), transition=Transition("fade", 0.4)
            ),
            Scene("d", still("d.png", "white"), 1.0, motion="pan_left", transition=Transition("cut")),
            Scene("e", still("e.png", "red", (80, 200)), 0.4),
        ],
        size=SIZE,
        fps=10,
    )
    done = run(board, tmp_path / "out")
    assert set(done.artifacts) == {*(f"scenes/{one}.mp4" for one in "abde"), "renders/storyboard.mp4"}
    assert [seen(done.artifacts[f"scenes/{one}.mp4"]).frames for one in "abde"] == [10, 10, 10, 4]
    film_seen = seen(done.artifacts["renders/storyboard.mp4"])
    means = film_seen.means
    assert (film_seen.frames, film_seen.size, film_seen.kinds) == (26, (96, 54), {"video"})
    assert done.result.duration_s == pytest.approx(2.6) == film.length_s(board.scenes)
    assert means[2][0] > 200 > means[2][2]
    assert max(blue - red for red, _, blue in means[5:12]) > 60, "it has dissolved into the second scene"
    assert max(green - blue for _, green, blue in means[10:17]) > 60, "which has faded into its own second picture"
    assert min(sum(mean) for mean in means[11:18]) < 150, "`fade` goes through black"
    assert means[-1][0] > 200 > means[-1][1], "`cut` does not"


def test_a_caption_is_written_and_the_sound_is_as_long_as_the_video(still: Callable[..., File], tmp_path: Path) -> None:
    scenes = [Scene("a", still("a.png", "black"), 1.0, caption="Here — <b>we</b> 'go' : $(id)")]
    wav = tmp_path / "a.wav"
    size = 48_000
    header = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + bytes([16, 0, 0, 0, 1, 0, 1, 0])
    wav.write_bytes(
        header
        + (8000).to_bytes(4, "little") * 2
        + bytes([1, 0, 8, 0])
        + b"data"
        + size.to_bytes(4, "little")
        + b"\x80" * size
    )
    done = run(Storyboard(scenes=scenes, size=[320, 180], fps=10, audio=File.from_path(wav)), tmp_path / "out")
    told = seen(done.artifacts["renders/storyboard.mp4"])
    assert told.kinds == {"video", "audio"}
    assert told.means[5][0] < 20 < 200 < told.brightest[5], "white letters on black"
    with av.open(str(done.artifacts["renders/storyboard.mp4"])) as container:
        assert all(abs(float(stream.duration * stream.time_base) - 1.0) < 0.06 for stream in container.streams)


def test_what_makes_no_sense_is_refused(still: Callable[..., File]) -> None:
    one = still("a.png")
    with pytest.raises(InvalidInput, match="two scenes"):
        check(Storyboard(scenes=[Scene("a", one, 1.0), Scene("a", one, 1.0)]))
    with pytest.raises(InvalidInput, match="more than half"):
        check(Storyboard(scenes=[Scene("a", one, 1.0, transition=Transition("dissolve", 0.6)), Scene("b", one, 1.0)]))


def test_a_scene_of_no_image_fails_naming_the_scene(tmp_path: Path) -> None:
    page = tmp_path / "a.png"
    page.write_text("<html>")
    with pytest.raises(JobFailed, match="scene a") as failed:
        run(Storyboard(scenes=[Scene("a", File.from_path(page), 1.0)], size=SIZE, fps=5), tmp_path / "out")
    assert failed.value.code == "unsupported_media"


def test_one_scene_changed_renders_one_scene(still: Callable[..., File]) -> None:
    """By a retry of the job with a new storyboard, and by a new job."""

    def board(colour: str) -> Storyboard:
        scenes = [
            Scene(name, still(f"{name}-{paint}.png", paint), 1.0)
            for name, paint in (("a", "red"), ("b", colour), ("c", "lime"))
        ]
        return Storyboard(scenes=scenes, size=SIZE, fps=5)

    def rendered(job: KitJob[Any]) -> list[int]:
        rows = [task for task in job.tasks if task.node == "render_scene" and task.index >= 0]
        newest = max(task.generation for task in rows)
        return [task.index for task in rows if task.generation == newest and not task.cached]

    with Kit(storyboard) as kit:
        first = kit.using(requires_approval=False).submit(storyboard, board("blue"), start_delay_ms=0).run()
        assert rendered(first) == [0, 1, 2]
        before = first.artifacts["renders/storyboard.mp4"].path.read_bytes()
        first.retry(params={"storyboard": board("white")}).run()
        assert (first.row.state, first.row.generation) == ("completed", 2)
        assert rendered(first) == [1]
        assert set(first.artifacts) == {"scenes/a.mp4", "scenes/b.mp4", "scenes/c.mp4", "renders/storyboard.mp4"}
        after = first.artifacts["renders/storyboard.mp4"].path
        assert after.read_bytes() != before
        assert min(seen(after).means[7]) > 200, "the second scene is white now"
        again = kit.using(requires_approval=False).submit(storyboard, board("black"), start_delay_ms=0).run()
        assert rendered(again) == [1]


class Service(ThreadingHTTPServer):
    """Behaves like Replicate's HTTP API, and misbehaves on demand: `troubles` are answered first."""

    def __init__(self, clip: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.clip = clip
        self.troubles: list[tuple[int, dict[str, str], bytes]] = []
        self.created: list[dict[str, Any]] = []
        self.asked = 0
        self.keys: set[str] = set()
        self.ends_as = "succeeded"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def log_message(self, *_: object) -> None: ...

    def _answer(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.keys.add(self.headers.get("Authorization", ""))
        if self.path == "/files":
            self._answer(201, {"urls": {"get": f"{self.server.url}/files/1"}})
        elif self.server.troubles:
            status, headers, said = self.server.troubles.pop(0)
            self._answer(status, said, headers)
        elif self.path.endswith("/predictions"):
            self.server.created.append(json.loads(body)["input"])
            self._answer(201, {"id": f"p{len(self.server.created)}", "status": "starting"})
        else:
            self._answer(404, {"detail": "not found"})

    def do_GET(self) -> None:
        if self.path == "/made.mp4":
            self._answer(200, self.server.clip)
            return
        self.server.asked += 1
        ended = self.server.asked % 2 == 0
        output = [f"{self.server.url}/made.mp4"]
        told: dict[str, Any] = {"status": "processing"}
        if ended:
            told = {"status": self.server.ends_as, "output": output, "error": "NSFW", "metrics": {"predict_time": 4.0}}
        self._answer(200, {"id": self.path.rsplit("/", 1)[-1], **told})


@pytest.fixture
def replicate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    made = io.BytesIO()
    with av.open(made, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            for packet in stream.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 64), "lime"))):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    service = Service(made.getvalue())
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("ORPHEUS_REPLICATE_URL", service.url)
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_secret")
    monkeypatch.setattr(tasks, "_POLL_S", 0.05)
    yield service
    service.shutdown()
    service.server_close()


def one_scene(still: Callable[..., File]) -> Storyboard:
    return Storyboard(scenes=[Scene("a", still("a.png"), 1.0, prompt="a slow wave")], size=SIZE, fps=10)


def test_replicate_renders_a_scene(replicate: Service, still: Callable[..., File], tmp_path: Path) -> None:
    done = run(one_scene(still), tmp_path / "out", renderer="replicate")
    assert replicate.created == [{"prompt": "a slow wave", "first_frame_image": f"{replicate.url}/files/1"}]
    clip = seen(done.artifacts["scenes/a.mp4"])
    assert (clip.frames, clip.size) == (10, (96, 54)), "half a second was made: the last frame is held"
    assert clip.means[9][1] > 200
    assert replicate.keys == {"Bearer r8_secret"}


def test_what_a_scene_has_cost_is_counted_and_expected_of_the_next(
    replicate: Service, still: Callable[..., File], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the prediction's own time; a failed one is paid for too."""
    monkeypatch.setenv("ORPHEUS_REPLICATE_PRICE", "0.25")
    with Kit(storyboard) as kit:
        submitted = kit.using(requires_approval=False)
        first = submitted.submit(storyboard, one_scene(still), "replicate", start_delay_ms=0)
        assert first.run().row.extra["cost"] == 1.0
        (done,) = [
            event
            for event in first.events
            if event.type == "task.completed" and event.task == "generate_scene" and event.index == 0
        ]
        assert done.data["price"] == 1.0
        board = Storyboard(scenes=[Scene("a", still("a.png"), 1.0), Scene("b", still("b.png"), 1.0)], size=SIZE, fps=10)
        held = kit.submit(storyboard, board, "replicate", start_delay_ms=0)
        assert held.row.state == "pending"
        assert held.row.extra["estimate"]["price"] == {
            "least": 0.0,
            "most": None,
            "expected": pytest.approx(2.0, rel=0.1),
        }
        local = kit.submit(storyboard, board, "local").row.extra["estimate"]["price"]
        assert local == {"least": 0.0, "most": 0.0, "expected": 0.0}
        replicate.ends_as = "failed"
        other = submitted.submit(storyboard, board, "replicate", start_delay_ms=0)
        other.run()
        assert other.row.state == "failed" and other.row.extra["cost"] >= 1.0


@pytest.mark.parametrize(
    "trouble", [(500, {}, b"oops"), (429, {"Retry-After": "0.1"}, b'{"detail": "slow down"}'), (201, {}, b"<garbage")]
)
def test_a_service_in_trouble_is_tried_again(
    replicate: Service, still: Callable[..., File], tmp_path: Path, trouble: tuple[int, dict[str, str], bytes]
) -> None:
    replicate.troubles = [trouble]
    done = run(one_scene(still), tmp_path / "out", renderer="replicate")
    (scene,) = [task for task in done.tasks if task.node == "generate_scene" and task.index == 0]
    assert (str(scene.state), scene.attempt) == ("completed", 2)
    assert len(replicate.created) == 1


@pytest.mark.parametrize(
    ("status", "said"), [(401, b'{"detail": "invalid token"}'), (422, b'{"detail": "no such input"}')]
)
def test_a_refusal_is_final_and_tells_no_key(
    replicate: Service, still: Callable[..., File], tmp_path: Path, status: int, said: bytes
) -> None:
    replicate.troubles = [(status, {}, said)]
    with pytest.raises(JobFailed, match=json.loads(said)["detail"]) as failed:
        run(one_scene(still), tmp_path / "out", renderer="replicate")
    assert "r8_secret" not in str(failed.value)
    (scene,) = [task for task in failed.value.job.tasks if task.node == "generate_scene" and task.index == 0]
    assert scene.attempt == 1


def test_what_the_service_could_not_make_is_said(
    replicate: Service, still: Callable[..., File], tmp_path: Path
) -> None:
    replicate.ends_as = "failed"
    with pytest.raises(JobFailed, match="NSFW"):
        run(one_scene(still), tmp_path / "out", renderer="replicate")


def test_without_a_token_the_hint_names_it(
    still: Callable[..., File], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REPLICATE_API_TOKEN", raising=False)
    with pytest.raises(JobFailed, match="needs a token"):
        run(one_scene(still), tmp_path / "out", renderer="replicate")
