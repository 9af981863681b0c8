"""The vectors of a text's tokens, two bits a dimension, memory-mapped.

They fall out of the forward pass that makes the text's own vector, and late interaction compares a question with them
one by one (`rag.retrieval.late_interaction`). At float32 a chunk would take 200 KB. Two bits keep the sign and whether
the component is above the vector's root mean square, read as -3, -1, 1 and 3: 96 bytes a token at 384 dimensions,
with no measured loss, nothing learned from the corpus, and so nothing to learn again when it changes. A projection to
64 or 128 dimensions, as small, loses half of what late interaction gains (docs/retrieval.md).

A collection leaves out the tokens that stand in more than `_COMMON` of its chunks, half of all: full stops, "the", the
product's name. A question's best match is rarely one of them.
"""

from __future__ import annotations

import bisect
import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexUnusableError
from rag.retrieval.mapped_lines import MappedLines, save_lines

_COMMON = 0.3  # of the chunks
_KNOWN_ROWS = 1 << 14  # of chunks that were looked up before: a search among mapped ids takes 10 µs
_FEW = 20  # chunks, below which no token counts as common

Codes = NDArray[np.uint8]
States = NDArray[np.float32]

_LEVELS = np.array([-1, -3, 1, 3], dtype=np.int8)  # by the bits: positive, large
_FOUR = np.array([[_LEVELS[byte >> shift & 3] for shift in (0, 2, 4, 6)] for byte in range(256)], dtype=np.float32)
_LARGE = np.uint8(0b01010101)  # the bits that say so, of the four components in a byte
_UNPACKED = _FOUR.view(np.complex128)[:, 0]  # the four levels of a byte, looked up at once: 16 bytes, no numbers


def encode(states: States) -> Codes:
    """Code n vectors of shape (n, dimensions) as (n, dimensions / 4) bytes. `dimensions` is a multiple of 4."""
    large = np.abs(states) > np.sqrt(np.mean(states**2, axis=1, keepdims=True))
    bits = (states > 0).astype(np.uint8) << 1 | large
    codes: Codes = bits[:, 0::4] | bits[:, 1::4] << 2 | bits[:, 2::4] << 4 | bits[:, 3::4] << 6
    return codes


def decode(codes: Codes) -> tuple[States, NDArray[np.float32]]:
    """Return the vectors of n codes, of shape (n, dimensions), and their lengths."""
    levels: States = np.take(_UNPACKED, codes, mode="clip").view(np.float32)
    large = np.bitwise_count(codes & _LARGE).sum(axis=1, dtype=np.int32)  # their squares are 9, the others' 1
    return levels, np.sqrt((levels.shape[1] + 8 * large).astype(np.float32))


@dataclass(frozen=True)
class TokenCodes:
    """A text's tokens: their numbers in the encoder's vocabulary, shape (n,), and codes, shape (n, dimensions / 4)."""

    tokens: NDArray[np.int32]
    codes: Codes


