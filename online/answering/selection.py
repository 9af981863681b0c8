"""Answer selection online: the wordings near a question, and which of their answers it wants.

All wordings around the question speak, those of withheld answers too: a question that wants one of these is barred, in
whatever words, and wants no other answer instead.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from rag.paraphrase.verifier import UNKNOWN_LANGUAGE, Decision
from rag.selection.evidence import NEAREST, Wordings

if TYPE_CHECKING:
    from online.answering.near_wording import NearWording
    from online.release.open_release import OpenRelease
    from rag.filters import Filters
    from rag.paraphrase.calibration import Certificate
    from rag.retrieval.vectors import Vectors
    from rag.selection.certificate import SelectionCertificate
    from rag.selection.selector import Selection

_SEARCHED = (NEAREST, 512)  # further, so that wordings that may not be used hide no other


@dataclass(frozen=True)
class Near:
    """The wordings near a question, nearest first, with their vectors."""

    wordings: Sequence[NearWording]
    vectors: Vectors

    def of(self, answers: Callable[[str], bool]) -> Near:
        """Return those of some answers."""
        kept = [row for row, each in enumerate(self.wordings) if answers(each.query_key)]
        return Near([self.wordings[row] for row in kept], self.vectors[kept])


def near_wordings(
    release: OpenRelease,
    collection: str,
    filters: Filters,
    vector: Vectors,
    named: Callable[[str, float], NearWording | None],
) -> Near:
    """Return the wordings near a question; `named` gives what a key and a cosine stand for, or None."""
    indexes = release.collection(collection)
    for searched in _SEARCHED:
        near: list[tuple[str, float, Vectors]] = []
        whole = True
        for index in (indexes.questions, indexes.withheld, *indexes.wordings):
            if index is not None:
                own = index.nearest(vector, searched, index.asked_with(filters))
                near += own
                whole &= len(own) < searched
        near.sort(key=lambda each: -each[1])
        usable = ((found, row) for key, cosine, row in near if (found := named(key, cosine)) is not None)
        kept = list(itertools.islice(usable, NEAREST))
        if whole or len(kept) == NEAREST:
            break
    vectors = np.stack([row for _, row in kept]) if kept else np.zeros((0, len(vector)), np.float32)
    return Near([each for each, _ in kept], vectors)


def choose(
    release: OpenRelease, collection: str, question: str, vector: Vectors, near: Near, tolerated_error: float
) -> tuple[Decision, Certificate | SelectionCertificate | None]:
    """Return which answer a question wants, if any, and what the threshold rests on."""
    opened = release.collection(collection)
    guarded = release.verifier.knows(opened.language)
    if opened.selector is None or not near.wordings:
        return Decision(False, 0.0, math.inf, "no_candidates"), None
    answers = [each.query_key for each in near.wordings]
    further = {each.query_key for each in near.wordings if each.wording_key != each.query_key}
    single = frozenset(key for key in set(answers) - further if not release.index.has_wordings(key))
    wordings = Wordings([each.question for each in near.wordings], answers, near.vectors)
    found, certificate = release.select(collection, question, vector, wordings, tolerated_error, single)
    if found.reason != "accepted_pair":
        return _decision(found), certificate
    if not guarded:
        return _decision(replace(found, answer=None, reason=UNKNOWN_LANGUAGE)), None
    certificates: Sequence[Certificate] = release.verifier.certificates
    return _decision(found), next((each for each in certificates if each.threshold == found.threshold), None)


def _decision(found: Selection) -> Decision:
    return Decision(
        found.answer is not None, found.score, found.threshold,
        "accepted" if found.answer is not None else found.reason, found.evidence, found.answer,
    )  # fmt: skip
