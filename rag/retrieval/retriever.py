"""Retrieves the passages for a question: dense and lexical search, fused, ranked again by late interaction.

A cross-encoder may read the best candidates once more. Batch and online call the same functions, so an anticipated
question and a live one get the same passages. Where the collection declares filters, all indexes search among the
chunks that fit the question.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from rag.errors import IndexUnusableError
from rag.filters import Filters
from rag.retrieval.collection_fusion import configured_weights, read_weights
from rag.retrieval.fusion import FusionWeights, Ranked, fuse, fuse_searches, put_first
from rag.retrieval.key_index import KeyIndex
from rag.retrieval.late_interaction import LateInteraction, TokenStates
from rag.retrieval.lexical_index import LexicalIndex
from rag.retrieval.passages import Lookup, Passage, choose_passages, in_order
from rag.retrieval.reranking import Reranker
from rag.retrieval.row_groups import Mask, RowGroups
from rag.retrieval.token_vectors import TokenVectors
from rag.retrieval.vector_index import VectorIndex
from rag.retrieval.vectors import Vectors
from rag.settings import RetrievalSettings

Hits = list[tuple[str, float]]
"""Ids of chunks with their scores, best first."""


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
    return put_first({each.chunk_id: float(score) for (each, _), score in zip(read, scores, strict=True)}, ranked)


class Retriever:
    """The two indexes of one collection; it can't reach any other collection."""

    def __init__(
        self,
        dense: VectorIndex,
        lexical: LexicalIndex,
        settings: RetrievalSettings,
        reranker: Reranker | None = None,
        late: LateInteraction | None = None,
        keys: KeyIndex | None = None,
        weights: FusionWeights | None = None,
        groups: RowGroups | None = None,
    ) -> None:
        self._dense = dense
        self._lexical = lexical
        self._settings = settings
        self._reranker = reranker
        self._late = late
        self._keys = keys
        self._weights = weights or configured_weights(settings)
        self._groups = groups

    @property
    def filter_fields(self) -> tuple[str, ...]:
        """The fields by which the chunks can be filtered."""
        return () if self._groups is None else self._groups.fields

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the chunks, by their short codes."""
        return self._lexical.languages

    @classmethod
    def load(
        cls,
        folder: Path,
        settings: RetrievalSettings,
        reranker: Reranker | None = None,
        token_states: TokenStates | None = None,
        weighed: Path | None = None,
    ) -> Retriever:
        """Load `passages.faiss`, `passages.ids`, `lexical/`, `tokens/` and `fusion.json` of a collection's folder.

        `weighed` is the folder of `fusion.json` where it is another. `token_states` encodes questions for late
        interaction. A release that was built without it has no `tokens/`: its candidates stay as they were fused.
        `keys.faiss` and `keys.ids` are there where chunks have further keys, `passages.groups.…` where the collection
        declares filters.

        Raises:
            IndexUnusableError: a file is missing or torn.
        """
        tokens, late = folder / "tokens", None
        if token_states is not None and tokens.exists():
            late = LateInteraction(TokenVectors.load(tokens), token_states)
        dense, lexical = VectorIndex.load(folder / "passages"), LexicalIndex.load(folder / "lexical")
        groups = RowGroups.load(folder / "passages", len(dense))
        if groups is not None and not _same(folder / "passages.ids", folder / "lexical" / "ids"):
            raise IndexUnusableError(f"{folder}: one mask can't serve its two indexes; build the release again")
        keys, weights = KeyIndex.load(folder, dense.ids), read_weights(weighed or folder, settings)
        return cls(dense, lexical, settings, reranker, late, keys, weights, groups)

    def rank(
        self, questions: Sequence[str], vectors: Vectors, lookup: Lookup, filters: Sequence[Filters] | None = None
    ) -> list[list[Ranked]]:
        """Return the ranked candidates for m questions and their vectors of shape (m, dimensions).

        `filters` are those of each question; without them, only chunks without marks are found.
        """
        ranked: list[list[Ranked]] = [[] for _ in questions]
        alike: dict[Filters, list[int]] = {}
        for place in range(len(questions)):
            alike.setdefault(filters[place] if filters and self._groups is not None else (), []).append(place)
        for each, places in alike.items():
            fused = self._fused([questions[place] for place in places], vectors[places], each)
            for place, found in zip(places, fused, strict=True):
                ranked[place] = self._reranked(questions[place], found, lookup)
        return ranked

    def _fused(self, questions: Sequence[str], vectors: Vectors, filters: Filters) -> list[list[Ranked]]:
        weights = self._weights
        fused = [
            fuse(dense, lexical, weights.dense, weights.lexical)
            for dense, lexical in self.halves(questions, vectors, weights, filters)
        ]
        if self._keys is None:
            return fused
        keyed = self._keys.search(vectors, self._settings.candidates, self._fitting(filters))
        return [fuse_searches([own, fuse(found, [])]) for own, found in zip(fused, keyed, strict=True)]

    def _fitting(self, filters: Filters) -> Mask | None:
        return None if self._groups is None else self._groups.fitting(filters)

    def halves(
        self, questions: Sequence[str], vectors: Vectors, weights: FusionWeights, filters: Filters = ()
    ) -> list[tuple[Hits, Hits]]:
        """Return what each half finds for m questions, best first; nothing where its weight is 0."""
        k, only = self._settings.candidates, self._fitting(filters)
        dense = self._dense.search(vectors, k, only) if weights.dense > 0 else [[] for _ in questions]
        lexical = [self._lexical.search(each, k, only) if weights.lexical > 0 else [] for each in questions]
        return list(zip(dense, lexical, strict=True))

    def late_scores(self, question: str, chunk_ids: Sequence[str]) -> dict[str, float]:
        """Return the late interaction of a question with chunks; nothing where it is switched off."""
        if self._late is None or not self._settings.late_candidates:
            return {}
        return self._late.scores(question, chunk_ids)

    def _reranked(self, question: str, ranked: list[Ranked], lookup: Lookup) -> list[Ranked]:
        settings = self._settings
        if self._late is not None and settings.late_candidates and self._weights.late > 0:
            ranked = self._late.rank(question, ranked, settings.late_candidates, self._weights.late)
        if self._reranker is not None:
            ranked = rerank(question, ranked, lookup, self._reranker, settings.rerank_candidates)
        return ranked

    def retrieve(
        self,
        question: str,
        vector: Vectors,
        lookup: Lookup,
        withdrawn: Collection[str] = (),
        rewritten: tuple[str, Vectors] | None = None,
        nearest: float = -1.0,
        filters: Filters = (),
    ) -> list[Passage]:
        """Return the passages for one question and its vector of shape (dimensions,), of chunks that fit its filters.

        There are none if the dense search finds nothing at least as near as `nearest` (a cosine).

        With `rewritten`, a rewritten question and its vector, both are searched for and the rankings fused; what ranks
        them again reads the original question.
        """
        if rewritten is None:
            ranked = self.rank([question], vector.reshape(1, -1), lookup, [filters])[0]
        else:
            both = self._fused([question, rewritten[0]], np.stack([vector, rewritten[1]]), filters)
            ranked = self._reranked(question, fuse_searches(both), lookup)
        if max((each.dense_score for each in ranked if each.dense_score is not None), default=1.0) < nearest:
            return []
        settings = self._settings
        best = choose_passages(ranked, lookup, settings.passages, withdrawn, settings.passage_tokens)
        return in_order(best, settings.passage_order)


def _same(first: Path, second: Path) -> bool:
    return first.read_bytes() == second.read_bytes()
