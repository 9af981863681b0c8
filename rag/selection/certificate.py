"""Certificates of answer selection: how often a hit is wrong, known from wordings that were left out.

Two kinds of question are asked of the selector without labelled pairs: a wording that is left out of its answer, which
wants that answer, and a wording whose whole answer is left out, which wants none; so do outside texts, and fences where
the answer is one of those that they must not get.
The tests are those of the verifier (`rag.paraphrase.calibration`); the questions of one answer count as a group.

A few dozen wordings certify nothing by themselves. Then the threshold comes from the shipped selector's certificate,
and the collection's own left-out wordings raise it where they contradict it. Hundreds of them lower it where the scores
say that few hits would be wrong: a score is a probability, so its mean over the hits is the share of right ones.
The certificate says which of the three it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from rag.identity import stable_hash
from rag.paraphrase.calibration import at_most, loosest

OWN, SHIPPED, ESTIMATED = "own wordings", "shipped selector", "shipped scores on own wordings"
CONFIDENCE = 0.975  # two thresholds are tried, the own and the shipped one: together 95 %
_RARE = 0.3
_SURE = 2.33  # standard errors; 99 %
_HARDER = 2  # left-out wordings are wrong up to so many times as often as visitors' questions
_MOST_OUTSIDE = 0.12  # share of left-out answers' wordings that hit where 1 in 100 of visitors' outside questions does
_STARTS = (0.2, 0.5)  # shares accepted, from which thresholds are tested
_DOUBTED = 3  # what a judge ruled leaves at least a third of the distance between the threshold and 1
_ALIKE = 0.15  # correlation of errors within an answer while none is seen; measured: 0 to 0.11
_FEWEST = 50  # questions; fewer would support no certificate


@dataclass(frozen=True)
class LeftOut:
    """A question put to the selector without its own wording: what it wants ("" for none), and what it got.

    `judged` says that a language model has ruled what it wants, which may be wrong itself.
    """

    text: str
    wanted: str
    chosen: str
    score: float
    judged: bool = False

    @property
    def wrong(self) -> bool:
        """Whether a hit would be an error."""
        return self.wanted != self.chosen


@dataclass(frozen=True)
class SelectionCertificate:
    """A threshold and the evidence for it. `threshold` None: nothing is certified, so nothing may be accepted.

    `bound` is the upper confidence bound on the share of wrong hits, on the questions of `source`; an estimated one
    trusts the scores of the shipped selector. `questions`, `accepted` and `errors` count the collection's own left-out
    questions at this threshold, and `calibration_hash` identifies those.
    """

    tolerated_error: float
    threshold: float | None
    source: str
    bound: float
    confidence: float
    questions: int
    accepted: int
    errors: int
    calibration_hash: str

    def as_json(self) -> dict[str, object]:
        """Return the fields for a JSON file."""
        return asdict(self)


def certify(rows: Sequence[LeftOut], tolerated_error: float, source: str = OWN) -> SelectionCertificate:
    """Return the certificate of the loosest threshold whose error is certified on these questions alone."""
    found = None
    if len(rows) >= _FEWEST:
        numbers: dict[str, int] = {}
        groups = np.array([numbers.setdefault(row.wanted or row.text, len(numbers)) for row in rows])
        scores = np.array([row.score for row in rows])
        wrong = np.array([row.wrong for row in rows])
        found = loosest(scores, wrong, groups, tolerated_error, CONFIDENCE, _STARTS, _ALIKE)
    return _counted(rows, tolerated_error, found.threshold if found else None, source, found.bound if found else 1.0)


def checked(rows: Sequence[LeftOut], shipped: SelectionCertificate) -> SelectionCertificate:
    """Return the shipped certificate as it applies to a collection: raised while its own questions contradict it.

    They do where so many errors would be rarer than three in ten if twice the tolerated share were wrong. Questions
    that a judge ruled about raise it within a limit: two answers that are one, or a wrong ruling, err with the highest
    scores, and no threshold cures that.
    """
    threshold = shipped.threshold
    if threshold is not None:
        most = _HARDER * shipped.tolerated_error
        threshold = _raised([row for row in rows if not row.judged], threshold, most)
        threshold = min(_raised(rows, threshold, most), 1 - (1 - threshold) / _DOUBTED)
    return _counted(rows, shipped.tolerated_error, threshold, SHIPPED, shipped.bound)


def estimated(rows: Sequence[LeftOut], tolerated_error: float) -> SelectionCertificate:
    """Return the loosest threshold at which the scores of the hits allow the tolerated error.

    What they expect is taken 2.33 standard errors higher, so that a few dozen hits never suffice, and errors that were
    seen count against it as in `checked`.
    """
    scores = sorted((row.score for row in rows if math.isfinite(row.score)), reverse=True)
    threshold, bound, expected = None, 1.0, 0.0
    for hits, score in enumerate(scores, start=1):
        expected += 1 - score
        highest = expected / hits + _SURE * math.sqrt(expected) / hits
        if highest <= tolerated_error:
            threshold, bound = score, highest
    if threshold is not None:
        threshold = max(_raised(rows, threshold, _HARDER * tolerated_error), _barring(rows))
    return _counted(rows, tolerated_error, threshold, ESTIMATED, bound)


def _raised(rows: Sequence[LeftOut], threshold: float, tolerated_error: float) -> float:
    accepted = sorted((row for row in rows if row.score >= threshold), key=lambda row: -row.score)
    errors = sum(row.wrong for row in accepted)
    while errors and at_most(errors - 1, len(accepted), tolerated_error) > 1 - _RARE:
        last = accepted.pop()
        errors -= last.wrong
        threshold = math.nextafter(last.score, math.inf)
    return threshold


def _barring(rows: Sequence[LeftOut]) -> float:
    """Return the threshold that `_MOST_OUTSIDE` of the questions that want no answer reach; 0 if there are none."""
    outside = sorted((row.score for row in rows if not row.wanted), reverse=True)
    return math.nextafter(outside[int(_MOST_OUTSIDE * len(outside))], math.inf) if outside else 0.0


def looser(one: SelectionCertificate, other: SelectionCertificate) -> SelectionCertificate:
    """Return the certificate that accepts more; the first if they accept the same."""
    if one.threshold is None or (other.threshold is not None and other.threshold < one.threshold):
        return other
    return one


def calibration_hash(rows: Iterable[LeftOut]) -> str:
    """Return the hash of left-out questions and what they want, in any order."""
    return stable_hash("selection", sorted([row.text, row.wanted] for row in rows))


def _counted(
    rows: Sequence[LeftOut], tolerated_error: float, threshold: float | None, source: str, bound: float
) -> SelectionCertificate:
    accepted = [row for row in rows if threshold is not None and row.score >= threshold]
    return SelectionCertificate(
        tolerated_error=tolerated_error,
        threshold=threshold,
        source=source,
        bound=bound,
        confidence=CONFIDENCE,
        questions=len(rows),
        accepted=len(accepted),
        errors=sum(row.wrong for row in accepted),
        calibration_hash=calibration_hash(rows),
    )
