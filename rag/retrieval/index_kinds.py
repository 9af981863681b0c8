"""The kind of a vector index, which follows from the number of its vectors, and what it loses beside an exact one.

- *exact*: every vector is compared. 1,536 bytes a vector of 384 dimensions; a search among 30,000 takes 2.2 ms of
  processor time alone and 0.8 ms among others of a batch, and grows with their number.
- *cells*: the nearest cells of an inverted file are compared, vectors as they are. 0.2 to 0.3 ms.
- *cells of 8 bits*: as before with a byte a dimension, a quarter of the size. For passages only, since answers are
  selected by the vectors of their wordings.

How many cells are probed follows from the recall that is measured when the index is built, on its own vectors; 64 at
most, so that a search stays quick where the vectors have no neighbourhoods. Product quantisation (IVF-PQ) takes many
times as long to build (docs/measurements.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.retrieval.vectors import Vectors

EXACT, CELLS, CELLS_OF_8_BITS = "exact", "cells", "cells of 8 bits"
_PROBES = 32
_RECALL = 0.95  # that the probes should reach
_MOST_PROBES = 64  # vectors without neighbourhoods, as random ones, would need nearly all cells
_ROUNDS = 10  # of the clustering; FAISS's own number takes three times as long
_ASKED, _NEAREST = 200, 10  # vectors whose neighbours are compared, and how many
_BLOCK = 16_384  # vectors


SAMPLE = 64
"""Vectors a cell that the cells are made of."""


def cells_of(count: int) -> int:
    """Return how many cells an index of so many vectors has."""
    return int(4 * math.sqrt(count))


@dataclass(frozen=True)
class IndexKind:
    """What kind an index is; `recall` is that of the 10 nearest of `asked` vectors of its own."""

    kind: str
    vectors: int
    cells: int = 0
    probes: int = 0
    recall: float = 1.0
    asked: int = 0

    def save(self, stem: Path) -> None:
        """Write `<stem>.kind.json`."""
        stem.with_suffix(".kind.json").write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")


def read_kind(stem: Path) -> IndexKind | None:
    """Return the kind of a stored index; older releases don't tell."""
    path = stem.with_suffix(".kind.json")
    return IndexKind(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def build_index(vectors: Vectors, exact_limit: int, compressed_from: int | None) -> tuple[Any, IndexKind]:
    """Return FAISS's index of n vectors and what kind it is."""
    import faiss

    count, dimensions = vectors.shape
    if count <= exact_limit:
        index: Any = faiss.IndexFlatIP(dimensions)
        _add(index, vectors)
        return index, IndexKind(EXACT, count)
    compressed = compressed_from is not None and count >= compressed_from
    cells = cells_of(count)
    code = "SQ8" if compressed else "Flat"
    index = faiss.index_factory(dimensions, f"IVF{cells},{code}", faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.max_points_per_centroid = _ROUNDS, SAMPLE
    index.train(_spread(vectors, cells * SAMPLE))
    _add(index, vectors)
    recall, asked = _tune(index, vectors, cells)
    kind = CELLS_OF_8_BITS if compressed else CELLS
    return index, IndexKind(kind, count, cells, index.nprobe, recall, asked)


def _add(index: Any, vectors: Vectors) -> None:
    for start in range(0, len(vectors), _BLOCK):  # the vectors may be mapped from a file
        index.add(np.ascontiguousarray(vectors[start : start + _BLOCK], dtype=np.float32))


def _spread(vectors: Vectors, most: int) -> Vectors:
    """Return at most so many vectors, evenly spread."""
    rows = np.linspace(0, len(vectors) - 1, min(most, len(vectors)), dtype=np.int64)
    return np.ascontiguousarray(vectors[rows], dtype=np.float32)


def _tune(index: Any, vectors: Vectors, cells: int) -> tuple[float, int]:
    """Probe as many cells as the wanted recall takes, within limits; return the recall, and of how many vectors."""
    asked = _spread(vectors, _ASKED)
    exact = _nearest(vectors, asked)
    index.nprobe = min(_PROBES, cells)
    most = min(_MOST_PROBES, cells)
    while True:
        found = index.search(asked, _NEAREST)[1]
        same = [len(set(one) & set(other)) for one, other in zip(found.tolist(), exact.tolist(), strict=True)]
        recall = round(sum(same) / exact.size, 4)
        if recall >= _RECALL or index.nprobe >= most:
            return recall, len(asked)
        index.nprobe = min(most, index.nprobe * 2)


def _nearest(vectors: Vectors, asked: Vectors) -> NDArray[np.int64]:
    """Return the rows of the vectors nearest to each that is asked, block by block."""
    rows = np.zeros((len(asked), 0), dtype=np.int64)
    scores = np.zeros((len(asked), 0), dtype=np.float32)
    for start, products in _products(vectors, asked):
        scores = np.concatenate([scores, products], axis=1)
        here = np.broadcast_to(np.arange(start, start + products.shape[1]), products.shape)
        rows = np.concatenate([rows, here], axis=1)
        best = np.argsort(-scores, axis=1)[:, :_NEAREST]
        rows, scores = np.take_along_axis(rows, best, axis=1), np.take_along_axis(scores, best, axis=1)
    return rows


def _products(vectors: Vectors, asked: Vectors) -> Iterator[tuple[int, Vectors]]:
    for start in range(0, len(vectors), _BLOCK):
        yield start, asked @ np.asarray(vectors[start : start + _BLOCK], dtype=np.float32).T
