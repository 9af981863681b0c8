"""Clusters of phrasings that ask the same: greedy, around the most frequent ones.

The most frequent phrasing that is in no cluster yet begins one and takes in its near neighbours, unless a guard of
semantic hits refuses them: opposites are near each other too. Each phrasing is searched for once, among all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag.paraphrase.alignment import align
from rag.paraphrase.guards import objection
from rag.paraphrase.question_parser import parse
from rag.retrieval.vector_index import VectorIndex
from rag.retrieval.vectors import Vectors

_SIMILARITY = 0.7
_ALIKE = 0.85
_NEIGHBOURS = 64
_EXACT_LIMIT = 25_000  # phrasings; each is searched for, so with more of them an exact index costs minutes
_TOGETHER = 4096  # phrasings searched for at once


@dataclass(frozen=True)
class Cluster:
    """Phrasings that seem to ask the same, by their numbers; `first` is the most frequent and stands for the others.

    `alike` are those of the others that say the same in nearly the same words.
    """

    first: int
    others: tuple[int, ...]
    alike: frozenset[int]

    @property
    def members(self) -> tuple[int, ...]:
        """All phrasings of the cluster."""
        return (self.first, *self.others)


def clusters(texts: Sequence[str], vectors: Vectors) -> list[Cluster]:
    """Return the clusters of n texts, which come the most frequent first."""
    index = VectorIndex.build(vectors, [str(number) for number in range(len(texts))], _EXACT_LIMIT)
    taken = np.zeros(len(texts), dtype=bool)
    found: list[Cluster] = []
    for start in range(0, len(texts), _TOGETHER):
        near = index.search(vectors[start : start + _TOGETHER], _NEIGHBOURS)
        for first, neighbours in enumerate(near, start):
            if not taken[first]:
                free = [(int(row), similarity) for row, similarity in neighbours if not taken[int(row)]]
                cluster = _around(first, free, texts)
                taken[list(cluster.members)] = True
                found.append(cluster)
    return found


def _around(first: int, near: Sequence[tuple[int, float]], texts: Sequence[str]) -> Cluster:
    others, alike = [], set()
    for other, similarity in near:
        if other != first and similarity >= _SIMILARITY:
            reason = why_apart(texts[first], texts[other], similarity)
            if reason in (None, "content_differs"):  # other words: the judge decides whether they mean the same
                others.append(other)
            if reason is None and similarity >= _ALIKE:
                alike.add(other)
    return Cluster(first, tuple(others), frozenset(alike))


def why_apart(first: str, second: str, similarity: float) -> str | None:
    """Return why the guards of semantic hits keep two texts apart, or None."""
    parsed, other = parse(first), parse(second)
    return objection(parsed, other, align(parsed, other), similarity)
