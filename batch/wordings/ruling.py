"""From verdicts to rulings: what becomes a wording, a fence, or a row for a person.

The certified verifier of pairs rules first, where it is sure: a yes at the error that the collection tolerates, or a
guard that keeps nearly equal texts apart. Then the language model's word counts, as far as it is trusted. A guard's
objection makes its yes doubtful, since models say yes to look-alikes; but, as in a selector, a guard that parts the
answer's own wordings has no say about an answer with many.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batch.wordings.cases import SURE, Trust
from batch.wordings.clusters import why_apart
from rag.paraphrase.verifier import Candidate, Verifier
from warehouse.editorial.wordings import Origin, Ruling, RulingKind, append_rulings, standing_rulings

if TYPE_CHECKING:
    from batch.wordings.nearest_answers import Near

VERIFIER = "verifier"
_NEARLY_EQUAL = 0.85
_SAME_SUBJECT = 0.6
_FEW = 4  # wordings; an answer with so few may have no two that a guard parts
# What is said of the same thing can't be both; the other guards ask for a look at the words, which the judge takes.
_OPPOSED = frozenset(
    ("numbers_differ", "units_differ", "dates_differ", "negation_differs", "antonyms", "names_differ", "roles_swapped")
)


@dataclass(frozen=True)
class Ruled:
    """What was ruled about a text beside an answer, by whom and how sure; None is nothing."""

    verdict: RulingKind | None
    by: str
    confidence: float | None = None


def by_verifier(verifier: Verifier | None, text: str, near: Near, tolerated_error: float) -> Ruled:
    """Return what the certified verifier rules; nothing where there is none, or where it is not sure."""
    if verifier is None or verifier.trees is None:
        return Ruled(None, VERIFIER)
    decision = verifier.decide(text, [Candidate(near.wording, near.answer.query_key, near.similarity)], tolerated_error)
    if decision.accepted:
        return Ruled("wording", VERIFIER, round(decision.score, 4))
    if decision.reason in _OPPOSED and near.similarity >= _NEARLY_EQUAL:
        return Ruled("fence", VERIFIER, round(decision.score, 4))
    return Ruled(None, VERIFIER)


def by_model(model: str, yes: float | None, trust: Trust, text: str, near: Near) -> Ruled:
    """Return what follows from the language model's verdict."""
    if yes is None:
        return Ruled(None, model)
    if yes <= 1 - SURE:
        return Ruled("fence" if trust.no else None, model, yes)
    if not trust.yes:
        return Ruled(None, model, yes)
    is_wording = yes >= SURE and not opposed(text, near)
    return Ruled("wording" if is_wording else "doubtful", model, yes)


def doubted(ruled: Ruled) -> Ruled:
    """Return what is left of the word of a judge whom people contradict: its yes is a row for a person."""
    return replace(ruled, verdict="doubtful" if ruled.verdict in ("wording", "doubtful") else None)


def opposed(text: str, near: Near) -> bool:
    """Whether a guard sees a difference in meaning between a text and the wording that is nearest to it."""
    if near.similarity < _SAME_SUBJECT:
        return False
    reason = Verifier.default().decide(text, [Candidate(near.wording, "", near.similarity)], 1.0).reason
    return reason in _OPPOSED and not _parts_wordings(reason, near)


def _parts_wordings(reason: str, near: Near) -> bool:
    """Whether a guard refuses one of the answer's nearest wordings beside another: then it says nothing about it."""
    pairs = itertools.combinations((near.wording, *near.others), 2)
    return len(near.answer.wordings) > _FEW and any(why_apart(*pair, 0.0) == reason for pair in pairs)


def ruling(text: str, near: Near, ruled: Ruled, origin: Origin) -> Ruling | None:
    """Return the record of what was ruled; None if that is nothing."""
    if ruled.verdict is None:
        return None
    answer = near.answer
    return Ruling(
        answer.collection, answer.query_key, text, ruled.verdict, origin, ruled.by, confidence=ruled.confidence
    )


def record(data: Path, rulings: Iterable[Ruling]) -> Sequence[Ruling]:
    """Append those rulings that change what stands; what a person ruled stays."""
    standing = {each.about: each for each in standing_rulings(data)}
    news: dict[tuple[str, str, str], Ruling] = {}
    for each in rulings:
        before = standing.get(each.about)
        if before is None or (not before.person and before.verdict != each.verdict):
            news[each.about] = each
    return append_rulings(data, list(news.values()))
