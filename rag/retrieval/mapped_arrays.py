"""Arrays that are mapped from a temporary file if they are large, so that they take no memory that is not given back.

The pages of a mapped file are the system's to write out and drop; those of ordinary memory stay until the array goes.
The file has no name, so that a process that is killed leaves nothing.
"""

from __future__ import annotations

import math
import tempfile
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LARGE = 32_000_000  # bytes


def room(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros: in memory, or mapped from a temporary file if it is large."""
    if math.prod(shape) * np.dtype(dtype).itemsize < _LARGE:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:  # the mapping keeps it
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)
