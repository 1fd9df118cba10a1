"""The examples do what they say, run in one process by the real core."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

import orpheus
from orpheus.testing.inline import JobFailed, run_job

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example() -> Iterator[Any]:
    """Import an example by name, as `orpheus run examples/NAME.py:…` would."""
    loaded = []

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        loaded.append(spec.name)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in loaded:
        del sys.modules[name]


def test_hello(example: Any) -> None:
    hello = example("hello").hello
    assert orpheus.run(hello) == "Hello, world!"
    assert orpheus.run(hello, name="you") == "Hello, you!"


@pytest.mark.parametrize(
    ("text", "expected", "mood"),
    [
        ("One two.", "One two.", "calm"),
        ("One two! Three.", "One two! Three.", "lively"),
        ("One two three. Four five six. Seven.", "One two three.", "calm"),
        ("Is it one?", "Is it one?", None),
    ],
)
def test_triage_takes_one_branch_and_survives_its_helper(
    example: Any, text: str, expected: str, mood: str | None
) -> None:
    found = orpheus.run(example("triage").triage, text=text, limit=5)
    assert (found.text, found.words, found.mood) == (expected, len(text.split()), mood)


def test_triage_refuses_nothing(example: Any) -> None:
    with pytest.raises(JobFailed, match="empty") as failed:
        orpheus.run(example("triage").triage, text="  ")
    assert failed.value.hint == "Send at least one word."


def test_contact_sheet_keeps_the_order(example: Any, tmp_path: Path) -> None:
    colours = ["red", "green", "blue"]
    photos = []
    for place, colour in enumerate(colours):
        photos.append(tmp_path / f"{place}.png")
        Image.new("RGB", (60, 40), colour).save(photos[-1])
    files = [orpheus.File.from_path(photo) for photo in photos]
    done = run_job(example("contact_sheet").contact_sheet, {"photos": files, "side": 32}, folder=tmp_path / "out")
    assert set(done.artifacts) == {"small/0.jpg", "small/1.jpg", "small/2.jpg", "sheet.jpg"}
    with Image.open(done.artifacts["sheet.jpg"]) as sheet:
        assert sheet.size == (64, 64)
        seen = [sheet.getpixel(at) for at in ((16, 16), (48, 16), (16, 48))]
    for pixel, strongest in zip(seen, (0, 1, 2), strict=True):
        assert pixel[strongest] == max(pixel)


def test_contact_sheet_of_nothing_is_a_white_square(example: Any) -> None:
    """An empty map completes with [] (R13)."""
    assert orpheus.run(example("contact_sheet").contact_sheet, photos=[], side=8).content_type == "image/jpeg"


@pytest.mark.samples
def test_preview_gif(example: Any, tmp_path: Path) -> None:
    video = EXAMPLES.parents[1] / "shared/samples/video/flower-rotated90.mp4"
    if not video.exists():
        pytest.skip("no sample files")
    source = orpheus.File.from_path(video)
    done = run_job(example("preview_gif").preview_gif, {"source": source, "seconds": 1.0}, folder=tmp_path)
    with Image.open(done.artifacts["preview.gif"]) as gif:
        assert gif.size[0] == 320
        assert 6 <= getattr(gif, "n_frames", 1) <= 10
