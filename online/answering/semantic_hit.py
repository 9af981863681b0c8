"""A semantic hit: the nearest anticipated questions, and the verifier that decides.

The indexes propose, the verifier (`rag.paraphrase.verifier`, calibrated in the batch run) decides. Candidates are
dropped before it is asked if their answer rests on a withdrawn document or is no longer served, if visitors asked them
and nobody has approved them, or if this very pair was reported as a false hit. What was near, and why it was not taken,
is kept: for `explain`, the metrics, the journal, and as suggestions when there is no live answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from online.answering.question import Sought
from online.errors import Suggestion
from rag.paraphrase.verifier import Candidate
from rag.retrieval.vectors import Vectors

if TYPE_CHECKING:
    from online.release.open_release import OpenRelease

_CANDIDATES = 8
_SEARCHED = (8, 64, 512)  # further, so that questions that may not be used hide no other
# Only these go to the verifier, at 0.3 ms of Python each: a flood of misses must not slow hits.
_JUDGED = 4
_JUDGED_SIMILARITY = 0.5
_SUGGESTIONS = 3
_SUGGESTION_SIMILARITY = 0.35


class Anticipated(msgspec.Struct):
    """An anticipated question as the serving index holds it."""

    question: str
    query_key: str
    collection: str


def suggestions(sought: Sought) -> list[Suggestion]:
    """Return the nearest anticipated questions, for someone who can't be answered."""
    near = [each for each in sought.candidates if each.similarity >= _SUGGESTION_SIMILARITY]
    return [Suggestion(each.question, each.query_key, round(each.similarity, 4)) for each in near[:_SUGGESTIONS]]


def seek(
    release: OpenRelease,
    collection: str,
    question: str,
    usable: Callable[[str], bool],
    tolerated_error: float | None,
) -> Sought:
    """Embed a question and look for an anticipated one that asks the same; blocking.

    `usable` says whether the answer to a query key may be served to this question; with a `tolerated_error`
    of None nothing is decided, and the candidates serve as suggestions alone.
    """
    started = time.perf_counter()
    vector = release.encoder.embed([question])[0]
    embed_seconds = time.perf_counter() - started
    candidates = tuple(_candidates(release, collection, vector, usable))
    decision, certificate = None, None
    if candidates and tolerated_error is not None:
        judged = [each for each in candidates[:_JUDGED] if each.similarity >= _JUDGED_SIMILARITY]
        decision = release.verifier.decide(question, judged, tolerated_error)
        certificate = next(
            (each for each in release.verifier.certificates if each.threshold == decision.threshold), None
        )
    return Sought(vector, candidates, decision, certificate, embed_seconds)


def _candidates(
    release: OpenRelease, collection: str, vector: Vectors, usable: Callable[[str], bool]
) -> list[Candidate]:
    found: list[Candidate] = []
    for searched in _SEARCHED:
        near = release.collection(collection).questions.search(vector.reshape(1, -1), searched)[0]
        found = [
            candidate
            for query_key, similarity in near
            if (candidate := _candidate(release, collection, query_key, similarity, usable)) is not None
        ]
        if len(found) >= _JUDGED or len(near) < searched:
            break
    return found[:_CANDIDATES]


def _candidate(
    release: OpenRelease, collection: str, query_key: str, similarity: float, usable: Callable[[str], bool]
) -> Candidate | None:
    stored = release.index.question(query_key)
    if stored is None or not usable(query_key):
        return None
    anticipated = msgspec.json.decode(stored, type=Anticipated)
    if anticipated.collection != collection:  # the index is the collection's own; checked again all the same
        return None
    return Candidate(anticipated.question, query_key, similarity)
