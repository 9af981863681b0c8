"""Fusion: the dense and the lexical ranking as one, by reciprocal rank.

Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009) adds weight / (constant + rank) over the rankings: it needs
no calibration of scores that live on different scales. Their constant is 60, for rankings of equal worth; ours is 5, so
that a first place of one half counts, and the lexical half weighs half by default: so fused, the ranking is at no depth
worse than the better of its halves, neither on questions in the documents' words nor on everyday ones
(docs/retrieval.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_CONSTANT = 5


@dataclass(frozen=True)
class FusionWeights:
    """How the rankings of a collection are joined.

    `late` is the weight of late interaction in the order of the best candidates, that of the fused ranking is the
    rest: 1 orders them by late interaction alone, 0 leaves them as fused.
    """

    dense: float = 1.0
    lexical: float = 0.5
    late: float = 1.0


class Ranked(NamedTuple):
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
    return weight / (_CONSTANT + places[chunk_id][0]) if chunk_id in places else 0.0


def fuse_searches(rankings: Sequence[Sequence[Ranked]]) -> list[Ranked]:
    """Fuse the rankings of several searches for one question.

    A candidate keeps the ranks and scores of the first search that found it, except `score`, which is the fused one.
    """
    fused: dict[str, float] = {}
    found: dict[str, Ranked] = {}
    for ranking in rankings:
        for each in ranking:
            fused[each.chunk_id] = fused.get(each.chunk_id, 0.0) + 1 / (_CONSTANT + each.rank)
            found.setdefault(each.chunk_id, each)
    ordered = sorted(fused, key=lambda each: (-fused[each], found[each].rank, each))
    return [found[each]._replace(rank=rank, score=fused[each]) for rank, each in enumerate(ordered, start=1)]


def blend(ranked: Sequence[Ranked], late: Mapping[str, float], weight: float) -> list[Ranked]:
    """Order the candidates that `late` scores by these scores, and by their fused ones as far as `weight` leaves room.

    Late scores count from the worst to the best of them, fused scores from 0 to the best. The others follow.
    """
    best = [each._replace(score=late[each.chunk_id]) for each in ranked if each.chunk_id in late]
    if not best or weight <= 0:
        return list(ranked)
    if weight < 1:
        low, high = min(late.values()), max(late.values())
        top = max(each.score for each in ranked) or 1.0
        fused = {each.chunk_id: each.score / top for each in ranked}
        best = [
            each._replace(
                score=weight * (each.score - low) / ((high - low) or 1.0) + (1 - weight) * fused[each.chunk_id],
            )
            for each in best
        ]
    return put_first(best, ranked)


def put_first(best: Sequence[Ranked], ranked: Sequence[Ranked]) -> list[Ranked]:
    """Put what was scored anew first, in the order of those scores; the others follow as they were."""
    best = sorted(best, key=lambda each: (-each.score, each.rank))
    scored = {each.chunk_id for each in best}
    rest = [each for each in ranked if each.chunk_id not in scored]
    placed = enumerate([*best, *rest], start=1)
    return [each if each.rank == rank else each._replace(rank=rank) for rank, each in placed]
