"""How much memory a process of a run may take, and the sizes of the pieces that follow from it.

What grows with a corpus is read in blocks and mapped from files, except for ids and keys (some hundred bytes a chunk or
question) and the vectors of an index while it is built. So the setting decides how large the blocks are, and whether
an index can be built at all. A process without any data takes some 0.4 GB: Beam, FAISS, ONNX Runtime, the encoder.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from batch.settings import BatchSettings
from rag.errors import ConfigurationError
from rag.retrieval.vector_index import bytes_while_built

_GB = 1_000_000_000
_CODE = 0.4 * _GB
_KEYS = 700  # bytes a vector: its id, hash and place
_CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Pieces:
    """How many chunks are read at once, questions searched for, and prompts cited."""

    chunks: int
    questions: int
    prompts: int


def memory_bytes(settings: BatchSettings) -> int:
    """Return what a process may take: the setting, else half of what the machine or its container has."""
    if settings.memory_gb is not None:
        return int(settings.memory_gb * _GB)
    return _machine_bytes() // 2


def pieces(settings: BatchSettings) -> Pieces:
    """Return the sizes of pieces: from 2 GB on the largest ones, since larger ones save no time."""
    memory = memory_bytes(settings)
    return Pieces(
        chunks=_between(512, memory // 64 // 3_800, 8_192),
        questions=_between(64, memory // 16 // 120_000, 1_024),
        prompts=_between(512, memory // 32 // 6_000, 8_192),
    )


def refuse_large_index(
    settings: BatchSettings, what: str, vectors: int, dimensions: int, compressed_from: int | None = None
) -> None:
    """Refuse to build an index for which there is no room; `compressed_from` is as for `VectorIndex.build`.

    Raises:
        ConfigurationError: it and the process together take more than the setting allows.
    """
    needed = _CODE + bytes_while_built(vectors, dimensions, compressed_from) + vectors * _KEYS
    if needed <= memory_bytes(settings):
        return
    given = "" if settings.memory_gb is None else f" = {settings.memory_gb:g}"
    raise ConfigurationError(
        f"[batch] memory_gb{given}: {what} has {vectors:,} vectors and takes {needed / _GB:.1f} GB while it is built, "
        f"of {memory_bytes(settings) / _GB:.1f}; set at least {needed / _GB + 0.05:.1f}, or divide the collection"
    )


def give_back() -> None:
    """Return freed memory to the system, after a piece of work; Arrow and the C library keep a quarter of it else."""
    pa.default_memory_pool().release_unused()
    if (library := _c_library()) is not None:
        library.malloc_trim(0)


@cache
def _c_library() -> Any:
    """Return the C library if it is one that can give memory back."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None


def _between(least: int, wanted: int, most: int) -> int:
    return max(least, min(wanted, most))


def _machine_bytes() -> int:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(physical, int(_CGROUP.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return physical