class TokenVectors:
    """A collection's token vectors: rows `spans[i, 0]` to `spans[i, 1]` of the codes are those of `ids[i]`.

    `frequencies[t]` is in how many chunks the token t stands; older releases don't tell.
    """

    def __init__(
        self,
        ids: Sequence[str],
        spans: NDArray[np.int64],
        codes: Codes,
        frequencies: NDArray[np.int32] | None = None,
    ) -> None:
        self.ids = ids
        self._spans = spans
        self._codes = codes
        self._frequencies = frequencies
        self._row = functools.lru_cache(_KNOWN_ROWS)(self._find)

    @classmethod
    def load(cls, folder: Path) -> TokenVectors:
        """Map what `save_token_vectors` wrote.

        Raises:
            IndexUnusableError: a file is missing or torn.
        """
        try:
            ids = MappedLines.load(folder / "ids")
            # plain arrays over the mapped pages: slicing a numpy.memmap takes ten times as long
            spans, codes = (np.asarray(np.load(folder / each, mmap_mode="r")) for each in ("spans.npy", "codes.npy"))
            told = (folder / "frequencies.npy").exists()
            frequencies = np.asarray(np.load(folder / "frequencies.npy", mmap_mode="r")) if told else None
        except (OSError, EOFError, ValueError) as error:
            raise IndexUnusableError(f"{folder}: can't be read ({error}); build the release again") from error
        if spans.shape != (len(ids), 2) or spans.max(initial=0) > len(codes):
            raise IndexUnusableError(f"{folder}: the ids are not those of the token vectors; build the release again")
        return cls(ids, spans, codes, frequencies)

    def __contains__(self, chunk_id: str) -> bool:
        return self._row(chunk_id) is not None

    def _find(self, chunk_id: str) -> int | None:
        row = bisect.bisect_left(self.ids, chunk_id)
        return row if row < len(self.ids) and self.ids[row] == chunk_id else None

    def of(self, chunk_ids: Sequence[str]) -> list[Codes]:
        """Return the codes of chunks; those that are not in it are left out."""
        rows = [row for each in chunk_ids if (row := self._row(each)) is not None]
        return [self._codes[start:end] for start, end in self._spans[rows].tolist()]

    def weights(self, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return how much each token of a question counts: the more, the fewer chunks it stands in."""
        if self._frequencies is None:
            return np.ones(len(tokens), np.float32)
        known = tokens < len(self._frequencies)
        frequencies = np.where(known, self._frequencies[np.where(known, tokens, 0)], 0)
        weights: NDArray[np.float32] = np.sqrt(np.log1p(len(self.ids) / (frequencies + 1))).astype(np.float32)
        return weights


def save_token_vectors(
    folder: Path,
    ids: Sequence[str],
    texts: Sequence[str],
    tokens: Mapping[str, NDArray[np.int32]],
    codes: Iterable[tuple[str, Codes]],
) -> None:
    """Write `ids`, `spans.npy`, `codes.npy` and `frequencies.npy` for n chunks, whose ids are in ascending order.

    `texts` names the text of each, and equal texts share their codes. `tokens` are those of every text; the codes of
    all tokens, text by text in any order, are written as they come, so that no more than one text's is in memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    times = Counter(texts)
    frequencies = _frequencies(times, tokens)
    np.save(folder / "frequencies.npy", frequencies)
    common = np.flatnonzero(frequencies > _COMMON * len(texts)) if len(texts) >= _FEW else np.zeros(0, np.int64)
    place = {text: number for number, text in enumerate(times)}
    kept = np.array([np.count_nonzero(_rare(tokens[text], common)) for text in times], np.int64)
    ends = np.cumsum(kept)
    rows = np.array([place[text] for text in texts], np.int64)
    np.save(folder / "spans.npy", np.stack([(ends - kept)[rows], ends[rows]], axis=1))
    save_lines(ids, folder / "ids")
    target: Codes = np.zeros((0, 0), np.uint8)
    for text, each in codes:
        if not target.size:
            target = _mapped(folder / "codes.npy", int(ends[-1]), each.shape[1])
        row = place[text]
        target[ends[row] - kept[row] : ends[row]] = each[_rare(tokens[text], common)]
    if not target.size:
        np.save(folder / "codes.npy", target)


def _frequencies(times: Mapping[str, int], tokens: Mapping[str, NDArray[np.int32]]) -> NDArray[np.int32]:
    """Return in how many chunks each token stands, given in how many each text does."""
    counts = np.zeros(0, np.int32)
    for text, chunks in times.items():
        own = np.unique(tokens[text])
        if own.size and own[-1] >= len(counts):
            counts = np.concatenate([counts, np.zeros(own[-1] + 1 - len(counts), np.int32)])
        counts[own] += chunks
    return counts


def _mapped(path: Path, rows: int, columns: int) -> Codes:
    target: Codes = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        path, mode="w+", dtype=np.uint8, shape=(rows, columns)
    )
    return target


def _rare(tokens: NDArray[np.int32], common: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which tokens are not common; all, where nothing else would be left."""
    rare: NDArray[np.bool_] = ~np.isin(tokens, common)
    return rare if rare.any() else np.ones_like(rare)
