"""Embedding vectors: rows of float32, and the check that keeps broken ones out of every index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def degenerate_rows(vectors: Vectors) -> list[int]:
    """Return the rows that are not finite or have no length."""
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))  # without a copy as large as the vectors
    return [int(i) for i in np.flatnonzero(~np.isfinite(norms) | (norms < 1e-6))]
