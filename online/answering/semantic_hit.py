"""A question in other words: the nearest anticipated questions, and the verifier that decides.

The indexes propose, the verifier (`rag.paraphrase.verifier`, calibrated in the batch run) decides, and three things
take a candidate away before it is asked: its answer rests on a withdrawn document, someone reported this very
pair as a false hit, or it is no longer served. What was near and why it was not taken is kept: it is shown
with `explain`, counted, journalled, and offered as suggestions when no live answer can be had.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from online.http.schemas import Suggestion
from online.release.open_release import OpenRelease
from rag.paraphrase.calibration import Certificate
from rag.paraphrase.verifier import Candidate, Decision
from rag.retrieval.vectors import Vectors

_CANDIDATES = 8
# Only these go to the verifier, which takes 0.3 ms of Python for each: a flood of misses must not slow hits.
_JUDGED = 4
_JUDGED_SIMILARITY = 0.5
_SUGGESTIONS = 3
_SUGGESTION_SIMILARITY = 0.35


class Anticipated(msgspec.Struct):
    """An anticipated question as the serving index holds it."""

    question: str
    query_key: str
    collection: str


@dataclass(frozen=True)
class Sought:
    """What the search found: the question's vector, what was near, and the verifier's decision, if asked.

    `certificate` is what the threshold of the decision rests on; the default verifier has none.
    """

    vector: Vectors
    candidates: tuple[Candidate, ...]
    decision: Decision | None
    certificate: Certificate | None
    embed_seconds: float

    @property
    def hit(self) -> str | None:
        """The query key of the anticipated question that asks the same, or None."""
        return self.decision.query_key if self.decision is not None and self.decision.accepted else None

    @property
    def refusal(self) -> str:
        """Why there was no hit, in one of few words."""
        if self.decision is not None:
            return self.decision.reason
        return "off" if self.candidates else "no_candidates"

    def suggestions(self) -> list[Suggestion]:
        """The nearest anticipated questions, for someone who can't be answered."""
        near = [each for each in self.candidates if each.similarity >= _SUGGESTION_SIMILARITY]
        return [Suggestion(each.question, each.query_key, round(each.similarity, 4)) for each in near[:_SUGGESTIONS]]


def seek(
    release: OpenRelease,
    collection: str,
    question: str,
    usable: Callable[[str], bool],
    tolerated_error: float | None,
) -> Sought:
    """Embed a question and look for one that asks the same; blocking.

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
    for query_key, similarity in release.collection(collection).questions.search(vector.reshape(1, -1), _CANDIDATES)[0]:
        stored = release.index.question(query_key)
        if stored is None or not usable(query_key):
            continue
        anticipated = msgspec.json.decode(stored, type=Anticipated)
        if anticipated.collection == collection:  # the index is the collection's own; this is the second lock
            found.append(Candidate(anticipated.question, query_key, similarity))
    return found
