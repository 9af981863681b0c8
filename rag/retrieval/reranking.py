"""Reranking: a cross-encoder reads a question and a passage together and says how well they fit.

Fusion only counts places; a cross-encoder reads. It costs a run of the model for each candidate, so only the
best few of the fusion are read again. Without torch, as the encoder (`rag.retrieval.embedding`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.errors import ModelError
from rag.retrieval.onnx_session import feeds, open_session

RERANKER = "reranker.json"


class Reranker:
    """A cross-encoder: a question and n passages in, n scores between 0 and 1 out."""

    def __init__(self, session: Any, tokenizer: Any) -> None:
        self._session = session
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path, threads: int = 0) -> Reranker:
        """Load `model.onnx`, `tokenizer.json` and `reranker.json`; `threads` 0 means one a core.

        Raises:
            ModelError: a file is missing or torn.
        """
        try:
            most = int(json.loads((folder / RERANKER).read_text(encoding="utf-8"))["max_tokens"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelError(
                f"{folder}: is no reranker ({error}); pull one with `beforehand models pull`, a cross-encoder"
            ) from error
        session, tokenizer = open_session(folder, "reranker", threads)
        tokenizer.enable_truncation(most)
        tokenizer.enable_padding()
        return cls(session, tokenizer)

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Score n passages for a question: shape (n,)."""
        encodings = self._tokenizer.encode_batch([(question, text) for text in texts])
        logits: NDArray[np.float32] = self._session.run(None, feeds(self._session, encodings))[0][:, 0]
        halved = logits.astype(np.float64) / 2
        return np.asarray(0.5 + 0.5 * np.tanh(halved))  # the logistic function, written so that it can't overflow
