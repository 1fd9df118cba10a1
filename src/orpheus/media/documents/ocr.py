"""Text of a page that is only a picture: rendered by PDFium, read by Tesseract. A plain function on a path.

Tesseract keeps a core busy and holds the interpreter, so tasks run this in a process of their own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orpheus.media import pdf
from orpheus.media.documents.straight import levelled
from orpheus.media.errors import ExtraMissing
from orpheus.media.extras import need

if TYPE_CHECKING:
    from PIL.Image import Image

DPI: Final = 200
"""150 to 400 read the sample scans equally well; above 300 the time doubles."""
MAX_SIDE: Final = 6_000
"""Pixels of the longest side, however large the page claims to be."""
LEAST_SIDE: Final = 1_700
"""Pixels of the longest side, where the scan has them: of a page that claims to be as small as a stamp, or is."""
LEAST_CONFIDENCE: Final = 30
"""Percent. Below it Tesseract has read specks."""
_DOUBTFUL: Final = 75
"""Percent. Pages that lie right are read with 90 and more, those upside down with 40."""
_FEW_WORDS: Final = 3
_ORIENTATION: Final = "osd"


class Reader:
    """Tesseract with its data, loaded once a process.

    Args:
        language: of the data, e.g. `eng` or `eng+deu`; `ORPHEUS_TESSDATA` names a folder with more languages.

    Raises:
        ExtraMissing: the extra `ocr`, or the data of the language, is not installed.
    """

    def __init__(self, language: str = "eng") -> None:
        # One thread a page: pages are read side by side, and Tesseract's own threads cost more than they bring.
        tesserocr = need("tesserocr", OMP_THREAD_LIMIT="1")
        folder = os.environ.get("ORPHEUS_TESSDATA") or need("tessdata").data_path()
        try:
            self._api = tesserocr.PyTessBaseAPI(path=str(folder), lang=language, psm=tesserocr.PSM.AUTO)
        except RuntimeError as error:
            raise ExtraMissing(
                f"Tesseract finds no data for {language!r} in its folder",
                hint="Set ORPHEUS_TESSDATA to a folder with that language's .traineddata.",
            ) from error
        self._folder = Path(folder)

    def read(self, picture: Image, *, dpi: int) -> str:
        """Return the text of a grey picture of a page; empty when nothing can be read.

        It may lie askew, on its side or upside down, and be specked.
        """
        level = levelled(picture)
        text, confidence = self._read(level, dpi)
        if confidence < _DOUBTFUL:
            degrees = self._turned_by(picture, dpi)
            if degrees:
                upright = self._read(levelled(picture.rotate(degrees, expand=True)), dpi)
                text, confidence = max((text, confidence), upright, key=lambda one: one[1])
        if len(text.split()) < _FEW_WORDS:
            smooth = level.filter(need("PIL.ImageFilter").MedianFilter(3))
            text, confidence = max((text, confidence), self._read(smooth, dpi), key=lambda one: len(one[0]))
        return text if confidence >= LEAST_CONFIDENCE else ""

    def _read(self, picture: Image, dpi: int) -> tuple[str, int]:
        """Return the text, and how sure Tesseract is of its words in percent."""
        self._api.SetImage(picture)
        self._api.SetSourceResolution(dpi)
        return str(self._api.GetUTF8Text()).strip(), int(self._api.MeanTextConf())

    def _turned_by(self, picture: Image, dpi: int) -> int:
        """Return by how many degrees (counterclockwise: 0, 90, 180, 270) a picture has to be turned; 0 when that cannot be told."""
        if not (self._folder / f"{_ORIENTATION}.traineddata").is_file():
            return 0
        tesserocr = need("tesserocr")
        with tesserocr.PyTessBaseAPI(path=str(self._folder), lang=_ORIENTATION, psm=tesserocr.PSM.OSD_ONLY) as api:
            api.SetImage(picture)
            api.SetSourceResolution(dpi)
            told = api.DetectOrientationScript()
        return int(told["orient_deg"]) if told else 0

    def close(self) -> None:
        self._api.End()


def read_page(path: Path, number: int, reader: Reader) -> str:
    """Return the text of page `number` (from 1), read from its picture.

    Raises:
        Refused: as `pdf.opened`.
    """
    with pdf.opened(path) as document, contextlib.closing(document[number - 1]) as page:
        scale = _scale(page)
        picture = page.render(scale=scale, grayscale=True, may_draw_forms=False).to_pil()
    return reader.read(picture, dpi=min(max(70, round(scale * 72)), 300))


def _scale(page: Any) -> float:
    """Return how many pixels a point of the page becomes."""
    longest_pt: float = max(*page.get_size(), 1.0)
    scale = DPI / 72
    if longest_pt * scale < LEAST_SIDE:
        raw = need("pypdfium2").raw
        images = itertools.islice(page.get_objects(filter=(raw.FPDF_PAGEOBJ_IMAGE,), max_depth=4), 1000)
        scanned_px = max((max(image.get_px_size()) for image in images), default=0)
        scale = max(scale, min(scanned_px, LEAST_SIDE) / longest_pt)
    return min(scale, MAX_SIDE / longest_pt)
