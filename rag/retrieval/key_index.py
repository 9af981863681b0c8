"""Further keys of chunks: questions that lead to them, proposed in a batch run (Doc2Query--, arXiv 2301.03266).

Their vectors are an index of their own beside that of the chunks, since a question is nearer to a question than to any
passage: in one index the chunks that have keys would come before all others. What they find is fused by rank.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.retrieval.vector_index import VectorIndex
from rag.retrieval.vectors import Vectors

_KEYS_A_CHUNK = 4  # that are searched for one chunk that is wanted: several keys of a chunk may be near

STEM = "keys"
"""The index's files in a collection's folder; a collection without further keys has none."""


class KeyIndex:
    """A searchable set of questions, each of which leads to a chunk."""

    def __init__(self, questions: VectorIndex, chunk_ids: Sequence[str]) -> None:
        self._questions = questions
        self._chunk_ids = chunk_ids

    @classmethod
    def build(cls, vectors: Vectors, rows: Sequence[int], chunk_ids: Sequence[str]) -> KeyIndex:
        """Index n vectors, each of a question that leads to that row of the chunks."""
        return cls(VectorIndex.build(vectors, [str(row) for row in rows]), chunk_ids)

    def save(self, folder: Path) -> None:
        """Write the index into a collection's folder."""
        self._questions.save(folder / STEM)

    @classmethod
    def load(cls, folder: Path, chunk_ids: Sequence[str]) -> KeyIndex | None:
        """Memory-map the index of a collection's folder; None if there is none.

        Raises:
            IndexUnusableError: it is torn.
        """
        if not (folder / f"{STEM}.faiss").exists():
            return None
        return cls(VectorIndex.load(folder / STEM), chunk_ids)

    def search(self, vectors: Vectors, k: int, only: NDArray[np.bool_] | None = None) -> list[list[tuple[str, float]]]:
        """Return the at most k chunks whose keys are nearest to each of m vectors, as (chunk id, cosine).

        With `only`, chunks whose rows it marks.
        """
        among = None if only is None else only[self._rows]
        found = self._questions.search(vectors, k * _KEYS_A_CHUNK, among)
        return [self._chunks(keys)[:k] for keys in found]

    @functools.cached_property
    def _rows(self) -> NDArray[np.int64]:
        """The row of each key's chunk."""
        return np.array([int(row) for row in self._questions.ids], np.int64)

    def _chunks(self, keys: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
        nearest: dict[int, float] = {}
        for row, score in keys:
            nearest.setdefault(int(row), score)
        return [(self._chunk_ids[row], score) for row, score in nearest.items()]
