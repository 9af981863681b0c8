"""Fusion: the dense and the lexical ranking as one, by reciprocal rank.

Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009) adds weight / (constant + rank) over the rankings: it needs
no calibration of scores that live on different scales. Their constant is 60, for rankings of equal worth; ours is 5, so
that a first place of one half counts, and the lexical half weighs half by default: so fused, the ranking is at no depth
worse than the better of its halves, neither on questions in the documents' words nor on everyday ones
(docs/retrieval.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    """A ranked candidate. Ranks start at 1; those of an index that did not find it are None.

    A tuple, since a run makes a few hundred for each question, and frozen dataclasses took a third of its time.
    """

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
    every = dense_places | lexical_places
    last = len(every) + 1
    found = []
    for chunk_id in every:
        near, said = dense_places.get(chunk_id, _NOWHERE), lexical_places.get(chunk_id, _NOWHERE)
        fused = _reciprocal(near[0], dense_weight) + _reciprocal(said[0], lexical_weight)
        found.append((-fused, near[0] or last, chunk_id, near, said))
    found.sort()  # no two have the same id, so nothing behind it is compared
    return [
        Ranked(chunk_id, rank, -negative, *near, *said)
        for rank, (negative, _, chunk_id, near, said) in enumerate(found, start=1)
    ]


_NOWHERE: tuple[int | None, float | None] = (None, None)


def _reciprocal(rank: int | None, weight: float) -> float:
    return 0.0 if rank is None else weight / (_CONSTANT + rank)


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
    return [_placed(found[each], rank, fused[each]) for rank, each in enumerate(ordered, start=1)]


def blend(ranked: Sequence[Ranked], late: Mapping[str, float], weight: float) -> list[Ranked]:
    """Order the candidates that `late` scores by these scores, and by their fused ones as far as `weight` leaves room.

    Late scores count from the worst to the best of them, fused scores from 0 to the best. The others follow.
    """
    scores = {each.chunk_id: late[each.chunk_id] for each in ranked if each.chunk_id in late}
    if not scores or weight <= 0:
        return list(ranked)
    if weight < 1:
        low, high = min(late.values()), max(late.values())
        top = max(each.score for each in ranked) or 1.0
        scores = {
            each.chunk_id: weight * (scores[each.chunk_id] - low) / ((high - low) or 1.0)
            + (1 - weight) * (each.score / top)
            for each in ranked
            if each.chunk_id in scores
        }
    return put_first(scores, ranked)


def put_first(scores: Mapping[str, float], ranked: Sequence[Ranked]) -> list[Ranked]:
    """Put the candidates that were scored anew first, in the order of these scores; the others follow as they were."""
    best = [each for each in ranked if each.chunk_id in scores]
    best.sort(key=lambda each: (-scores[each.chunk_id], each.rank))
    rest = [each for each in ranked if each.chunk_id not in scores]
    return [
        _placed(each, rank, scores.get(each.chunk_id, each.score)) for rank, each in enumerate([*best, *rest], start=1)
    ]


def _placed(each: Ranked, rank: int, score: float) -> Ranked:
    """Return a candidate with another rank and score; `_replace` takes four times as long."""
    return Ranked(each[0], rank, score, each[3], each[4], each[5], each[6])


def numbered(ranked: Iterable[Ranked]) -> list[Ranked]:
    """Return candidates with the ranks of their places."""
    return [_placed(each, rank, each.score) for rank, each in enumerate(ranked, start=1)]
