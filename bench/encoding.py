"""The encoder in batches: ONNX Runtime as the batch run uses it, the same in 8 bits, and sentence-transformers.

    python -m bench.encoding TEXTS [--encoder models/all-minilm-l6-v2] [--rounds 3] [--threads 1]

TEXTS is a folder of real texts, of which pieces of about 10, 60 and 250 tokens are made. For each length and batch
size every encoder embeds the same texts in turn, round by round; the best round counts, in milliseconds of processor
time a text. The 8 bits are ONNX Runtime's dynamic quantisation. How far vectors agree: the mean and the least cosine
with those of ONNX Runtime in 32 bits, and how many of the 10 nearest of each text are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.large import ROOT, real_sentences
from rag.retrieval.embedding import OnnxEncoder, TokenCounter
from rag.retrieval.vectors import Vectors

_LENGTHS = (10, 60, 250)
_BATCHES = (1, 8, 32)
_COMPARED = 150  # texts of each length
_NEAREST = 10

Embed = Callable[[Sequence[str], int], Vectors]


def main() -> None:
    """Measure every encoder and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--encoder", type=Path, default=ROOT / "models" / "all-minilm-l6-v2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    sentences = real_sentences(options.texts)
    counter = TokenCounter(options.encoder)
    with tempfile.TemporaryDirectory() as folder:
        encoders = _encoders(options.encoder, Path(folder), options.threads)
        for tokens in _LENGTHS:
            texts = _pieces(sentences, counter, tokens)
            _print({"tokens": tokens, "texts": len(texts), "agreement": _agreement(encoders, texts)})
            for size in _BATCHES:
                some = texts[: max(size, 1_500 // tokens)]
                _print({"tokens": tokens, "batch": size, "ms_a_text": _times(encoders, some, size, options.rounds)})


def _encoders(folder: Path, room: Path, threads: int) -> Mapping[str, Embed]:
    exact = OnnxEncoder.load(folder, threads)
    small = OnnxEncoder.load(_quantised(folder, room / folder.name), threads)
    torch_model = _sentence_transformer(folder, threads)
    return {
        "onnx": exact.embed_passages,
        "onnx int8": small.embed_passages,
        "sentence-transformers": lambda texts, size: np.asarray(
            torch_model.encode(list(texts), batch_size=size, normalize_embeddings=True, show_progress_bar=False)
        ),
    }


def _quantised(folder: Path, target: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target.mkdir()
    model = folder / "model.onnx" if (folder / "model.onnx").exists() else folder / "onnx" / "model.onnx"
    quantize_dynamic(model, target / "model.onnx", weight_type=QuantType.QInt8)
    for name in ("tokenizer.json", "encoder.json"):
        (target / name).write_bytes((folder / name).read_bytes())
    return target


def _sentence_transformer(folder: Path, threads: int) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    return SentenceTransformer(str(folder), device="cpu")


def _pieces(sentences: Sequence[str], counter: TokenCounter, tokens: int) -> list[str]:
    """Return texts of about so many tokens: sentences that stand together, cut at words."""
    words = " ".join(sentences).split()
    found, place = list[str](), 0
    while len(found) < _COMPARED:
        length = max(1, tokens * 2 // 3)
        while counter(" ".join(words[place : place + length + 1])) <= tokens:
            length += 1
        found.append(" ".join(words[place : place + length]))
        place += length
    return found


def _agreement(encoders: Mapping[str, Embed], texts: Sequence[str]) -> dict[str, dict[str, float]]:
    vectors = {name: embed(texts, 32) for name, embed in encoders.items()}
    exact = vectors["onnx"]
    near = _nearest(exact)
    found = {}
    for name, each in vectors.items():
        cosines = (each * exact).sum(axis=1)
        same = [len(set(one) & set(other)) / _NEAREST for one, other in zip(_nearest(each), near, strict=True)]
        found[name] = {
            "mean_cosine": round(float(cosines.mean()), 5),
            "least_cosine": round(float(cosines.min()), 5),
            "same_neighbours": round(float(np.mean(same)), 4),
        }
    return found


def _nearest(vectors: Vectors) -> list[list[int]]:
    products = vectors @ vectors.T
    np.fill_diagonal(products, -2)
    rows: list[list[int]] = np.argsort(-products, axis=1)[:, :_NEAREST].tolist()
    return rows


def _times(encoders: Mapping[str, Embed], texts: Sequence[str], size: int, rounds: int) -> dict[str, float]:
    best = dict.fromkeys(encoders, float("inf"))
    for _ in range(rounds):
        for name, embed in encoders.items():
            began = time.process_time()
            for start in range(0, len(texts), size):
                embed(texts[start : start + size], size)
            best[name] = min(best[name], (time.process_time() - began) * 1_000 / len(texts))
    return {name: round(each, 3) for name, each in best.items()}


def _print(figures: Mapping[str, object]) -> None:
    print(json.dumps({**figures, "load": round(os.getloadavg()[0], 1)}), flush=True)


if __name__ == "__main__":
    main()
