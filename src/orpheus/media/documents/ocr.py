"""Text of a page that is only a picture: rendered by PDFium, read by Tesseract. A plain function on a path.

Tesseract keeps a core busy and holds the interpreter, so tasks run this in a process of their own.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Final

from orpheus.media import pdf
from orpheus.media.errors import ExtraMissing
from orpheus.media.extras import need

DPI: Final = 200
"""150 to 400 read the sample scans equally well; above 300 the time doubles."""
MAX_SIDE: Final = 6_000
"""Pixels of the longest side, however large the page claims to be."""
LEAST_CONFIDENCE: Final = 30
"""Percent. Below it Tesseract has read specks."""


class Reader:
    """Tesseract with its data, loaded once a process.

    Args:
        language: of the data, e.g. `eng` or `eng+deu`; `ORPHEUS_TESSDATA` names a folder with more languages.

    Raises:
        ExtraMissing: the extra `ocr`, or the data of the language, is not installed.
    """

    def __init__(self, language: str = "eng") -> None:
        # One thread a page: pages are read side by side, and Tesseract's own threads cost more than they bring.
        os.environ.setdefault("OMP_THREAD_LIMIT", "1")
        tesserocr = need("tesserocr")
        folder = os.environ.get("ORPHEUS_TESSDATA") or need("tessdata").data_path()
        try:
            self._api = tesserocr.PyTessBaseAPI(path=str(folder), lang=language, psm=tesserocr.PSM.AUTO)
        except RuntimeError as error:
            raise ExtraMissing(
                f"Tesseract finds no data for {language!r} in its folder",
                hint="Set ORPHEUS_TESSDATA to a folder with that language's .traineddata.",
            ) from error

    def read(self, picture: Any, *, dpi: int) -> str:
        """Return the text of a Pillow image; empty when nothing can be read."""
        self._api.SetImage(picture)
        self._api.SetSourceResolution(dpi)
        text = str(self._api.GetUTF8Text())
        return text.strip() if self._api.MeanTextConf() >= LEAST_CONFIDENCE else ""

    def close(self) -> None:
        self._api.End()


def read_page(path: Path, number: int, reader: Reader) -> str:
    """Return the text of page `number` (from 1), read from its picture.

    Raises:
        Refused: as `pdf.opened`.
    """
    with pdf.opened(path) as document, contextlib.closing(document[number - 1]) as page:
        width, height = page.get_size()
        scale = min(DPI / 72, MAX_SIDE / max(width, height, 1.0))
        picture = page.render(scale=scale, grayscale=True, may_draw_forms=False).to_pil()
    return reader.read(picture, dpi=max(70, round(scale * 72)))
