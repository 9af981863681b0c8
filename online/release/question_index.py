"""The anticipated questions of a collection: their vectors, and the filters that they were asked with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.filters import Filters
from rag.retrieval.row_groups import Mask, RowGroups
from rag.retrieval.vector_index import Nearest, VectorIndex
from rag.retrieval.vectors import Vectors


@dataclass(frozen=True)
class QuestionIndex:
    """An index of questions; `groups` is None where the collection declares no filters."""

    vectors: VectorIndex
    groups: RowGroups | None = None

    @classmethod
    def load(cls, stem: Path) -> QuestionIndex:
        """Memory-map an index.

        Raises:
            IndexUnusableError: a file is missing or torn.
        """
        vectors = VectorIndex.load(stem)
        return cls(vectors, RowGroups.load(stem, len(vectors)))

    def search(self, vector: Vectors, k: int, only: Mask | None = None) -> list[tuple[str, float]]:
        """Return the k questions nearest to a vector, as (query key, cosine); with `only`, among those."""
        return self.vectors.search(vector.reshape(1, -1), k, only)[0]

    def nearest(self, vector: Vectors, k: int, only: Mask | None = None) -> Nearest:
        """Return the k questions nearest to a vector; with `only`, among those."""
        return self.vectors.nearest(vector, k, only)

    def names(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the query keys of rows."""
        return list(map(self.vectors.id_of, rows.tolist()))

    def asked_with(self, filters: Filters) -> Mask | None:
        """Return which questions were asked with these very filters: a question gets no answer to another's values."""
        return None if self.groups is None else self.groups.equal(filters)

    def shown_to(self, filters: Filters) -> Mask | None:
        """Return which questions may be shown to who asks with these filters: those with none, or some of them."""
        return None if self.groups is None else self.groups.fitting(filters)

    def keys(self, filters: Filters) -> Sequence[str]:
        """Return the keys of the questions that may be shown to who asks with these filters."""
        shown = self.shown_to(filters)
        return self.vectors.ids if shown is None else list(compress(self.vectors.ids, shown))
