"""Embedding questions and chunks without torch: ONNX Runtime and `tokenizers`.

One question takes 5 to 7 ms on two cores where sentence-transformers takes 19 to 21 ms, starts in half a
second instead of twenty and gives the same vectors (docs/measurements.md). The batch run embeds with
sentence-transformers (`batch/stages/index.py`), which knows GPUs; the audit checks that both agree.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.errors import ModelError
from rag.retrieval.onnx_session import feeds, open_session
from rag.retrieval.vectors import Vectors

ENCODER = "encoder.json"


@dataclass(frozen=True)
class EncoderSpec:
    """What `encoder.json` says: how many tokens the encoder reads and how it pools them."""

    max_tokens: int
    dimensions: int
    pooling: str
    normalise: bool


def read_spec(folder: Path) -> EncoderSpec:
    """Read `encoder.json`.

    Raises:
        ModelError: it is missing or torn, or names a pooling that is not served.
    """
    try:
        spec = EncoderSpec(**json.loads((folder / ENCODER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{folder}: is no encoder ({error}); pull it again with `beforehand models pull`") from error
    if spec.pooling not in ("mean", "cls"):
        raise ModelError(f"{folder / ENCODER}: pooling {spec.pooling!r} is not served; mean and cls are")
    return spec


class OnnxEncoder:
    """A sentence encoder: texts in, rows of float32 out, of length 1 where the encoder normalises."""

    def __init__(self, session: Any, tokenizer: Any, spec: EncoderSpec) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self.spec = spec

    @classmethod
    def load(cls, folder: Path, threads: int = 0) -> OnnxEncoder:
        """Load `model.onnx`, `tokenizer.json` and `encoder.json`; `threads` 0 means one a core.

        Raises:
            ModelError: a file is missing or torn.
        """
        spec = read_spec(folder)
        session, tokenizer = open_session(folder, "encoder", threads)
        tokenizer.enable_truncation(spec.max_tokens)
        tokenizer.enable_padding()
        return cls(session, tokenizer, spec)

    def embed(self, texts: Sequence[str], batch_size: int = 32) -> Vectors:
        """Embed n texts: float32 of shape (n, dimensions). Longer texts are cut at `spec.max_tokens`."""
        vectors = np.zeros((len(texts), self.spec.dimensions), dtype=np.float32)
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # less padding
        for start in range(0, len(texts), batch_size):
            rows = by_length[start : start + batch_size]
            vectors[rows] = self._embed_batch([texts[i] for i in rows])
        return vectors

    def _embed_batch(self, texts: list[str]) -> Vectors:
        encodings = self._tokenizer.encode_batch(texts)
        hidden = self._session.run(None, feeds(self._session, encodings))[0]
        return _pool(hidden, np.array([each.attention_mask for each in encodings], dtype=np.int64), self.spec)


def _pool(hidden: Vectors, mask: NDArray[np.int64], spec: EncoderSpec) -> Vectors:
    if spec.pooling == "cls":
        pooled = hidden[:, 0]
    else:
        weights = mask[:, :, None].astype(np.float32)
        pooled = (hidden * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
    if spec.normalise:
        pooled = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    return pooled.astype(np.float32)


class TokenCounter:
    """Counts a text's tokens as the encoder would read them, special tokens included."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:
            raise ModelError(f"{folder / 'tokenizer.json'}: can't be loaded ({error})") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def __call__(self, text: str) -> int:
        """Count the tokens of a text."""
        return len(self._tokenizer.encode(text).ids)
