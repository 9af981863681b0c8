"""Reranking: a cross-encoder reads a question together with each passage and scores how well they fit.

Fusion looks at ranks alone; a cross-encoder reads the text, at the cost of one model run per candidate. So only the
best few candidates are reranked. Runs without torch, like the encoder (`rag.retrieval.embedding`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.errors import ModelError
from rag.retrieval.onnx_session import OnnxSession

RERANKER = "reranker.json"


class Reranker:
    """A cross-encoder: takes a question and n passages, returns n scores between 0 and 1."""

    def __init__(self, session: OnnxSession) -> None:
        self._session = session

    @classmethod
    def load(cls, folder: Path, threads: int = 0) -> Reranker:
        """Load `model.onnx`, `tokenizer.json` and `reranker.json`; `threads` 0 means one per core.

        Raises:
            ModelError: a file is missing or torn.
        """
        try:
            max_tokens = int(json.loads((folder / RERANKER).read_text(encoding="utf-8"))["max_tokens"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelError(
                f"{folder}: not a reranker ({error}); name a cross-encoder and pull it with `beforehand models pull`"
            ) from error
        return cls(OnnxSession.load(folder, "reranker", max_tokens, threads))

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the scores of n texts for a question, shape (n,)."""
        logits = self._session.run([(question, text) for text in texts]).values
        halved = logits[:, 0].astype(np.float64) / 2
        return np.asarray(0.5 + 0.5 * np.tanh(halved))  # the logistic function, written so that it can't overflow
