"""The BM25 scores of texts, built from a stream of their words: the matrix that bm25s searches.

bm25s itself builds it from lists of all words of all texts, some 20 KB a chunk. Here words are counted in blocks of
texts, the counts are kept in a temporary file, and scores are put into their places block by block. The scores are
those of bm25s to the last bit (Lucene's form of BM25), since the arithmetic is the same.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rag.retrieval.mapped_arrays import room

_BLOCK = 1_024  # texts
_K1, _B = 1.5, 0.75  # bm25s's own


@dataclass(frozen=True)
class TermScores:
    """The scores of `texts` texts by term: those of term t are `data[indptr[t]:indptr[t + 1]]`, of texts `indices`.

    Term t is word t of the sorted `vocabulary`.
    """

    vocabulary: list[str]
    texts: int
    data: NDArray[np.float32]
    indices: NDArray[np.int32]
    indptr: NDArray[np.int64]


@dataclass(frozen=True)
class _Block:
    """Where the counts of a block of texts begin in the temporary file, and the lengths of its texts in words."""

    start: int
    counts: int
    lengths: NDArray[np.int64]


def term_scores(texts: Iterable[Sequence[str]]) -> TermScores:
    """Return the scores of texts, each given by its words, of which it has at least one."""
    with tempfile.TemporaryFile() as file:
        numbers: dict[str, int] = {}
        blocks = list(_counted(texts, numbers, file))
        vocabulary = sorted(numbers)
        term = np.empty(len(numbers), np.int32)
        term[[numbers[word] for word in vocabulary]] = np.arange(len(vocabulary), dtype=np.int32)
        return _scored(file, blocks, vocabulary, term)


def _counted(texts: Iterable[Sequence[str]], numbers: dict[str, int], file: IO[bytes]) -> Iterator[_Block]:
    """Write the counts of each block's words, and number words as they come."""
    start, left = 0, iter(texts)
    while block := list(islice(left, _BLOCK)):
        lengths = np.array([len(words) for words in block], np.int64)
        words = np.array([numbers.setdefault(word, len(numbers)) for words in block for word in words], np.int64)
        keys, times = np.unique(np.repeat(np.arange(len(block)), lengths) << 32 | words, return_counts=True)
        file.write(np.stack([keys, times]).tobytes())
        yield _Block(start, len(keys), lengths)
        start += len(keys)


def _read(file: IO[bytes], block: _Block) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return for each word of each text of a block the text's place in the block, the word's number and its count."""
    file.seek(block.start * 16)
    keys, times = np.frombuffer(file.read(block.counts * 16), np.int64).reshape(2, -1)
    return keys >> 32, keys & 0xFFFFFFFF, times.astype(np.float32)


def _scored(file: IO[bytes], blocks: Sequence[_Block], vocabulary: list[str], term: NDArray[np.int32]) -> TermScores:
    frequencies = np.zeros(len(vocabulary), np.int64)
    for block in blocks:
        frequencies += np.bincount(term[_read(file, block)[1]], minlength=len(vocabulary))
    texts = sum(len(block.lengths) for block in blocks)
    average = np.concatenate([block.lengths for block in blocks]).mean() if blocks else 1.0
    weights = _inverse_frequencies(frequencies, texts)
    indptr = np.concatenate([[0], np.cumsum(frequencies)]).astype(np.int64)
    data, indices = room((int(indptr[-1]),), np.float32), room((int(indptr[-1]),), np.int32)
    free, first = indptr[:-1].copy(), 0
    for block in blocks:
        places, words, counts = _read(file, block)
        terms = term[words]
        saturated = counts / (_K1 * ((1 - _B) + _B * block.lengths / average)[places] + counts)
        scores = weights[terms] * saturated
        order = np.argsort(terms, kind="stable")
        found, starts, times = np.unique(terms[order], return_index=True, return_counts=True)
        targets = np.repeat(free[found] - starts, times) + np.arange(len(order))
        data[targets], indices[targets] = scores[order], first + places[order]
        free[found] += times
        first += len(block.lengths)
    return TermScores(vocabulary, texts, data, indices, indptr)


def _inverse_frequencies(frequencies: NDArray[np.int64], texts: int) -> NDArray[np.float32]:
    known: dict[int, float] = {}
    for each in np.unique(frequencies).tolist():
        known[each] = math.log(1 + (texts - each + 0.5) / (each + 0.5))
    return np.array([known[each] for each in frequencies.tolist()], np.float32)


def as_bm25s(scores: TermScores) -> Any:
    """Return the scores as an index of bm25s."""
    import bm25s

    bm25 = bm25s.BM25(k1=_K1, b=_B)
    bm25.nonoccurrence_array = None
    bm25.vocab_dict = {}  # else saved as JSON and parsed whole before the first search
    bm25.scores = {
        "data": scores.data,
        "indices": scores.indices,
        "indptr": scores.indptr,
        "num_docs": scores.texts,
    }
    return bm25
