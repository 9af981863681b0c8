"""A small encoder that needs no model: each word has its own random direction, and a text is their mean."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

DIMENSIONS = 64
_WORDS = 4096


def write_encoder(folder: Path, words: set[str]) -> None:
    """Write an ONNX encoder that knows these words and takes all others for one."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    directions = np.random.default_rng(7).normal(size=(_WORDS, DIMENSIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["directions", "input_ids"], ["hidden"], axis=0)],
        "words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", "tokens", DIMENSIONS])],
        [numpy_helper.from_array(directions, "directions")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    known = {"[unk]": 0, **{word: number for number, word in enumerate(sorted(words), start=1)}}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="[unk]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    spec = {"max_tokens": 128, "dimensions": DIMENSIONS, "pooling": "mean", "normalise": True}
    (folder / "encoder.json").write_text(json.dumps(spec))
