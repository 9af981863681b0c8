"""An ONNX graph with its tokenizer, as the encoder and the reranker are stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.errors import ModelError


def open_session(folder: Path, what: str, threads: int = 0) -> tuple[Any, Any]:
    """Load `model.onnx` (or `onnx/model.onnx`) and `tokenizer.json`; `threads` 0 means one a core.

    Raises:
        ModelError: a file is missing or torn; `what` names the model in the message.
    """
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    model = folder / "model.onnx"
    model = model if model.exists() else folder / "onnx" / "model.onnx"
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime and tokenizers raise bare exceptions of their own
        raise ModelError(
            f"{folder}: the {what} can't be loaded ({error}); pull it again with `beforehand models pull`"
        ) from error
    return session, tokenizer


def feeds(session: Any, encodings: Sequence[Any]) -> dict[str, NDArray[np.int64]]:
    """Return the graph's inputs of shape (batch, tokens) for a batch of the tokenizer's encodings."""
    known = {
        "input_ids": [each.ids for each in encodings],
        "attention_mask": [each.attention_mask for each in encodings],
        "token_type_ids": [each.type_ids for each in encodings],
    }
    wanted = {each.name for each in session.get_inputs()}
    return {name: np.array(rows, dtype=np.int64) for name, rows in known.items() if name in wanted}
