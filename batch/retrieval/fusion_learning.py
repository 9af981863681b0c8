"""Learns how the rankings of a collection are joined, from questions whose right chunks are known.

Few questions must not overfit. The grid is small, and the configured weights stay unless others are better by more
than the questions scatter: by 1.5 standard errors of the mean difference, question by question, of reciprocal ranks.
Above all the ranking must not lose to its own halves: only weights that are, on these questions, at 1, 3, 5 and 10
below neither the dense nor the lexical ranking are eligible; the halves themselves are in the grid, so one of them is
taken where no mixture is as good as both. What it gains: docs/retrieval.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rag.retrieval.collection_fusion import CollectionFusion
from rag.retrieval.fusion import FusionWeights, blend, fuse

DEPTHS = (1, 3, 5, 10)
LEAST_QUESTIONS = 12
_STANDARD_ERRORS = 1.5
_LEXICAL = (0.25, 0.5, 1.0, 2.0)  # beside a dense weight of 1
_LATE = (1.0, 0.9, 0.7, 0.0)
_DENSE_ALONE, _LEXICAL_ALONE = FusionWeights(1.0, 0.0, late=0.0), FusionWeights(0.0, 1.0, late=0.0)

Ranks = NDArray[np.float64]
"""The rank of the first right chunk of each question, infinite where none was found."""


@dataclass(frozen=True)
class Sought:
    """A question's rankings, the late scores of their chunks, and its right chunks."""

    dense: Sequence[tuple[str, float]]
    lexical: Sequence[tuple[str, float]]
    late: Mapping[str, float]
    right: frozenset[str]


class _Tried(NamedTuple):
    """Weights, and the ranks that they give."""

    weights: FusionWeights
    ranks: Ranks


def learn(
    sought: Sequence[Sought], configured: FusionWeights, late_candidates: int, source: str, unlocated: int
) -> CollectionFusion:
    """Choose the weights; the configured ones where there is too little evidence for others."""
    if len(sought) < LEAST_QUESTIONS:
        reason = f"the configured weights: to learn takes {LEAST_QUESTIONS} questions whose passages are known"
        return CollectionFusion(configured, configured, reason, source, len(sought), unlocated)
    halves = [_tried(sought, each, late_candidates) for each in (_DENSE_ALONE, _LEXICAL_ALONE)]
    start = _tried(sought, configured, late_candidates)
    grid = [_tried(sought, each, late_candidates) for each in _grid(bool(late_candidates))]
    floor = np.max([_recalls(each.ranks) for each in halves], axis=0)
    chosen, reason = _chosen(start, [*grid, *halves], floor)
    named = {"dense": halves[0], "lexical": halves[1], "configured": start, "learned": chosen}
    return CollectionFusion(
        chosen.weights,
        configured,
        reason,
        source,
        len(sought),
        unlocated,
        as_good_as_halves=_shortfall(chosen, floor) == 0,
        figures={name: _figures(each.ranks) for name, each in named.items()},
    )


def _chosen(start: _Tried, tried: Sequence[_Tried], floor: Ranks) -> tuple[_Tried, str]:
    """Choose between where learning starts and what was tried; in doubt, what stands first."""
    least = min(_shortfall(each, floor) for each in [start, *tried])
    eligible = [each for each in tried if _shortfall(each, floor) == least]
    best = max(eligible, key=lambda each: _mrr(each.ranks), default=start)
    if _shortfall(start, floor) > least:
        return best, "the configured weights lose to one of the halves"
    if _clearly_better(best.ranks, start.ranks):
        return best, "better than the configured weights beyond what the questions scatter"
    return start, "the configured weights: no others are better beyond what the questions scatter"


def _grid(late: bool) -> Iterator[FusionWeights]:
    """Yield the weights to try."""
    for weight, share in itertools.product(_LEXICAL, _LATE if late else (1.0,)):
        yield FusionWeights(1.0, weight, share)


def _tried(sought: Sequence[Sought], weights: FusionWeights, late_candidates: int) -> _Tried:
    return _Tried(weights, np.array([_rank(each, weights, late_candidates) for each in sought]))


def _rank(sought: Sought, weights: FusionWeights, late_candidates: int) -> float:
    """Return the rank that the retriever gives to the first right chunk with these weights."""
    dense = sought.dense if weights.dense > 0 else ()
    lexical = sought.lexical if weights.lexical > 0 else ()
    ranked = fuse(dense, lexical, weights.dense, weights.lexical)
    if weights.late > 0:
        read = {each.chunk_id for each in ranked[:late_candidates]}
        ranked = blend(ranked, {name: score for name, score in sought.late.items() if name in read}, weights.late)
    return next((float(each.rank) for each in ranked if each.chunk_id in sought.right), np.inf)


def _recalls(ranks: Ranks) -> Ranks:
    return np.array([np.mean(ranks <= depth) for depth in DEPTHS])


def _shortfall(tried: _Tried, floor: Ranks) -> float:
    """Return by how much weights lose to the better half at the depth where they lose most."""
    return float(max(0.0, np.max(floor - _recalls(tried.ranks))))


def _mrr(ranks: Ranks) -> float:
    return float(np.mean(1 / ranks))


def _clearly_better(ranks: Ranks, than: Ranks) -> bool:
    gained = 1 / ranks - 1 / than
    return bool(gained.mean() > _STANDARD_ERRORS * gained.std(ddof=1) / np.sqrt(len(gained)))


def _figures(ranks: Ranks) -> dict[str, float]:
    recalls = {f"recall@{depth}": float(each) for depth, each in zip(DEPTHS, _recalls(ranks), strict=True)}
    return {name: round(value, 4) for name, value in (recalls | {"mrr": _mrr(ranks)}).items()}
