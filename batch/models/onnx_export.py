"""Encoders and rerankers as ONNX graphs, which a service runs without torch.

Each graph is run once after its export, and its output compared with that of the original model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from batch.models.model_folder import is_encoder
from rag.errors import ModelError
from rag.retrieval.embedding import ENCODER, EncoderSpec, read_spec
from rag.retrieval.reranking import RERANKER

ONNX = "onnx/model.onnx"
_MOST_DIFFERENCE = 1e-3  # between the outputs of graph and model

_Torch = Any  # torch and transformers are not typed here
_Texts = Sequence[str] | Sequence[tuple[str, str]]


def served_files(folder: Path) -> list[Path]:
    """Return the files of an exported model that a service needs: graph, tokenizer and description."""
    described = folder / (ENCODER if is_encoder(folder) else RERANKER)
    return [folder / ONNX, folder / "tokenizer.json", described]


def describe_served(folder: Path, spec: EncoderSpec) -> None:
    """Let a release's encoder read texts as a plan does, where the configuration has other prefixes than the model."""
    if spec != read_spec(folder):
        (folder / ENCODER).unlink()  # it may be a link to the models folder
        (folder / ENCODER).write_text(json.dumps(asdict(spec), indent=1) + "\n", encoding="utf-8")


def export_encoder(folder: Path) -> None:
    """Write a sentence-transformers folder's `onnx/model.onnx` and `encoder.json`.

    The graph takes input_ids, attention_mask and (where the model knows them) token_type_ids, each int64
    of shape (batch, tokens), and gives last_hidden_state, float32 (batch, tokens, dimensions).

    Raises:
        ModelError: its pooling or projection is not supported, or the graph's output differs from the model's.
    """
    from transformers import AutoModel

    described = _describe_encoder(folder)
    examples: list[_Texts] = [
        ["how do I ask?", "twice, and at greater length"],
        ["one", "a second text, longer than the first", "3"],
    ]
    transformer = folder / _modules(folder)[0].get("path", "")
    _export(folder, transformer, AutoModel, "last_hidden_state", examples)
    (folder / ENCODER).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def export_reranker(folder: Path) -> None:
    """Write a cross-encoder folder's `onnx/model.onnx` and `reranker.json`.

    It takes the inputs of an encoder's graph, for pairs (question, passage), and gives logits, float32 (batch, 1).

    Raises:
        ModelError: the model does not give one score per pair, or the graph's output differs from the model's.
    """
    from transformers import AutoModelForSequenceClassification

    config = _json(folder / "config.json")
    labels = len(config.get("id2label") or {0: "", 1: ""})
    if labels != 1:
        raise ModelError(f"the model in {folder} gives {labels} scores to a pair; a reranker gives one")
    limits = [config.get("max_position_embeddings"), _json(folder / "tokenizer_config.json").get("model_max_length")]
    described = {"max_tokens": min(int(limit) for limit in (*limits, 512) if limit)}
    examples: list[_Texts] = [
        [("how do I ask?", "Ask politely."), ("how?", "At greater length than that, and twice.")],
        [("one", "a text that is longer than the first"), ("two?", "3"), ("", "x")],
    ]
    _export(folder, folder, AutoModelForSequenceClassification, "logits", examples)
    (folder / RERANKER).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def _export(folder: Path, transformer: Path, kind: _Torch, output: str, examples: Sequence[_Texts]) -> None:
    """Export by tracing the model on the first example; compare both on the second, which has another shape."""
    import torch
    from transformers import AutoTokenizer

    target = folder / ONNX
    target.parent.mkdir(exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(transformer)
    model = kind.from_pretrained(transformer, attn_implementation="eager", dtype=torch.float32).eval()
    traced, other = (tokenizer(list(texts), padding=True, return_tensors="pt") for texts in examples)
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in traced]
    graph = _with_output(model, names, output)
    torch.onnx.export(
        graph,
        tuple(traced[name] for name in names),
        target,
        input_names=names,
        output_names=[output],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*names, output]},
        opset_version=17,
        dynamo=False,  # ONNX Runtime refuses the newer exporter's graph ("Duplicate definition of name")
    )
    difference = _difference(graph, target, {name: other[name] for name in names})
    if not difference < _MOST_DIFFERENCE:
        raise ModelError(f"the ONNX export of the model in {folder} differs by {difference:.2g} from the model")


def _with_output(model: _Torch, names: list[str], output: str) -> _Torch:
    """Wrap the model so that its graph has named inputs in a fixed order and one output."""
    import torch

    class Graph(torch.nn.Module):  # type: ignore[misc, unused-ignore]  # torch is untyped here
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: _Torch) -> _Torch:
            return self.model(**dict(zip(names, tensors, strict=True)))[output]

    return Graph().eval()


def _difference(graph: _Torch, onnx: Path, inputs: dict[str, _Torch]) -> float:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    with torch.no_grad():
        expected = graph(*inputs.values())
    return float((torch.from_numpy(found) - expected).abs().max())


def _describe_encoder(folder: Path) -> dict[str, object]:
    """Return what a reader needs besides the graph: the longest input, the dimensions, the pooling."""
    modules = _modules(folder)
    kinds = [str(m["type"]).rsplit(".", 1)[-1] for m in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or set(kinds[2:]) - {"Normalize"}:
        raise ModelError(f"the encoder in {folder} is {' + '.join(kinds)}; served are Transformer + Pooling")
    config = _json(folder / modules[0].get("path", "") / "config.json")
    limits = [config.get("max_position_embeddings"), _json(folder / "sentence_bert_config.json").get("max_seq_length")]
    return {
        "max_tokens": min(int(limit) for limit in limits if limit),
        "dimensions": int(config["hidden_size"]),
        "pooling": _pooling(folder / modules[1]["path"] / "config.json"),
        "normalise": True,
        **_prefixes(folder),
    }


def _prefixes(folder: Path) -> dict[str, str]:
    """Return what the model wants before questions and passages, where it says so."""
    prompts = _json(folder / "config_sentence_transformers.json").get("prompts") or {}
    found = {
        "query_prefix": prompts.get("query", ""),
        "passage_prefix": prompts.get("passage") or prompts.get("document", ""),
    }
    return {name: str(text) for name, text in found.items() if text}


def _pooling(config: Path) -> str:
    found = _json(config)
    modes = [key.removeprefix("pooling_mode_") for key, on in found.items() if key.startswith("pooling_mode_") and on]
    mode = {"mean_tokens": "mean", "cls_token": "cls"}.get(modes[0] if len(modes) == 1 else "", "")
    mode = mode or str(found.get("pooling_mode", "+".join(modes)))
    if mode not in ("mean", "cls"):
        raise ModelError(f"{config}: pooling {mode!r} is not served; mean and cls are")
    return mode


def _modules(folder: Path) -> list[dict[str, str]]:
    return list(json.loads((folder / "modules.json").read_text(encoding="utf-8")))


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
