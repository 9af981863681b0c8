"""Kinds of vector indexes beside an exact one: time to build and to search, size, recall.

    python -m bench.index_kinds TEXTS [--vectors 10000 100000] [--encoder models/all-minilm-l6-v2] [--keep FILE]

TEXTS holds `docs/` and `question_pairs.jsonl.gz`: their sentences and questions are embedded, and if more vectors are
wanted than there are texts, the others are mixtures of two real ones that are near each other. Random vectors would say
nothing: they have no neighbourhoods. 500 texts that are in no index are searched for, in one batch and one by one, on
one thread. Prints JSON: processor time, bytes a vector, and recall of the 10 and 40 nearest. `--keep` is a file for the
vectors, which take minutes to embed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bench.large import ROOT, real_questions, real_sentences
from rag.retrieval.embedding import OnnxEncoder
from rag.retrieval.index_kinds import SAMPLE, cells_of
from rag.retrieval.vectors import Vectors

_ASKED = 500
_DEPTHS = (10, 40)
_PROBES = (16, 32, 64, 128)
_BEAMS = (40, 80, 160, 320)  # candidates that a search in an HNSW graph keeps
_LINKS, _BUILD_BEAM = 32, 80
_ROUNDS = 10  # of the clustering, as in a run
_BLOCK = 512  # texts


def main() -> None:
    """Build every kind at every size and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--vectors", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--encoder", type=Path, default=ROOT / "models" / "all-minilm-l6-v2")
    parser.add_argument("--texts-embedded", type=int, default=20_000)
    parser.add_argument("--kinds", nargs="+", choices=list(_KINDS), default=list(_KINDS))
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    real = _real_vectors(options.texts, options.encoder, options.texts_embedded, options.keep)
    asked, known = real[:_ASKED], real[_ASKED:]
    for count in options.vectors:
        vectors = _as_many(known, count)
        exact = _Measured("exact", vectors, lambda d, _: faiss.IndexFlatIP(d))
        nearest = exact.search(asked)
        exact.report(asked, nearest, {})
        for name in options.kinds:
            measured = _Measured(name, vectors, _KINDS[name])
            for setting in _BEAMS if name.startswith("HNSW") else _PROBES:
                measured.report(asked, nearest, {"searched": setting})


def _cells(code: str) -> Callable[[int, int], Any]:
    def make(dimensions: int, count: int) -> Any:
        index: Any = faiss.index_factory(dimensions, f"IVF{cells_of(count)},{code}", faiss.METRIC_INNER_PRODUCT)
        index.cp.niter, index.cp.max_points_per_centroid = _ROUNDS, SAMPLE
        if code.startswith("PQ"):
            index.pq.cp.niter, index.pq.cp.max_points_per_centroid = _ROUNDS, SAMPLE
        return index

    return make


def _graph(code: str) -> Callable[[int, int], Any]:
    def make(dimensions: int, _: int) -> Any:
        index: Any = faiss.index_factory(dimensions, f"HNSW{_LINKS}{code}", faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _BUILD_BEAM
        return index

    return make


_KINDS: Mapping[str, Callable[[int, int], Any]] = {
    "cells": _cells("Flat"),
    "cells of 8 bits": _cells("SQ8"),
    "HNSW": _graph(""),
    "HNSW of 8 bits": _graph("_SQ8"),
    "IVF-PQ of 48 bytes": _cells("PQ48"),
}


class _Measured:
    """An index that was built, and what that took."""

    def __init__(self, kind: str, vectors: Vectors, make: Callable[[int, int], Any]) -> None:
        self._kind, self._count = kind, len(vectors)
        began = time.process_time()
        self._index = make(vectors.shape[1], len(vectors))
        rows = np.linspace(0, len(vectors) - 1, min(len(vectors), cells_of(len(vectors)) * SAMPLE), dtype=np.int64)
        self._index.train(vectors[rows])
        self._index.add(vectors)
        self._built = time.process_time() - began
        self._bytes = faiss.serialize_index(self._index).nbytes / len(vectors)

    def search(self, asked: Vectors) -> NDArray[np.int64]:
        """Return the rows of the nearest of each."""
        found: NDArray[np.int64] = self._index.search(asked, max(_DEPTHS))[1]
        return found

    def report(self, asked: Vectors, nearest: NDArray[np.int64], settings: Mapping[str, int]) -> None:
        """Search with these settings, and print the figures."""
        if settings:
            if self._kind.startswith("HNSW"):
                self._index.hnsw.efSearch = settings["searched"]
            else:
                self._index.nprobe = settings["searched"]
        together = _milliseconds(lambda: self.search(asked)) / len(asked)
        alone = _milliseconds(lambda: [self.search(each.reshape(1, -1)) for each in asked]) / len(asked)
        found = self.search(asked)
        figures = {
            "kind": self._kind,
            "vectors": self._count,
            **settings,
            "build_seconds": round(self._built, 1),
            "bytes_a_vector": round(self._bytes),
            "ms_in_a_batch": round(together, 3),
            "ms_alone": round(alone, 3),
            **{f"recall@{depth}": _recall(found, nearest, depth) for depth in _DEPTHS},
            "load": round(os.getloadavg()[0], 1),
        }
        print(json.dumps(figures), flush=True)


def _recall(found: NDArray[np.int64], nearest: NDArray[np.int64], depth: int) -> float:
    pairs = zip(found[:, :depth].tolist(), nearest[:, :depth].tolist(), strict=True)
    return round(sum(len(set(one) & set(other)) for one, other in pairs) / depth / len(found), 4)


def _milliseconds(search: Callable[[], object]) -> float:
    began = time.process_time()
    search()
    return (time.process_time() - began) * 1_000


def _real_vectors(texts: Path, encoder: Path, most: int, keep: Path | None) -> Vectors:
    """Return the vectors of as many questions and sentences, chosen by chance."""
    if keep and keep.exists():
        kept: Vectors = np.load(keep)
        return kept
    loaded = OnnxEncoder.load(encoder, threads=1)
    known = list(dict.fromkeys([*real_questions(texts / "question_pairs.jsonl.gz"), *real_sentences(texts / "docs")]))
    read = random.Random(1).sample(known, min(most, len(known)))
    found = np.concatenate([loaded.embed_passages(read[at : at + _BLOCK]) for at in range(0, len(read), _BLOCK)])
    if keep:
        np.save(keep, found)
    return found


def _as_many(real: Vectors, count: int) -> Vectors:
    """Return so many vectors: real ones, then mixtures of a real one and one of its 20 nearest."""
    if count <= len(real):
        return np.ascontiguousarray(real[:count])
    chance = np.random.default_rng(2)
    index = faiss.IndexFlatIP(real.shape[1])
    index.add(real)
    rows = chance.integers(0, len(real), count - len(real))
    sample = np.unique(rows)
    near = dict(zip(sample.tolist(), index.search(real[sample], 21)[1][:, 1:].tolist(), strict=True))
    others = np.array(
        [near[row][place] for row, place in zip(rows.tolist(), chance.integers(0, 20, len(rows)), strict=True)]
    )
    share = chance.uniform(0.3, 0.7, (len(rows), 1)).astype(np.float32)
    mixed = share * real[rows] + (1 - share) * real[others]
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.concatenate([real, mixed])


if __name__ == "__main__":
    main()
