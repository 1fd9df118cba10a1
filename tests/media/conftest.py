"""Where the sample files lie, and small files made on the spot."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of sample files beside the checkout; CI must have it, a bare clone may lack it."""
    folder = ROOT.parent / "shared" / "samples"
    if not folder.is_dir():
        message = "no sample files in ../shared/samples"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[..., Path]:
    """Make an image file: `make_image("a.png", "RGBA", (40, 30), color=…, **save options)`."""

    def make(name: str, mode: str, size: tuple[int, int], color: object = 0, **options: object) -> Path:
        path = tmp_path / name
        Image.new(mode, size, color).save(path, **options)
        return path

    return make
