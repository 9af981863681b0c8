"""Answer selection online: the wordings near a question, and which of their answers it wants.

All wordings around the question speak, those of withheld answers too: a question that wants one of these is barred, in
whatever words, and wants no other answer instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from online.answering.near_wording import NearWording
from rag.paraphrase.verifier import UNKNOWN_LANGUAGE, Decision
from rag.selection.evidence import NEAREST, Wordings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from online.release.open_release import OpenRelease
    from online.release.stored_wordings import StoredWording
    from rag.filters import Filters
    from rag.paraphrase.calibration import Certificate
    from rag.retrieval.vector_index import Nearest
    from rag.retrieval.vectors import Vectors
    from rag.selection.certificate import SelectionCertificate
    from rag.selection.selector import Selection

_SEARCHED = (NEAREST, 512)  # further, so that wordings that may not be used hide no other


@dataclass(frozen=True)
class Near:
    """The wordings near a question, nearest first, with the keys of their answers, their cosines and vectors."""

    wordings: Sequence[StoredWording]
    answers: Sequence[str]
    cosines: Sequence[float]
    vectors: Vectors

    def first(self, answers: Callable[[str], bool], count: int) -> tuple[NearWording, ...]:
        """Return the nearest wording of each of the first `count` of some answers, nearest first."""
        found: dict[str, NearWording] = {}
        for each, cosine in zip(self.wordings, self.cosines, strict=True):
            if each.query_key not in found and answers(each.query_key):
                found[each.query_key] = NearWording(each.text, each.query_key, cosine, each.wording_key, each.question)
                if len(found) == count:
                    break
        return tuple(found.values())


def near_wordings(
    release: OpenRelease,
    collection: str,
    filters: Filters,
    vector: Vectors,
    permitted: Callable[[str], bool],
) -> Near:
    """Return the wordings near a question, of the answers that are `permitted`."""
    indexes = release.collection(collection)
    searched_in = [each for each in (indexes.questions, indexes.withheld, *indexes.wordings) if each is not None]
    find = [release.wordings.in_rows(each) for each in searched_in]
    for searched in _SEARCHED:
        found = [index.nearest(vector, searched, index.asked_with(filters)) for index in searched_in]
        cosines = np.concatenate([each.scores for each in found])
        of = np.repeat(np.arange(len(found)), [len(each.rows) for each in found])
        rows = np.concatenate([each.rows for each in found]).tolist()
        indexed_in = of.tolist()
        kept: list[int] = []
        wordings: list[StoredWording] = []
        for place in np.argsort(-cosines, kind="stable").tolist():
            wording = find[indexed_in[place]](rows[place])
            # the index is the collection's own; checked again all the same
            if wording is not None and wording.collection == collection and permitted(wording.query_key):
                kept.append(place)
                wordings.append(wording)
                if len(kept) == NEAREST:
                    break
        if len(kept) == NEAREST or all(len(each.rows) < searched for each in found):
            break
    chosen = np.array(kept, np.intp)
    answers = [each.query_key for each in wordings]
    return Near(wordings, answers, cosines[chosen].tolist(), _vectors(found, of[chosen], chosen, vector.size))


def _vectors(found: Sequence[Nearest], of: NDArray[np.int64], chosen: NDArray[np.intp], size: int) -> Vectors:
    """Return the vectors of some of the found rows; `of` says in which index each was found."""
    vectors, before = np.empty((len(chosen), size), np.float32), 0
    for number, each in enumerate(found):
        own = np.flatnonzero(of == number)
        vectors[own] = each.stored[each.places[chosen[own] - before]]
        before += len(each.rows)
    return vectors


def choose(
    release: OpenRelease, collection: str, question: str, vector: Vectors, near: Near, tolerated_error: float
) -> tuple[Decision, Certificate | SelectionCertificate | None]:
    """Return which answer a question wants, if any, and what the threshold rests on."""
    opened = release.collection(collection)
    guarded = release.verifier.knows(opened.language)
    if opened.selector is None or not near.wordings:
        return Decision(False, 0.0, math.inf, "no_candidates"), None
    single = frozenset(each.query_key for each in near.wordings if each.alone)
    wordings = Wordings([each.text for each in near.wordings], near.answers, near.vectors)
    found, certificate = release.select(collection, question, vector, wordings, tolerated_error, single)
    if found.reason == "not_certified" and not (guarded and release.verifier.reads(question)):
        return _decision(replace(found, reason=UNKNOWN_LANGUAGE)), certificate
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
