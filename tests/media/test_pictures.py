"""The workflow `image`: sizes and formats as asked for, animations that move on, likeness, and no place unless asked."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import orpheus
from orpheus import File
from orpheus.media.errors import TooLarge
from orpheus.media.opening import type_of
from orpheus.media.pictures import likeness, thumbnails
from orpheus.media.pictures.workflow import image_workflow
from orpheus.testing.inline import InlineRun, JobFailed, run_job


@pytest.fixture(autouse=True)
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORPHEUS_LABELS", raising=False)
    monkeypatch.delenv("ORPHEUS_CHAT_URL", raising=False)


def send(path: Path, folder: Path, **params: Any) -> InlineRun:
    return run_job(image_workflow, {"source": File.from_path(path), **params}, folder=folder)


def shown(path: Path, sides: tuple[int, ...], **options: Any) -> dict[int, Image.Image]:
    form = options.pop("form", "webp")
    made = thumbnails.decode(path, type_of(path), sides, **options)
    return {one.side: Image.open(io.BytesIO(one.data)) for one in thumbnails.thumbnails(made, sides, form)}


@pytest.fixture
def moving(tmp_path: Path) -> Path:
    """Red for 50 ms, half clear green for 200 ms, blue for 130 ms, twice."""
    path = tmp_path / "moving.webp"
    frames = [Image.new("RGBA", (64, 40), colour) for colour in ((255, 0, 0, 255), (0, 255, 0, 128), (0, 0, 255, 255))]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[50, 200, 130], loop=2, lossless=True)
    return path


def test_the_workflow_makes_what_it_is_asked_for(make_image: Callable[..., Path], tmp_path: Path) -> None:
    done = send(make_image("a.png", "RGBA", (400, 200), (0, 0, 0, 0)), tmp_path / "out", sides=[200, 64], format="jpeg")
    assert set(done.artifacts) == {
        *("metadata.json", "thumbnails/64.jpg", "thumbnails/200.jpg"),
        *("analysis/labels.json", "analysis/objects.json"),
    }
    with Image.open(done.artifacts["thumbnails/64.jpg"]) as small:
        assert (small.size, small.format, small.mode) == ((64, 32), "JPEG", "RGB")
        assert small.getpixel((3, 3)) == (255, 255, 255), "JPEG has no alpha: white shows through"
    assert len(done.result.phash) == 16
    assert done.result.blurhash
    assert json.loads(done.artifacts["analysis/labels.json"].read_text()) == []
    assert done.result.notes == ["Nothing looked at the picture: the task analyse_image says why."]
    (skipped,) = (task for task in done.tasks if str(task.state) == "skipped")
    assert skipped.node == "analyse_image"
    assert skipped.error is not None
    assert skipped.error.code == "extra_missing"
    assert "ORPHEUS_CHAT_URL" in (skipped.error.hint or "")


@pytest.mark.parametrize(
    "params",
    [{"sides": []}, {"sides": [8]}, {"sides": [5000]}, {"sides": [20] * 9}, {"format": "gif"}, {"animated": "all"}],
)
def test_nonsense_is_refused_before_a_job_exists(make_image: Callable[..., Path], params: dict[str, Any]) -> None:
    with pytest.raises(orpheus.OrpheusError) as refused:
        send(make_image("a.png", "RGB", (4, 4)), Path(), **params)
    assert refused.value.code == "invalid_params"


def test_a_recording_is_no_image(samples: Path, tmp_path: Path) -> None:
    done = send(samples / "hostile/wav-huge-header.wav", tmp_path)
    assert "thumbnails/160.webp" not in done.artifacts
    assert done.result.kind == "audio"


@pytest.mark.parametrize("form", ["webp", "avif"])
def test_alpha_is_kept(make_image: Callable[..., Path], form: str) -> None:
    picture = shown(make_image("a.png", "RGBA", (400, 300), (255, 0, 0, 0)), (160,), form=form)[160]
    assert picture.format == form.upper()
    assert picture.convert("RGBA").getpixel((80, 60))[3] == 0


@pytest.mark.parametrize("form", ["webp", "avif", "jpeg"])
def test_colours_are_srgb_and_nothing_else_is_in_the_file(make_image: Callable[..., Path], form: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCam"
    path = make_image("a.jpg", "RGB", (400, 300), (200, 100, 50), exif=exif, comment=b"hidden")
    picture = shown(path, (160,), form=form)[160]
    assert not picture.getexif()
    assert "icc_profile" not in picture.info
    assert max(abs(a - b) for a, b in zip(picture.convert("RGB").getpixel((80, 60)), (200, 100, 50), strict=True)) < 6


def test_equal_sides_are_one(make_image: Callable[..., Path]) -> None:
    assert list(shown(make_image("a.png", "RGB", (40, 30)), (32, 32, 16))) == [32, 16]


def test_an_animation_keeps_its_frames_their_times_and_its_loops(moving: Path) -> None:
    for side, size in ((32, (32, 20)), (160, (64, 40))):
        picture = shown(moving, (32, 160), animated="keep")[side]
        assert (picture.size, picture.n_frames, picture.info["loop"]) == (size, 3, 2)
        times, colours = [], []
        for number in range(3):
            picture.seek(number)
            colours.append(picture.convert("RGBA").getpixel((10, 10)))
            times.append(picture.info["duration"])
        assert times == [50, 200, 130]
        assert abs(colours[1][3] - 128) <= 2
        assert colours[2][2] > 240


def test_of_an_animation_the_first_frame_unless_asked(moving: Path) -> None:
    picture = shown(moving, (32,))[32]
    assert getattr(picture, "n_frames", 1) == 1
    assert picture.convert("RGB").getpixel((10, 10))[0] > 240


def test_a_still_picture_stays_one(make_image: Callable[..., Path]) -> None:
    assert getattr(shown(make_image("a.gif", "P", (40, 30)), (32,), animated="keep")[32], "n_frames", 1) == 1


def test_only_webp_moves(moving: Path, tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="animated") as failed:
        send(moving, tmp_path / "out", animated="keep", format="avif")
    assert failed.value.code == "invalid_params"


def test_too_long_an_animation_is_refused_before_it_is_decoded(moving: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "MAX_ANIMATION_PIXELS", 3 * 64 * 40 - 1)
    with pytest.raises(TooLarge, match="3 frames"):
        thumbnails.decode(moving, type_of(moving), (160,), animated="keep")


@pytest.mark.samples
def test_the_cat_goes_on_moving(samples: Path) -> None:
    picture = shown(samples / "images/cat-animated.gif", (160,), animated="keep")[160]
    assert (picture.n_frames, picture.size) == (8, (160, 107))
    times = []
    for number in range(8):
        picture.seek(number)
        picture.load()
        times.append(picture.info["duration"])
    assert times == [120] * 8


@pytest.mark.samples
@pytest.mark.parametrize(("keep", "told"), [(True, {"latitude": 38.71361, "longitude": -9.13917}), (False, None)])
def test_a_place_is_told_only_when_asked(samples: Path, tmp_path: Path, keep: bool, told: Any) -> None:
    done = send(samples / "images/coffee-gps.jpg", tmp_path, keep_gps=keep)
    place = json.loads(done.artifacts["metadata.json"].read_text())["exif"].get("gps")
    assert place == (pytest.approx(told, abs=1e-4) if told else None)


@pytest.mark.parametrize(
    "notes", [{}, {1: "N"}, {1: "N", 2: (91, 0, 0), 3: "E", 4: (0, 0, 0)}, {1: "N", 2: (38, 0, 0)}]
)
def test_a_place_that_makes_no_sense_is_none(make_image: Callable[..., Path], notes: dict[int, Any]) -> None:
    from orpheus.media.opening import place

    exif = Image.Exif()
    exif.get_ifd(0x8825).update(notes)
    path = make_image("a.jpg", "RGB", (8, 8), exif=exif)
    assert place(path, "image/jpeg", "JPEG") == {}


@pytest.mark.samples
def test_files_of_one_picture_look_alike_and_others_do_not(samples: Path) -> None:
    def hash_of(name: str) -> str:
        path = samples / "images" / name
        return thumbnails.decode(path, type_of(path)).phash()

    assert likeness.distance(hash_of("coffee.webp"), hash_of("coffee-gps.jpg")) <= 6
    assert likeness.distance(hash_of("cat-cmyk.jpg"), hash_of("cat-animated.gif")) <= 6
    assert likeness.distance(hash_of("coffee.webp"), hash_of("astronaut.avif")) > 16
