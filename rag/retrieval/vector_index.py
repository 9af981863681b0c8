"""Nearest-neighbour search by inner product, with FAISS.

Up to `_EXACT_LIMIT` vectors the index is exact: a flat scan, 14 ms of processor time for 100,000 vectors of 384
dimensions and 70 to 130 on two busy cores. Larger indexes probe the nearest cells of an inverted file, 0.6 ms
(`rag.retrieval.index_kinds`). Of anticipated questions it is exact up to `QUICK_LIMIT`, since every decision searches
them, for what is nearly the same; of passages, what is farther away counts too. The ids are stored beside the index:
line i is the id of row i. Degenerate vectors (zero or not finite) are refused, since they would match every query.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexUnusableError
from rag.retrieval.index_kinds import SAMPLE, IndexKind, build_index, cells_of
from rag.retrieval.mapped_lines import MappedLines, save_lines
from rag.retrieval.row_groups import Mask
from rag.retrieval.vectors import Vectors, degenerate_rows

QUICK_LIMIT = 5_000
COMPRESSED_FROM = 1_000_000
"""Passages, from which on an index keeps a byte a dimension."""

_EXACT_LIMIT = 100_000
_KNOWN_IDS = 1 << 14  # decoded before: a mapped line takes 2 µs
_HEADER_BYTES = 45  # of an index without vectors; FAISS crashes the process on some shorter files


def bytes_while_built(count: int, dimensions: int, compressed_from: int | None = None) -> int:
    """Return about how much memory an index of n vectors takes while it is built."""
    width = 1 if compressed_from is not None and count >= compressed_from else 4
    sample = cells_of(count) * SAMPLE if count > QUICK_LIMIT else 0
    return dimensions * (width * count + 4 * 2 * sample)


class Nearest(NamedTuple):
    """The rows nearest to a vector, best first, with their inner products; `stored[places]` are their vectors.

    Not copied out: a decision needs those of a third of what several indexes find.
    """

    rows: NDArray[np.int64]
    scores: Vectors
    stored: Vectors
    places: NDArray[np.int64]


class VectorIndex:
    """A searchable set of vectors with their ids."""

    def __init__(self, index: Any, ids: Sequence[str], kind: IndexKind | None = None) -> None:
        self._index = index
        self.ids = ids
        self.id_of = functools.lru_cache(_KNOWN_IDS)(ids.__getitem__)
        self._kind = kind

    @classmethod
    def build(
        cls, vectors: Vectors, ids: Sequence[str], exact_limit: int | None = None, compressed_from: int | None = None
    ) -> VectorIndex:
        """Index n vectors of shape (n, dimensions), n >= 0; up to `exact_limit` of them the index is exact.

        From `compressed_from` on, if it is given, a vector's dimensions are a byte each.

        Raises:
            IndexUnusableError: there are not as many ids as vectors, or a vector is degenerate.
        """
        if len(vectors) != len(ids):
            raise IndexUnusableError(f"{len(vectors)} vectors for {len(ids)} ids: build the index again")
        bad = degenerate_rows(vectors)
        if bad:
            raise IndexUnusableError(f"the encoder gave {len(bad)} degenerate vectors, the first for {ids[bad[0]]}")
        limit = _EXACT_LIMIT if exact_limit is None else exact_limit
        index, kind = build_index(vectors, limit, compressed_from)
        return cls(index, ids, kind)

    def save(self, stem: Path) -> None:
        """Write `<stem>.faiss`, `<stem>.ids` and `<stem>.kind.json`."""
        import faiss

        stem.parent.mkdir(parents=True, exist_ok=True)
        faiss.write_index(self._index, str(stem.with_suffix(".faiss")))
        save_lines(self.ids, stem.with_suffix(".ids"))
        if self._kind is not None:
            self._kind.save(stem)

    @classmethod
    def load(cls, stem: Path) -> VectorIndex:
        """Memory-map the files written by `save`; processes that load the same index share its pages.

        Raises:
            IndexUnusableError: a file is missing or torn, or the two don't belong together.
        """
        import faiss

        path = stem.with_suffix(".faiss")
        if path.exists() and path.stat().st_size < _HEADER_BYTES:
            raise IndexUnusableError(f"{path}: is torn; build the release again")
        try:
            # IO_FLAG_MMAP would map inverted lists only and copy a flat index into each process
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
            ids = MappedLines.load(stem.with_suffix(".ids"))
        except (RuntimeError, MemoryError) as error:  # FAISS quotes its C++ source
            raise IndexUnusableError(f"{path}: is torn or not a FAISS index; build the release again") from error
        except (OSError, ValueError) as error:
            raise IndexUnusableError(f"{path}: can't be read ({error}); build the release again") from error
        if index.ntotal != len(ids):
            raise IndexUnusableError(f"{stem}: {index.ntotal} vectors but {len(ids)} ids; build the release again")
        return cls(index, ids)

    def __len__(self) -> int:
        return len(self.ids)

    def search(self, vectors: Vectors, k: int, only: Mask | None = None) -> list[list[tuple[str, float]]]:
        """Return the k nearest of each of m vectors, best first, as (id, inner product); with `only`, among those rows.

        Raises:
            IndexUnusableError: the dimensions differ from the index, so another encoder made the vectors.
        """
        found = self._limits(vectors, k, only)
        if found is None:
            return [[] for _ in vectors]
        most, among = found
        scores, rows = self._index.search(np.ascontiguousarray(vectors, dtype=np.float32), most, **among)
        return [
            [(self.id_of(row), score) for score, row in zip(line, found, strict=True) if row >= 0]
            for line, found in zip(scores.tolist(), rows.tolist(), strict=True)
        ]

    def nearest(self, vector: Vectors, k: int, only: Mask | None = None) -> Nearest:
        """Return the k rows nearest to a vector; `id_of` names them.

        Raises:
            IndexUnusableError: the dimensions differ from the index, so another encoder made the vectors.
        """
        asked = np.ascontiguousarray(vector.reshape(1, -1), dtype=np.float32)
        found = self._limits(asked, k, only)
        if found is None:
            none = np.zeros(0, np.int64)
            return Nearest(none, np.zeros(0, np.float32), np.zeros((0, asked.shape[1]), np.float32), none)
        most, among = found
        if self._flat is not None:
            scores, rows = self._index.search(asked, most, **among)
            kept = rows[0] >= 0
            return Nearest(rows[0][kept], scores[0][kept], self._flat, rows[0][kept])
        scores, rows, vectors = self._index.search_and_reconstruct(asked, most, **among)
        kept = rows[0] >= 0
        return Nearest(rows[0][kept], scores[0][kept], vectors[0], np.flatnonzero(kept))

    @functools.cached_property
    def _flat(self) -> Vectors | None:
        """The vectors of an exact index where they lie; None of one with cells."""
        import faiss

        if not hasattr(self._index, "get_xb"):
            return None
        count, dimensions = self._index.ntotal, self._index.d
        found: Vectors = faiss.rev_swig_ptr(self._index.get_xb(), count * dimensions).reshape(count, dimensions)
        return found

    def _limits(self, vectors: Vectors, k: int, only: Mask | None) -> tuple[int, dict[str, Any]] | None:
        """Return how many rows to search for and the search's parameters; None if there is nothing to find."""
        if not self.ids or not len(vectors):
            return None
        if vectors.shape[1] != self._index.d:
            raise IndexUnusableError(
                f"a vector of {vectors.shape[1]} dimensions can't be searched among vectors of {self._index.d}; "
                "the encoder is not the one that the release was built with"
            )
        if only is None:
            return min(k, len(self.ids)), {}
        allowed = int(np.count_nonzero(only))
        return (min(k, allowed), {"params": self._among(only, allowed)}) if allowed else None

    def _among(self, only: Mask, allowed: int) -> Any:
        """Return the parameters of a search among some rows; few rows are scanned whole, in whatever cells they are."""
        import faiss as typed

        faiss: Any = typed  # its Python layer takes arguments of which its stubs know nothing
        selector = faiss.IDSelectorBitmap(np.packbits(only, bitorder="little"))
        if not hasattr(self._index, "nprobe"):
            return faiss.SearchParameters(sel=selector)
        cells = self._index.nlist
        probes = (
            cells if allowed <= _EXACT_LIMIT else min(cells, math.ceil(self._index.nprobe * len(self.ids) / allowed))
        )
        return faiss.SearchParametersIVF(sel=selector, nprobe=probes)
