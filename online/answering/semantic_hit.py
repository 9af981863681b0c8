"""A semantic hit: the nearest anticipated questions, and the verifier that decides.

The indexes propose, the verifier (`rag.paraphrase.verifier`, calibrated in the batch run) decides. Candidates are
dropped before it is asked if their answer rests on a withdrawn document or is no longer served, if visitors asked them
and nobody has approved them, or if this question may not get their answer (a fence, or a false hit that was reported).
What was near, and why it was not taken, is kept: for `explain`, the metrics, the journal, and as suggestions when there
is no live answer. Only questions with the same filters are searched among.

Where the collection has a selector, it decides instead (`online.answering.selection`). Otherwise an answer is a
candidate once, in that of its wordings which is nearest.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from online.answering.near_wording import NearWording
from online.answering.question import Asked, Retrieved, Sought
from online.answering.selection import choose, near_wordings
from online.errors import Near, Suggestion
from rag.paraphrase.verifier import UNKNOWN_LANGUAGE, Decision, Verifier
from rag.retrieval.vectors import Vectors

if TYPE_CHECKING:
    from online.release.open_release import OpenRelease

_CANDIDATES = 8
_SEARCHED = (64, 512)  # further, so that questions that may not be used hide no other
# Only these go to the verifier, at 0.3 ms of Python each: a flood of misses must not slow hits.
_JUDGED = 4
_JUDGED_SIMILARITY = 0.5
_SUGGESTIONS = 3
_SUGGESTION_SIMILARITY = 0.35


@dataclass(frozen=True)
class Permits:
    """What may be done with an anticipated question, by its query key.

    `usable` says whether its answer may be served to this question, `barred` whether it bars this question if it asks
    the same, as verified for `barring_error`.
    """

    usable: Callable[[str], bool]
    barred: Callable[[str], bool]
    barring_error: float


@dataclass(frozen=True)
class Search:
    """What is looked for: with a `tolerated_error` of None nothing is decided, the candidates serve as suggestions."""

    asked: Asked
    permits: Permits
    tolerated_error: float | None


class _Known(dict[str, bool]):
    """What was said of each key; `functools.cache` takes longer to be made than it saves here."""

    def __init__(self, say: Callable[[str], bool]) -> None:
        super().__init__()
        self._say = say

    def __missing__(self, key: str) -> bool:
        found = self[key] = self._say(key)
        return found


def candidates(sought: Sought) -> list[Near]:
    """Return the anticipated questions near to one that has no prepared answer, with the score of the one judged."""
    decision = sought.decision
    judged = None if decision is None or not math.isfinite(decision.score) else (decision.query_key, decision.score)
    return [
        Near(
            each.shown,
            each.query_key,
            round(float(each.similarity), 4),
            round(float(judged[1]), 4) if judged is not None and judged[0] == each.query_key else None,
        )
        for each in sought.candidates
    ]


def suggestions(sought: Sought) -> list[Suggestion]:
    """Return the nearest anticipated questions, for someone who can't be answered."""
    near = [each for each in sought.candidates if each.similarity >= _SUGGESTION_SIMILARITY]
    return [Suggestion(each.shown, each.query_key, round(each.similarity, 4)) for each in near[:_SUGGESTIONS]]


def seek(release: OpenRelease, search: Search) -> Sought:
    """Embed a question and look for an anticipated one that asks the same; blocking."""
    return seek_all(release, [search])[0]


def seek_all(release: OpenRelease, searches: Sequence[Search]) -> list[Sought]:
    """Embed some questions at once, and look for an anticipated one that asks the same as each; blocking."""
    started = time.perf_counter()
    vectors = release.encoder.embed([each.asked.question for each in searches])
    seconds = (time.perf_counter() - started) / len(searches)
    return [seek_near(release, each, vector, seconds) for each, vector in zip(searches, vectors, strict=True)]


def seek_near(release: OpenRelease, search: Search, vector: Vectors, embed_seconds: float = 0.0) -> Sought:
    """Look for an anticipated question that asks the same as one whose vector is known; blocking."""
    asked, permits, tolerated_error = search.asked, search.permits, search.tolerated_error
    usable = _Known(permits.usable).__getitem__
    # an answer that may be served bars nothing, which is quicker to tell
    barred_by = _Known(lambda query_key: not usable(query_key) and permits.barred(query_key)).__getitem__
    known_permits = Permits(usable, barred_by, permits.barring_error)
    if release.collection(asked.collection).selector is not None:
        return _selected(release, asked, vector, embed_seconds, known_permits, tolerated_error)
    candidates, withheld = _candidates(release, asked, vector, usable, barred_by)
    decision, certificate = None, None
    guarded = release.verifier.knows(release.collection(asked.collection).language)
    if candidates and tolerated_error is not None and not guarded:
        decision = Decision(False, 0.0, math.inf, UNKNOWN_LANGUAGE, {}, candidates[0].query_key)
    elif candidates and tolerated_error is not None:
        decision = _decide(release.verifier, asked.question, candidates, tolerated_error)
        certificate = next(
            (each for each in release.verifier.certificates if each.threshold == decision.threshold), None
        )
    barred = _decide(release.verifier, asked.question, withheld, permits.barring_error) if withheld else None
    return Sought(vector, candidates, decision, certificate, embed_seconds, barred)


