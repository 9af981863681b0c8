"""Runs an ONNX model with its tokenizer; the encoder and the reranker are both stored this way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.errors import ModelError
from rag.retrieval.vectors import Vectors


@dataclass(frozen=True)
class ModelOutput:
    """What a model returns for a batch: its first output, and the token ids and attention mask that it was given."""

    values: Vectors
    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


class OnnxSession:
    """A loaded model: texts, or pairs of texts, in, and its first output out."""

    def __init__(self, session: Any, tokenizer: Any) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._inputs = {each.name for each in session.get_inputs()}

    @classmethod
    def load(cls, folder: Path, kind: str, max_tokens: int, threads: int = 0) -> OnnxSession:
        """Load `model.onnx` (or `onnx/model.onnx`) and `tokenizer.json`; `threads` 0 means one per core.

        Raises:
            ModelError: a file is missing or torn; the message calls the model by its `kind`.
        """
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # threads that wait for the next layer busily take twice the processor time, and slow what follows the model
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = folder / "model.onnx"
        model = model if model.exists() else folder / "onnx" / "model.onnx"
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime and tokenizers raise bare exceptions of their own
            raise ModelError(
                f"{folder}: the {kind} can't be loaded ({error}); pull it again with `beforehand models pull`"
            ) from error
        tokenizer.enable_truncation(max_tokens)
        tokenizer.enable_padding()
        return cls(session, tokenizer)

    def run(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> ModelOutput:
        """Return the model's first output for a batch; ids and mask are of shape (batch, tokens)."""
        encodings = self._tokenizer.encode_batch(texts)
        ids = np.array([each.ids for each in encodings], dtype=np.int64)
        mask = np.array([each.attention_mask for each in encodings], dtype=np.int64)
        known = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": [each.type_ids for each in encodings],
        }
        inputs = {name: np.array(rows, dtype=np.int64) for name, rows in known.items() if name in self._inputs}
        return ModelOutput(self._session.run(None, inputs)[0], ids, mask)

    def tokens(self, text: str) -> list[int]:
        """Return the ids of a text's tokens, special ones included."""
        return list(self._tokenizer.encode(text).ids)
