"""Retrieves the passages for a question: dense and lexical search, fused, optionally reranked.

Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009) adds 1 / (60 + rank) over the rankings. It ignores the
scores, so it needs no calibration between them. Batch and online call the same functions, so an anticipated question
and a live one get the same passages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rag.retrieval.lexical_index import LexicalIndex
from rag.retrieval.passages import Passage, StoredChunk
from rag.retrieval.reranking import Reranker
from rag.retrieval.vector_index import VectorIndex
from rag.retrieval.vectors import Vectors
from rag.settings import RetrievalSettings

_FUSION_CONSTANT = 60

Lookup = Callable[[str], StoredChunk | None]


@dataclass(frozen=True)
class Ranked:
    """A ranked candidate. Ranks start at 1; those of an index that did not find it are None."""

    chunk_id: str
    rank: int
    score: float
    dense_rank: int | None
    dense_score: float | None
    lexical_rank: int | None
    lexical_score: float | None


def fuse(
    dense: Sequence[tuple[str, float]],
    lexical: Sequence[tuple[str, float]],
    dense_weight: float = 1.0,
    lexical_weight: float = 1.0,
) -> list[Ranked]:
    """Fuse two rankings of (id, score), best first. Ties are broken by dense rank, then by id."""
    dense_places = {chunk_id: (rank, score) for rank, (chunk_id, score) in enumerate(dense, start=1)}
    lexical_places = {chunk_id: (rank, score) for rank, (chunk_id, score) in enumerate(lexical, start=1)}
    fused = {
        chunk_id: _reciprocal(dense_places, chunk_id, dense_weight)
        + _reciprocal(lexical_places, chunk_id, lexical_weight)
        for chunk_id in dense_places | lexical_places
    }
    unranked = (len(fused) + 1, 0.0)
    ordered = sorted(fused, key=lambda each: (-fused[each], dense_places.get(each, unranked)[0], each))
    return [
        Ranked(
            chunk_id,
            rank,
            fused[chunk_id],
            *dense_places.get(chunk_id, (None, None)),
            *lexical_places.get(chunk_id, (None, None)),
        )
        for rank, chunk_id in enumerate(ordered, start=1)
    ]


def _reciprocal(places: Mapping[str, tuple[int, float]], chunk_id: str, weight: float) -> float:
    return weight / (_FUSION_CONSTANT + places[chunk_id][0]) if chunk_id in places else 0.0


def fuse_searches(rankings: Sequence[Sequence[Ranked]]) -> list[Ranked]:
    """Fuse the rankings of several searches for one question.

    A candidate keeps the ranks and scores of the first search that found it, except `score`, which is the fused one.
    """
    fused: dict[str, float] = {}
    found: dict[str, Ranked] = {}
    for ranking in rankings:
        for each in ranking:
            fused[each.chunk_id] = fused.get(each.chunk_id, 0.0) + 1 / (_FUSION_CONSTANT + each.rank)
            found.setdefault(each.chunk_id, each)
    ordered = sorted(fused, key=lambda each: (-fused[each], found[each].rank, each))
    return [replace(found[each], rank=rank, score=fused[each]) for rank, each in enumerate(ordered, start=1)]


def rerank(question: str, ranked: Sequence[Ranked], lookup: Lookup, reranker: Reranker, depth: int) -> list[Ranked]:
    """Reorder the best `depth` candidates by the reranker's scores, which replace their fused scores.

    The others follow unchanged, and so does a candidate whose chunk is gone.
    """
    found = [(each, lookup(each.chunk_id)) for each in ranked[:depth]]
    read = [(each, chunk) for each, chunk in found if chunk is not None]
    if not read:
        return list(ranked)
    texts = ["\n".join(part for part in (chunk.title, chunk.heading, chunk.text) if part) for _, chunk in read]
    scores = reranker.scores(question, texts)
    best = [replace(each, score=float(score)) for (each, _), score in zip(read, scores, strict=True)]
    best.sort(key=lambda each: (-each.score, each.rank))
    reranked = {each.chunk_id for each in best}
    rest = [each for each in ranked if each.chunk_id not in reranked]
    return [replace(each, rank=rank) for rank, each in enumerate([*best, *rest], start=1)]


def choose_passages(
    ranked: Sequence[Ranked],
    lookup: Lookup,
    count: int,
    withdrawn: Collection[str] = (),
) -> list[Passage]:
    """Return the best `count` candidates, without missing chunks, withdrawn documents and repeated texts."""
    chosen: list[Passage] = []
    seen: set[str] = set()
    for candidate in ranked:
        chunk = lookup(candidate.chunk_id)
        if chunk is None or chunk.document_id in withdrawn or chunk.text in seen:
            continue
        seen.add(chunk.text)
        chosen.append(Passage(len(chosen) + 1, chunk, candidate.score))
        if len(chosen) == count:
            break
    return chosen


class Retriever:
    """The two indexes of one collection; it can't reach any other collection."""

    def __init__(
        self, dense: VectorIndex, lexical: LexicalIndex, settings: RetrievalSettings, reranker: Reranker | None = None
    ) -> None:
        self._dense = dense
        self._lexical = lexical
        self._settings = settings
        self._reranker = reranker

    @classmethod
    def load(cls, folder: Path, settings: RetrievalSettings, reranker: Reranker | None = None) -> Retriever:
        """Load `passages.faiss`, `passages.ids` and `lexical/` of a collection's folder.

        Raises:
            IndexUnusableError: a file is missing or torn.
        """
        return cls(VectorIndex.load(folder / "passages"), LexicalIndex.load(folder / "lexical"), settings, reranker)

    def rank(self, questions: Sequence[str], vectors: Vectors, lookup: Lookup) -> list[list[Ranked]]:
        """Return the ranked candidates for m questions and their vectors of shape (m, dimensions)."""
        return [
            self._reranked(question, ranked, lookup)
            for question, ranked in zip(questions, self._fused(questions, vectors), strict=True)
        ]

    def _fused(self, questions: Sequence[str], vectors: Vectors) -> list[list[Ranked]]:
        settings = self._settings
        dense = (
            self._dense.search(vectors, settings.candidates) if settings.dense_weight > 0 else [[] for _ in questions]
        )
        return [
            fuse(found, self._lexical_hits(question), settings.dense_weight, settings.lexical_weight)
            for question, found in zip(questions, dense, strict=True)
        ]

    def _lexical_hits(self, question: str) -> list[tuple[str, float]]:
        settings = self._settings
        return self._lexical.search(question, settings.candidates) if settings.lexical_weight > 0 else []

    def _reranked(self, question: str, ranked: list[Ranked], lookup: Lookup) -> list[Ranked]:
        if self._reranker is None:
            return ranked
        return rerank(question, ranked, lookup, self._reranker, self._settings.rerank_candidates)

    def retrieve(
        self,
        question: str,
        vector: Vectors,
        lookup: Lookup,
        withdrawn: Collection[str] = (),
        rewritten: tuple[str, Vectors] | None = None,
        nearest: float = -1.0,
    ) -> list[Passage]:
        """Return the passages for one question and its vector of shape (dimensions,).

        There are none if the dense search finds nothing at least as near as `nearest` (a cosine).

        With `rewritten`, a rewritten question and its vector, both are searched for and the rankings fused; a
        reranker reads the original question.
        """
        if rewritten is None:
            ranked = self.rank([question], vector.reshape(1, -1), lookup)[0]
        else:
            both = self._fused([question, rewritten[0]], np.stack([vector, rewritten[1]]))
            ranked = self._reranked(question, fuse_searches(both), lookup)
        if max((each.dense_score for each in ranked if each.dense_score is not None), default=1.0) < nearest:
            return []
        return choose_passages(ranked, lookup, self._settings.passages, withdrawn)