def seek_and_retrieve(release: OpenRelease, search: Search, withdrawn: Collection[str]) -> Sought:
    """Look for a semantic hit, and where there is none, for the passages of a live answer; blocking.

    In one go, as a second thread would be woken for less than two milliseconds of work.
    """
    asked, sought = search.asked, seek(release, search)
    if sought.hit is not None or sought.withheld is not None:
        return sought
    started = time.perf_counter()
    retriever = release.collection(asked.collection).retriever
    passages = retriever.retrieve(asked.question, sought.vector, release.stored_chunk, withdrawn, filters=asked.filters)
    return replace(sought, retrieved=Retrieved(passages, time.perf_counter() - started))


def _selected(
    release: OpenRelease,
    asked: Asked,
    vector: Vectors,
    embed_seconds: float,
    permits: Permits,
    tolerated_error: float | None,
) -> Sought:
    """Return what the collection's selector chooses among the wordings near a question."""
    usable, barred_by = permits.usable, permits.barred
    near = near_wordings(
        release, asked.collection, asked.filters, vector, lambda answer: usable(answer) or barred_by(answer)
    )
    candidates = near.first(usable, _CANDIDATES)
    withheld = () if all(map(usable, near.answers)) else near.first(barred_by, _CANDIDATES)
    choose_at = functools.partial(choose, release, asked.collection, asked.question, vector, near)
    decision, certificate = (None, None) if tolerated_error is None or not candidates else choose_at(tolerated_error)
    barred = _decide(release.verifier, asked.question, withheld, permits.barring_error) if withheld else None
    if withheld and (barred is None or not barred.accepted):
        wanted, _ = (decision, None) if tolerated_error == permits.barring_error else choose_at(permits.barring_error)
        if wanted is not None and wanted.query_key is not None and barred_by(wanted.query_key):
            barred = wanted
    if decision is not None and decision.query_key is not None and not usable(decision.query_key):
        decision = replace(decision, accepted=False, reason="withheld", query_key=None)
    return Sought(vector, candidates, decision, certificate, embed_seconds, barred)


def _decide(verifier: Verifier, question: str, candidates: tuple[NearWording, ...], tolerated_error: float) -> Decision:
    judged = [each for each in candidates[:_JUDGED] if each.similarity >= _JUDGED_SIMILARITY]
    return verifier.decide(question, judged, tolerated_error)


def _candidates(
    release: OpenRelease,
    asked: Asked,
    vector: Vectors,
    usable: Callable[[str], bool],
    barred: Callable[[str], bool],
) -> tuple[tuple[NearWording, ...], tuple[NearWording, ...]]:
    """Return the nearest answers that may be used and those that bar the question, each in its nearest wording."""
    indexes = release.collection(asked.collection)
    for searched in _SEARCHED:
        near: list[tuple[str, float]] = []
        edge = -1.0  # beyond this similarity everything was seen
        for index in (indexes.questions, indexes.withheld, *indexes.wordings):
            if index is not None:
                found = index.search(vector, searched, index.asked_with(asked.filters))
                near += found
                edge = max(edge, found[-1][1] if len(found) == searched else -1.0)
        near.sort(key=lambda each: -each[1])
        used = _first(release, asked.collection, near, usable)
        bars = _first(release, asked.collection, [each for each in near if each[1] >= _JUDGED_SIMILARITY], barred)
        enough = len(used) >= _JUDGED and (len(bars) >= _JUDGED or edge < _JUDGED_SIMILARITY)
        if enough or edge == -1.0:
            break
    return used, bars


def _first(
    release: OpenRelease, collection: str, near: Sequence[tuple[str, float]], permitted: Callable[[str], bool]
) -> tuple[NearWording, ...]:
    """Return the first permitted answers of some wordings, nearest first, each in its nearest wording."""
    found: dict[str, NearWording] = {}
    for key, similarity in near:
        candidate = _candidate(release, collection, key, similarity, permitted)
        if candidate is not None:
            found.setdefault(candidate.query_key, candidate)
            if len(found) == _CANDIDATES:
                break
    return tuple(found.values())


def _candidate(
    release: OpenRelease, collection: str, wording_key: str, similarity: float, permitted: Callable[[str], bool]
) -> NearWording | None:
    if not permitted(release.index.answer_key(wording_key)):  # first: few are barred, and what is decoded is kept
        return None
    found = release.wordings.find(wording_key)
    if found is None or found.collection != collection:  # the index is the collection's own; checked again all the same
        return None
    return NearWording(found.text, found.query_key, similarity, wording_key, found.question)
